import ClusterModel
import HighAvailability

/// How the log keeps up with what is written to it.
public struct LogQueue: Sendable, Hashable {
    /// Records that wait to be written.
    public var waiting: Int
    /// Records that were dropped since the start.
    public var lost: Int

    public init(waiting: Int = 0, lost: Int = 0) {
        self.waiting = waiting
        self.lost = lost
    }
}

/// The body of `GET /patroni` and of every health check (rest-api.md §8), from the published snapshot.
enum StatusDocument {
    /// The document in the order that clients know. `now` ends a cached view that is too old.
    static func object(_ snapshot: NodeSnapshot, now: BootInstant, log: LogQueue = LogQueue()) -> JSONObject {
        let local = snapshot.local
        let view = snapshot.cachedView(at: now)
        var object: JSONObject = ["state": .string(state(local, snapshot.settings))]
        if let facts = local.facts {
            object["postmaster_start_time"] = .string(facts.postmasterStartTime)
            object["role"] = .string(role(snapshot, now: now).rawValue)
            object["server_version"] = .int(Int64(facts.serverVersion))
            object["xlog"] = .object(positions(facts))
        } else {
            object["role"] = .string(snapshot.role.rawValue)
        }
        if isSynchronousStandby(snapshot, view, now: now) {
            let quorum = snapshot.settings.synchronousMode == .quorum
            object[quorum ? "quorum_standby" : "sync_standby"] = true
        }
        if let facts = local.facts { addReplication(facts, to: &object) }
        if snapshot.settings.isPaused { object["pause"] = true }
        if view?.isUnlocked ?? true { object["cluster_unlocked"] = true }
        if snapshot.isFailsafeActive(at: now) { object["failsafe_mode_is_active"] = true }
        object["dcs_last_seen"] = .int(snapshot.storeLastSeen)
        if !snapshot.me.tags.published.isEmpty { object["tags"] = .object(snapshot.me.tags.published) }
        if let identifier = local.systemIdentifier, snapshot.running?.plan.kind != .bootstrap {
            object["database_system_identifier"] = .string(identifier)
        }
        addStanding(local, to: &object)
        if snapshot.me.requiresWatchdog, local.watchdogObstacle != nil { object["watchdog_failed"] = true }
        object["patroni"] = [
            "version": .string(snapshot.version), "scope": .string(snapshot.scope), "name": .string(snapshot.me.name),
        ]
        if !snapshot.settings.timingWarnings.isEmpty {
            object["adjusted_timings"] = .object(timings(snapshot.settings))
        }
        if let guarding = snapshot.guarding { object["guardian"] = .object(guardian(guarding, now: now)) }
        if let request = snapshot.scheduledRestart {
            object["scheduled_restart"] = .object(request.json(withStartTime: false))
        }
        addLog(log, to: &object)
        object["needs_operator"] = (snapshot.decision?.needsOperator).map { .string($0) }
        // Ours alone: what this node is busy with, for whoever wants to hand over to it.
        if let kind = snapshot.running?.plan.kind, kind.isAway { object["operation"] = .string(kind.name) }
        addStandsBack(snapshot, now, to: &object)
        // Ours alone: what a restart would bring, after packages were replaced.
        object["installed_server_version"] = local.installedVersion.map { .int(Int64($0)) }
        // Ours alone: what holds up a stop.
        object["waiting_for"] = local.waitingFor.map { .string($0) }
        // Ours alone: why a server that should run is `unknown`.
        if snapshot.isExpired(at: now) { object["facts_expired"] = true }
        return object
    }

    /// Ours alone: what of its own keeps it from leading for a while.
    private static func addStandsBack(_ snapshot: NodeSnapshot, _ now: BootInstant, to object: inout JSONObject) {
        let objections = snapshot.standsBack(at: now)
        if !objections.isEmpty { object["stands_back"] = .array(objections.map(\.json)) }
    }

    private static func addStanding(_ local: PostgreSQLStatus, to object: inout JSONObject) {
        // Ours alone: it has no voice by `/sync`, who asks for votes counts none.
        if local.isUnproven { object["unproven_copy"] = true }
        if local.pendingRestart.isEmpty { return }
        object["pending_restart"] = true
        object["pending_restart_reason"] = .object(MemberKey.pendingRestartReason(local))
    }

