import ArgumentParser

/// `--group N`.
struct GroupOption: ParsableArguments {
    @Option(name: .customLong("group"), help: "The group of a Citus cluster.")
    var number: Int?
}

/// What `list` and its kin are printed as.
enum OutputFormat: String, Sendable, CaseIterable, ExpressibleByArgument {
    case pretty, tsv, json, yaml, yml
}

/// `-f`, `--format`.
struct FormatOption: ParsableArguments {
    @Option(name: [.customShort("f", allowingJoined: true), .customLong("format")], help: "How it is printed.")
    var format = OutputFormat.pretty
}

/// `-W`, `-w SECONDS`: again and again, on a cleared screen.
struct WatchOptions: ParsableArguments {
    @Flag(name: .customShort("W"), help: "Show it anew every 2 seconds.")
    var everyTwoSeconds = false

    @Option(
        name: [.customShort("w", allowingJoined: true), .customLong("watch")],
        help: "Show it anew every so many seconds.")
    var seconds: Double?

    /// Nil for once.
    var interval: Duration? {
        if let seconds { return .seconds(min(max(seconds, 0), 86_400)) }
        return everyTwoSeconds ? .seconds(2) : nil
    }
}

/// `-r`, `--role` (ctl.md §3.1).
enum RoleFilter: String, Sendable, CaseIterable, ExpressibleByArgument {
    case leader, primary
    case standbyLeader = "standby-leader"
    case replica, standby, any
}
