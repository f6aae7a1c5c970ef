import ArgumentParser
import ClusterModel

/// `demote-cluster` (ctl.md §18).
struct DemoteClusterCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "demote-cluster", "Makes a cluster follow a primary elsewhere.",
            "At least one of --host, --port and --restore-command says where its WAL comes from.",
            examples: ["demote-cluster batman --host 10.0.0.9 --port 5432"])
    }

    @Option(help: "The primary that is followed.")
    var host: String?

    @Option(help: "Its port.")
    var port: Int?

    @Option(name: .customLong("restore-command"), help: "What fetches WAL from its archive.")
    var restoreCommand: String?

    @Option(name: .customLong("primary-slot-name"), help: "The replication slot there.")
    var slotName: String?

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        // What is empty is as good as not given.
        var section = JSONObject()
        section["host"] = host.flatMap { $0.isEmpty ? nil : .string($0) }
        section["port"] = port.flatMap { $0 == 0 ? nil : .int(Int64($0)) }
        section["restore_command"] = restoreCommand.flatMap { $0.isEmpty ? nil : .string($0) }
        if section.isEmpty {
            throw CtlError.refused("At least --host, --port or --restore-command should be specified")
        }
        section["primary_slot_name"] = slotName.flatMap { $0.isEmpty ? nil : .string($0) }
        let change = ClusterRoleChange(kind: .demotion, section: .object(section), isForced: isForced)
        try await change.run(try session.clusterName(clusterName), session)
    }
}

/// `promote-cluster` (ctl.md §18).
struct PromoteClusterCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "promote-cluster", "Makes a cluster that follows a primary elsewhere take writes itself.",
            examples: ["promote-cluster batman"])
    }

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let change = ClusterRoleChange(kind: .promotion, section: .null, isForced: isForced)
        try await change.run(try session.clusterName(clusterName), session)
    }
}
