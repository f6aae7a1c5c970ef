import ArgumentParser

/// `pause` (ctl.md §11).
struct PauseCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("pause", "Stops the automatic failover of a cluster until resume.", examples: ["pause batman --wait"])
    }

    @OptionGroup var options: PauseOptions

    func run(_ session: Session) async throws { try await MaintenanceMode.set(true, options, session) }
}

/// `resume` (ctl.md §11).
struct ResumeCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("resume", "Takes up the automatic failover of a cluster again.", examples: ["resume batman --wait"])
    }

    @OptionGroup var options: PauseOptions

    func run(_ session: Session) async throws { try await MaintenanceMode.set(false, options, session) }
}

/// What `pause` and `resume` are told.
struct PauseOptions: ParsableArguments {
    @OptionGroup var group: GroupOption

    @Flag(name: .customLong("wait"), help: "Return when every member knows.")
    var isWaiting = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?
}
