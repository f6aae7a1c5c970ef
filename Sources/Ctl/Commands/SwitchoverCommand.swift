import ArgumentParser

/// `switchover` (ctl.md §6).
struct SwitchoverCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "switchover", "Hands the leadership of a healthy cluster to another member.",
            "The leader steps down by itself, and no acknowledged transaction is lost.",
            examples: ["switchover batman", "switchover batman --candidate n2 --scheduled 2030-01-01T04:00 --force"])
    }

    @OptionGroup var group: GroupOption

    @Option(name: [.customLong("leader"), .customLong("primary")], help: "The leader as it is now.")
    var leader: String?

    @Option(help: "Who is to lead.")
    var candidate: String?

    @Option(help: "When: a time in an unambiguous format, or now.")
    var scheduled: String?

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let handover = Handover(
            action: .switchover, leader: leader, candidate: candidate, scheduled: scheduled, isForced: isForced)
        try await handover.run(try session.clusterName(clusterName), group: group.number, session)
    }
}