    /// Ours alone: the times in force where `/config` asks for others that do not fit.
    static func timings(_ settings: DynamicConfiguration) -> JSONObject {
        let timings = settings.timings
        var object: JSONObject = [
            "ttl": .double(timings.ttl.inSeconds), "loop_wait": .double(timings.loopWait.inSeconds),
            "retry_timeout": .double(timings.retryTimeout.inSeconds),
        ]
        object["failsafe_timeout"] = timings.failsafeTimeout.map { .double($0.inSeconds) }
        object["why"] = .array(settings.timingWarnings.map { .string($0) })
        return object
    }

    /// Only while lines wait: a log that keeps up is nothing to tell of.
    private static func addLog(_ log: LogQueue, to object: inout JSONObject) {
        guard log.waiting > 2 else { return }
        object["logger_queue_size"] = .int(Int64(log.waiting))
        if log.lost > 0 { object["logger_records_lost"] = .int(Int64(log.lost)) }
    }

    /// Ours alone: whether PostgreSQL is guarded, and for how long it may accept writes.
    static func guardian(_ guarding: Guarding, now: BootInstant) -> JSONObject {
        var object: JSONObject = ["armed": .bool(guarding.acknowledged != nil)]
        if let lease = guarding.acknowledged {
            object["lease_remaining_seconds"] = .double(Double(Int((lease.deadline - now).inSeconds * 1000)) / 1000)
        }
        if let status = guarding.status, status.pid > 0 {
            object["pid"] = .int(Int64(status.pid))
            object["postmaster"] = status.postmaster.map { .int(Int64($0)) } ?? .null
            object["parent_of_postmaster"] = .bool(status.isParent)
            if let stop = status.lastStop {
                object["last_stop"] = [
                    "seconds_ago": .int((now - stop.at).nanoseconds / 1_000_000_000), "killed": .bool(stop.wasKilled),
                ]
            }
        }
        object["failure"] = guarding.failure.map { .string($0) }
        return object
    }

    /// `unknown` for a server that should answer and does not (rest-api.md §8.2).
    static func state(_ local: PostgreSQLStatus, _ settings: DynamicConfiguration = DynamicConfiguration()) -> String {
        local.facts == nil && local.state == .running ? "unknown" : shownState(local, settings).rawValue
    }

    /// By its own word where PostgreSQL answers, by what the node last knew where it does not. The leader of a standby
    /// cluster is in recovery like all others: the lease tells it apart.
    static func role(_ snapshot: NodeSnapshot, now: BootInstant) -> NodeRole {
        guard let facts = snapshot.local.facts else { return snapshot.role }
        guard facts.inRecovery else { return .primary }
        return snapshot.settings.isStandbyCluster && snapshot.isLeader(at: now) ? .standbyLeader : .replica
    }

    static func isSynchronousStandby(_ snapshot: NodeSnapshot, _ view: ClusterView?, now: BootInstant) -> Bool {
        role(snapshot, now: now) == .replica
            && (view?.isSynchronousStandby(snapshot.me.name, snapshot.settings) ?? false)
    }

    /// A standby that never streamed has received what it has replayed.
    static func received(_ facts: PostgreSQLStatus.Facts) -> WALPosition {
        facts.receivedPosition == .zero ? facts.replayedPosition : facts.receivedPosition
    }

    private static func positions(_ facts: PostgreSQLStatus.Facts) -> JSONObject {
        guard facts.inRecovery else { return ["location": facts.writePosition.json] }
        return [
            "received_location": received(facts).json,
            "replayed_location": facts.replayedPosition.json,
            "replayed_timestamp": facts.replayedTimestamp.map { .string($0) } ?? .null,
            "paused": .bool(facts.replayPaused),
        ]
    }

    private static func addReplication(_ facts: PostgreSQLStatus.Facts, to object: inout JSONObject) {
        object["timeline"] = facts.timeline.map { .int(Int64($0)) } ?? .null
        object["replication_state"] = facts.replicationState.map { .string($0) }
        if facts.walSenders.isEmpty { return }
        object["replication"] = .array(
            facts.walSenders.map { sender in
                [
                    "usename": .string(sender.userName), "application_name": .string(sender.applicationName),
                    "client_addr": sender.clientAddress.map { .string($0) } ?? .null, "state": .string(sender.state),
                    "sync_state": .string(sender.syncState), "sync_priority": .int(Int64(sender.syncPriority)),
                ]
            })
    }
}
