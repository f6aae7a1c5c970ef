import ArgumentParser
import ClusterModel

/// `rolling-restart`: every member restarts PostgreSQL, one after another, the leader last and after a switchover.
struct RollingRestartCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "rolling-restart", "Restarts the members of a cluster one after another, the leader last.",
            "Replicas come first, each caught up before the next; then the leader hands over, and comes back as a "
                + "replica. The members carry it out by themselves: this program only shows how it goes. It stops at "
                + "the first thing that goes wrong, and the exit code is 1 then.",
            examples: [
                "rolling-restart batman --pending", "rolling-restart batman --show",
                "rolling-restart batman --resume", "rolling-restart batman --call-off",
            ])
    }

    /// What else than to begin.
    enum Action: String, EnumerableFlag {
        case begin, show, resume, callOff

        static func name(for value: Action) -> NameSpecification {
            switch value {
            case .begin: .customLong("begin")
            case .show: .customLong("show")
            case .resume: .customLong("resume")
            case .callOff: .customLong("call-off")
            }
        }

        static func help(for value: Action) -> ArgumentHelp? {
            switch value {
            case .begin: "Begin one; that is what happens without any of these."
            case .show: "Show how the one that is under way goes, until it ends."
            case .resume: "Have the one that was stopped go on."
            case .callOff: "Call off the one that is under way; a member that is being restarted comes up again."
            }
        }
    }

    @OptionGroup var group: GroupOption

    @Flag var action = Action.begin

    @Flag(name: .customLong("pending"), help: "Only members on which a setting waits for a restart.")
    var isPending = false

    @Flag(name: .customLong("detach"), help: "Do not wait for its end.")
    var isDetached = false

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    @Argument(help: "The members; all where none is named.")
    var memberNames: [String] = []

    func run(_ session: Session) async throws {
        let cluster = try Cluster(try session.clusterName(clusterName), group: group.number, session)
        let picture = try await cluster.load()
        switch action {
        case .begin:
            session.terminal.write(MemberListing(picture, .format(.pretty)).text)
            let who = memberNames.isEmpty ? isPending ? "all members that wait for it" : "all members" : named
            if !isForced, try await !session.confirms("Are you sure you want to restart \(who), one after another?") {
                throw CtlError.refused("Aborted rolling restart")
            }
            var body: JSONObject = [:]
            if !memberNames.isEmpty { body["members"] = .array(memberNames.map { .string($0) }) }
            if isPending { body["restart_pending"] = true }
            try await RollingRestartRun(cluster, session).begin(body, picture, isDetached: isDetached)
        case .resume:
            try await RollingRestartRun(cluster, session).begin(["resume": true], picture, isDetached: isDetached)
        case .show: try await RollingRestartRun(cluster, session).show(picture)
        case .callOff: try await RollingRestartRun(cluster, session).callOff(picture)
        }
    }

    private var named: String { "members \(memberNames.joined(separator: ", "))" }
}
