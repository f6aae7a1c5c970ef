import ArgumentParser

/// The root of the commands: their table, for help, for completion and for finding one by its name.
struct Matriarchctl: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: Program.name,
            abstract: "Shows clusters of PostgreSQL, and does with them what an operator asks for.",
            discussion: """
                Works with clusters of Matriarch and of Patroni alike, and takes the words that patronictl takes. \
                Options of the program stand before the command, those of a command after it.

                Examples:
                  \(Program.name) -c /etc/patroni.yml list
                  \(Program.name) -d etcd3://10.0.0.1:2379 switchover batman --candidate n2
                """,
            subcommands: [
                CompletionCommand.self, DemoteClusterCommand.self, DoctorCommand.self, DSNCommand.self,
                EditConfigCommand.self, EventsCommand.self, ExplainCommand.self, FailoverCommand.self,
                FlushCommand.self, HistoryCommand.self, ListCommand.self, ManualCommand.self, PauseCommand.self,
                PlanCommand.self, PromoteClusterCommand.self, QueryCommand.self, ReinitCommand.self,
                ReloadCommand.self, RemoveCommand.self, RestartCommand.self, ResumeCommand.self,
                RollingRestartCommand.self, ShowConfigCommand.self, SwitchoverCommand.self, TopologyCommand.self,
                UpgradeCommand.self, VersionCommand.self, WatchCommand.self,
            ])
    }

    @OptionGroup var global: GlobalOptions

    static func command(_ name: String) -> (any ParsableCommand.Type)? {
        configuration.subcommands.first { $0._commandName == name }
    }
}

/// One command. It may wait: for the store, for members, for whoever sits at the terminal.
protocol CtlCommand: ParsableCommand, Sendable {
    func run(_ session: Session) async throws
}

/// What stands before the command.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: [.customShort("c", allowingJoined: true), .customLong("config-file")],
        help: "The configuration: a file, or a directory of such.", completion: .file())
    var configurationFile: String?

    @Option(
        name: [.customShort("d", allowingJoined: true), .customLong("dcs-url"), .customLong("dcs")],
        help: "The store: [SCHEME://]HOST[:PORT][/NAMESPACE].")
    var storeURL: String?

    @Flag(name: [.customShort("k"), .customLong("insecure")], help: "Do not check certificates of members.")
    var isInsecure = false
}

extension CommandConfiguration {
    /// A command's name, what it does in one sentence, and how it is called.
    static func of(
        _ name: String, _ abstract: String, _ more: String = "", examples: [String] = []
    ) -> CommandConfiguration {
        let lines = examples.map { "  \(Program.name) \($0)" }
        let shown = lines.isEmpty ? [] : [(["Examples:"] + lines).joined(separator: "\n")]
        return CommandConfiguration(
            commandName: name, _superCommandName: Program.name, abstract: abstract,
            discussion: ((more.isEmpty ? [] : [more]) + shown).joined(separator: "\n\n"))
    }
}
