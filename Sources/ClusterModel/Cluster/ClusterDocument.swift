/// The body of `GET /cluster` (rest-api.md §9).
public enum ClusterDocument {
    /// What the cluster `scope` looks like in the store, `settings` being what its `/config` says.
    public static func object(_ view: ClusterView, _ settings: DynamicConfiguration, scope: String) -> JSONObject {
        var object: JSONObject = ["members": .array(view.members.map { .object(member($0, view, settings)) })]
        if settings.isPaused { object["pause"] = true }
        let shared = sharedZones(view, settings)
        if !shared.isEmpty { object["synchronous_zones_shared"] = .array(shared.map { .string($0) }) }
        if let request = view.failover, let at = request.scheduledAt {
            var schedule: JSONObject = ["at": .string(at)]
            schedule["from"] = request.leader.map { .string($0) }
            schedule["to"] = request.candidate.map { .string($0) }
            object["scheduled_switchover"] = .object(schedule)
        }
        object["scope"] = .string(scope)
        return object
    }

    private static func member(
        _ member: Member, _ view: ClusterView, _ settings: DynamicConfiguration
    ) -> JSONObject {
        let isLeader = member.name == view.leaderName
        let role = role(member, isLeader, view, settings)
        let state = role == "leader" ? member.state : member.replicationState ?? member.state
        var object: JSONObject = [
            "name": .string(member.name), "role": .string(role), "state": .string(state ?? ""),
            "api_url": member.apiURL.map { .string(Secrets.masked($0)) } ?? .null,
        ]
        if let address = member.address {
            object["host"] = .string(address.host)
            object["port"] = .int(Int64(address.port))
        }
        let shown = [
            "timeline", "pending_restart", "pending_restart_reason", "scheduled_restart", "tags",
            "slots_beyond_warning",
        ]
        for key in shown { object[key] = member.data[key] }
        if !isLeader { addLags(member, view, to: &object) }
        return object
    }

    private static func role(
        _ member: Member, _ isLeader: Bool, _ view: ClusterView, _ settings: DynamicConfiguration
    ) -> String {
        if isLeader { return settings.isStandbyCluster && member.role != .primary ? "standby_leader" : "leader" }
        if view.isSynchronousStandby(member.name, settings) {
            return settings.synchronousMode == .quorum ? "quorum_standby" : "sync_standby"
        }
        return "replica"
    }

    private static func addLags(_ member: Member, _ view: ClusterView, to object: inout JSONObject) {
        let positions = [
            ("receive_", member.receivedPosition), ("replay_", member.replayedPosition), ("", member.position),
        ]
        for (prefix, position) in positions {
            if let position, position != .zero {
                object[prefix + "lag"] = .int(max(0, view.status.optime - position))
                object[prefix + "lsn"] = .string(position.description)
            } else {
                // Patroni's order differs here from the one above, and clients see it (rest-api.md §9).
                object[prefix + "lsn"] = "unknown"
                object[prefix + "lag"] = "unknown"
            }
        }
    }
}
