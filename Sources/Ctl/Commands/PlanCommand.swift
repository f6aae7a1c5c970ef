import ArgumentParser
import ClusterModel

/// `plan`: what a command would do, and what could be in its way; it changes nothing.
struct PlanCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "plan", "Says what a command would do, in which order, and what is in its way; changes nothing.",
            "The exit code is 1 where it could not be done now. Members may be named for restart and rolling-restart.",
            examples: [
                "plan switchover batman --candidate n2", "plan failover batman", "plan restart batman n1",
                "plan rolling-restart batman --pending", "plan edit-config batman -s ttl=20 -p max_connections=200",
                "plan demote-cluster batman --host 10.0.0.9",
            ])
    }

    enum Action: String, CaseIterable, ExpressibleByArgument {
        case switchover, failover, restart
        case rollingRestart = "rolling-restart"
        case editConfig = "edit-config"
        case demoteCluster = "demote-cluster"
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var role: RoleOption

    @Option(help: "Who would lead.")
    var candidate: String?

    @Flag(
        name: .customLong("pending"),
        help: "Of restart and rolling-restart: only members on which a setting waits for it.")
    var isPending = false

    @Option(
        name: [.customShort("s", allowingJoined: true), .customLong("set")], parsing: .unconditionalSingleValue,
        help: "Of edit-config: PATH=VALUE.")
    var settings: [String] = []

    @Option(
        name: [.customShort("p", allowingJoined: true), .customLong("pg")], parsing: .unconditionalSingleValue,
        help: "Of edit-config: one parameter of PostgreSQL, NAME=VALUE.")
    var parameters: [String] = []

    @Option(help: "Of demote-cluster: the primary that would be followed.")
    var host: String?

    @Option(help: "Of demote-cluster: its port.")
    var port: Int?

    @Option(name: .customLong("restore-command"), help: "Of demote-cluster: what fetches WAL from its archive.")
    var restoreCommand: String?

    @Argument(help: "The command.")
    var action: Action

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    @Argument(help: "Of restart and rolling-restart: the members; all where none is named.")
    var memberNames: [String] = []

    func validate() throws {
        if !memberNames.isEmpty, action != .restart, action != .rollingRestart {
            throw ValidationError("plan \(action.rawValue) takes no names of members.")
        }
    }

    func run(_ session: Session) async throws {
        let picture = try await Cluster(
            try session.clusterName(clusterName), group: group.number, session
        ).load()
        let plan: ActionPlan =
            switch action {
            case .switchover: .handover(try await .asked(picture, .switchover, session), candidate: candidate)
            case .failover: .handover(try await .asked(picture, .failover, session), candidate: candidate)
            case .restart: .restart(picture, role.role, isForPending: isPending, names: memberNames)
            case .rollingRestart: .rollingRestart(picture, isForPending: isPending, names: memberNames)
            case .editConfig: try editConfig(picture)
            case .demoteCluster: .demoteCluster(picture, section: section)
            }
        session.terminal.write(plan.text)
        if !plan.isPossible { throw CtlError.ended(1) }
    }

    private func editConfig(_ picture: ClusterPicture) throws -> ActionPlan {
        guard let config = picture.view.config else {
            throw CtlError.refused("The config key does not exist in the cluster \(picture.name)")
        }
        var after = config.data
        for pair in settings { try SettingChange(pair).apply(to: &after) }
        for pair in parameters { try SettingChange("postgresql.parameters.\(pair)").apply(to: &after) }
        return .editConfig(picture, before: config.data, after: after)
    }

    private var section: JSONObject {
        var section = JSONObject()
        section["host"] = host.map { .string($0) }
        section["port"] = port.map { .int(Int64($0)) }
        section["restore_command"] = restoreCommand.map { .string($0) }
        return section
    }
}
