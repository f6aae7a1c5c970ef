import ClusterModel
import HighAvailability

/// Snapshots of the node `pg-b` in the cluster `orders`, and views of that cluster.
enum Scene {
    static let now = BootInstant(nanoseconds: 1_000_000_000_000)
    static let identifier = "7400000000000000001"

    static func snapshot(
        _ local: PostgreSQLStatus = standby(), view: ClusterView? = view(leader: "pg-a"), role: NodeRole = .replica,
        lease: Lease? = nil, settings: JSONObject = [:], tags: JSONObject = [:], storeFailure: String? = nil,
        running: RunningPlan? = nil, name: String = "pg-b", nextCycle: BootInstant = now
    ) -> NodeSnapshot {
        NodeSnapshot(
            scope: "orders", version: "4.1.5", me: NodeIdentity(name: name, tags: Tags(tags)),
            settings: DynamicConfiguration(document: settings) ?? DynamicConfiguration(), view: view,
            viewAt: view == nil ? nil : now, storeFailure: storeFailure, storeLastSeen: 1_801_645_201, local: local,
            role: role, lease: lease, running: running, decision: nil, nextCycle: nextCycle)
    }

    static let held = Lease(since: now, ttl: .seconds(30), session: "1")
    static let expired = Lease(since: now - .seconds(30), ttl: .seconds(30), session: "1")

    /// The leader as everything should be.
    static func leading(_ settings: JSONObject = [:], lease: Lease? = held) -> NodeSnapshot {
        snapshot(primary(), view: view(leader: "pg-b"), role: .primary, lease: lease, settings: settings)
    }

    static func primary(at position: UInt64 = 251_658_240) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
            facts: .init(
                inRecovery: false, timeline: 4, writePosition: WALPosition(position), serverVersion: 170_002,
                postmasterStartTime: "2027-02-03 04:05:06.70809+00:00"), systemIdentifier: identifier,
            observedAt: now)
    }

    static func standby(
        received: UInt64 = 251_658_240, replayed: UInt64 = 251_658_000, streaming: Bool = true, latestEnd: UInt64 = 0,
        restoreCommand: Bool = false
    ) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
            facts: .init(
                inRecovery: true, timeline: 4, receivedPosition: WALPosition(received),
                replayedPosition: WALPosition(replayed), replayedTimestamp: "2027-02-03 09:00:01.5+00:00",
                receiver: .init(isStreaming: streaming, latestEnd: WALPosition(latestEnd)),
                hasRestoreCommand: restoreCommand, serverVersion: 170_002,
                postmasterStartTime: "2027-02-03 04:05:06.70809+00:00"), systemIdentifier: identifier,
            hasStandbySignal: true, observedAt: now)
    }

    /// PostgreSQL without anything that SQL would tell.
    static func silent(_ state: PostgreSQLState, standbySignal: Bool = true) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: state, postmaster: state == .stopped ? nil : 100,
            systemIdentifier: identifier, hasStandbySignal: standbySignal, observedAt: now)
    }

    static func member(_ name: String, _ data: JSONObject = [:]) -> Member {
        let host = "192.0.2.\((name.last?.asciiValue ?? 96) - 96)"
        var value: JSONObject = [
            "conn_url": .string("postgres://\(host):5432/postgres"),
            "api_url": .string("https://\(host):8008/patroni"), "state": "running", "role": "replica",
        ]
        for member in data.members { value[member.key] = member.value.isNull ? nil : member.value }
        return Member(name: name, data: value)
    }

    static func view(
        leader: String?, members: [Member]? = nil, config: JSONObject? = ["ttl": 30], optime: UInt64 = 251_658_240,
        failover: FailoverRequest? = nil, sync: SyncState = SyncState(), history: TimelineHistory = TimelineHistory(),
        failsafe: [String: String]? = nil, revision: Int64 = 10
    ) -> ClusterView {
        ClusterView(
            revision: Revision(revision), initialize: .value(identifier), initializeRevision: 2,
            config: config.map { ConfigRecord(data: $0, revision: 3) },
            leader: leader.map { LeaderRecord(name: $0, session: "1", revision: 4) },
            members: members ?? ["pg-a", "pg-b", "pg-c"].map { member($0) },
            status: StatusRecord(optime: WALPosition(optime)), failover: failover, sync: sync, history: history,
            failsafe: failsafe)
    }

    static func usable(_ tags: JSONObject = [:], watchdogFailed: Bool = false) -> PeerAnswer {
        .status(
            PeerStatus(
                isPrimary: false, position: WALPosition(1), timeline: 4, tags: Tags(tags),
                watchdogFailed: watchdogFailed))
    }
}
