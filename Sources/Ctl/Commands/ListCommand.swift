import ArgumentParser

/// `list` (ctl.md §5).
struct ListCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("list", "Shows the members of clusters.", examples: ["list", "list --extended --format json batman"])
    }

    @OptionGroup var group: GroupOption

    @Flag(name: [.customShort("e"), .customLong("extended")], help: "Show every column, also those without anything.")
    var isExtended = false

    @Flag(name: [.customShort("t"), .customLong("timestamp")], help: "Say when it was.")
    var saysWhen = false

    @OptionGroup var output: FormatOption
    @OptionGroup var watch: WatchOptions

    @Argument(help: "The clusters; the one of the configuration where none is named.")
    var clusterNames: [String] = []

    func run(_ session: Session) async throws {
        try await Listing.show(
            clusterNames, group.number, .format(output.format), isExtended: isExtended, saysWhen: saysWhen, watch,
            session)
    }
}

/// What `list` and `topology` have in common.
enum Listing {
    static func show(
        _ names: [String], _ group: Int?, _ style: MemberListing.Style, isExtended: Bool = false,
        saysWhen: Bool = false, _ watch: WatchOptions, _ session: Session
    ) async throws {
        let names = names.isEmpty ? session.scope.map { [$0] } ?? [] : names
        guard !names.isEmpty else { return session.warn("Listing members: No cluster names were provided") }
        let clusters = try names.map { try Cluster($0, group: group, session) }
        try await session.repeating(watch) {
            if saysWhen { session.terminal.write(LocalTime.seconds(session.wallTime) + "\n") }
            for cluster in clusters {
                session.terminal.write(MemberListing(try await cluster.load(), style, isExtended: isExtended).text)
            }
        }
    }
}
