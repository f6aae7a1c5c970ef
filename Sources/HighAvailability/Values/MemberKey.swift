public import ClusterModel

/// What a node publishes of itself in `/members/<name>` (dcs.md §2.3, ha-loop.md §22).
public struct MemberKey: Sendable, Hashable {
    /// What changes only with the configuration.
    public struct Addresses: Sendable, Hashable {
        /// `postgres://host:port/database`.
        public var connectionURL: String
        /// `http(s)://host:port/patroni`.
        public var apiURL: String
        public var proxyURL: String?
        /// The version of Patroni that we are a peer of.
        public var version: String
        /// Our own version: Patroni passes over the key, and members that are ours know each other by it.
        public var ownVersion: String?

        public init(
            connectionURL: String, apiURL: String, proxyURL: String? = nil, version: String, ownVersion: String? = nil
        ) {
            self.connectionURL = connectionURL
            self.apiURL = apiURL
            self.proxyURL = proxyURL
            self.version = version
            self.ownVersion = ownVersion
        }
    }

    /// The value, in the order that readers know.
    public static func value(
        _ addresses: Addresses, _ me: NodeIdentity, role: NodeRole, local: PostgreSQLStatus,
        settings: DynamicConfiguration,
        checkpointPending: Bool, leaderTimeline: TimelineID?, scheduledRestart: RestartRequest? = nil,
        needsOperator: String? = nil, unreadySlots: [String] = []
    ) -> JSONObject {
        var object: JSONObject = [
            "conn_url": .string(addresses.connectionURL), "api_url": .string(addresses.apiURL),
            "state": .string(shownState(local, settings).rawValue), "role": .string(role.rawValue),
            "version": .string(addresses.version),
        ]
        object["matriarch"] = addresses.ownVersion.map { .string($0) }
        object["proxy_url"] = addresses.proxyURL.map { .string($0) }
        if checkpointPending { object["checkpoint_after_promote"] = false }
        if !me.tags.published.isEmpty { object["tags"] = .object(me.tags.published) }
        if !local.pendingRestart.isEmpty {
            object["pending_restart"] = true
            object["pending_restart_reason"] = .object(pendingRestartReason(local))
        }
        if let scheduledRestart { object["scheduled_restart"] = .object(scheduledRestart.json(withStartTime: true)) }
        // Ours alone: what this node waits for that no daemon can do.
        object["needs_operator"] = needsOperator.map { .string($0) }
        // Ours alone: the leader takes nobody into /sync who may lack what that would name it for.
        if local.isUnproven { object["unproven_copy"] = true }
        if let facts = local.facts {
            // Ours as well: `/cluster` tells of it wherever it is asked.
            let slots = slotsHoldingBackWAL(facts, settings).compactMap(\.slotBeyondWarning)
            if !slots.isEmpty { object["slots_beyond_warning"] = .array(slots.map { .string($0) }) }
            // Ours alone: by it nobody hands over unknowingly to who would break the readers of logical slots.
            if !unreadySlots.isEmpty { object["slots_not_ready"] = .array(unreadySlots.map { .string($0) }) }
            addPositions(of: facts, to: &object)
            // Ours alone: by it a restart is known to have happened.
            let start = facts.postmasterStartTime
            if !start.isEmpty { object["postmaster_start_time"] = .string(start) }
        }
        if settings.isPaused { object["pause"] = true }
        return object
    }

    /// Parameter to old and new value, for the member key and for `/patroni`.
    public static func pendingRestartReason(_ local: PostgreSQLStatus) -> JSONObject {
        JSONObject(
            local.pendingRestart.map { pending in
                (
                    pending.parameter,
                    ["old_value": .string(pending.oldValue), "new_value": .string(pending.newValue)]
                )
            })
    }

    private static func addPositions(of facts: PostgreSQLStatus.Facts, to object: inout JSONObject) {
        object["xlog_location"] = facts.position.json
        if facts.inRecovery {
            if facts.replayedPosition > .zero { object["replay_lsn"] = facts.replayedPosition.json }
            if facts.receivedPosition > .zero { object["receive_lsn"] = facts.receivedPosition.json }
            object["replication_state"] = facts.replicationState.map { .string($0) }
        }
        if let timeline = facts.timeline, timeline > 0 { object["timeline"] = .int(Int64(timeline)) }
    }
}

/// The state that a node shows: in pause a server that is down is its operator's, however it went (ha-loop.md §5.12).
public func shownState(_ local: PostgreSQLStatus, _ settings: DynamicConfiguration) -> PostgreSQLState {
    settings.isPaused && local.postmaster == nil && local.state == .crashed ? .stopped : local.state
}

/// The role that a node shows (rest-api.md §8.1, dcs.md §2.3). `leadsStandbys`: it holds the key of a standby
/// cluster.
public func shownRole(
    _ local: PostgreSQLStatus, running: Plan?, wasPrimary: Bool, leadsStandbys: Bool = false
) -> NodeRole {
    // What is being replaced may stand there still.
    if local.dataDirectory == .empty || local.state == .creatingReplica { return .uninitialized }
    if let role = running?.kind.traits.shownRole { return role }
    let standby: NodeRole = leadsStandbys ? .standbyLeader : .replica
    if let facts = local.facts { return facts.inRecovery ? standby : .primary }
    if local.hasStandbySignal { return standby }
    // It only archives, and somebody else may lead already.
    if running?.kind == .shutdown, local.finish != nil { return .demoted }
    return local.postmaster == nil && !wasPrimary ? .demoted : .primary
}
