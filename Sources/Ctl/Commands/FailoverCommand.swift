import ArgumentParser

/// `failover` (ctl.md §6).
struct FailoverCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "failover", "Makes a member the leader, also where the cluster is not healthy.",
            "What the candidate has not received is lost. A healthy cluster is better served by switchover.",
            examples: ["failover batman --candidate n2"])
    }

    @OptionGroup var group: GroupOption

    @Option(help: "Who is to lead.")
    var candidate: String?

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let handover = Handover(
            action: .failover, leader: nil, candidate: candidate, scheduled: nil, isForced: isForced)
        try await handover.run(try session.clusterName(clusterName), group: group.number, session)
    }
}
