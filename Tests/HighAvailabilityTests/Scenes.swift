import ClusterModel
import HighAvailability
import Testing

/// Builders for observations: a cluster `n1`, `n2`, `n3` in which the deciding node is `n1`.
enum Scene {
    static let identifier = "7400000000000000001"
    static let now = BootInstant(nanoseconds: 1_000_000_000_000)

    static func member(
        _ name: String, role: String = "replica", state: String = "running", timeline: Int64 = 1,
        tags: JSONObject = [:],
        checkpointPending: Bool = false
    ) -> Member {
        let number = name.dropFirst()
        var data: JSONObject = [
            "conn_url": .string("postgres://127.0.0.1:543\(number)/postgres"),
            "api_url": .string("http://127.0.0.1:800\(number)/patroni"), "state": .string(state), "role": .string(role),
            "version": "4.1.5", "timeline": .int(timeline),
        ]
        if checkpointPending { data["checkpoint_after_promote"] = false }
        if !tags.isEmpty { data["tags"] = .object(tags) }
        return Member(name: name, data: data)
    }

    static func view(
        leader: String? = nil, members: [Member]? = nil, initialize: ClusterView.Initialization = .value(identifier),
        config: JSONObject? = ["ttl": 30], optime: UInt64 = 1000, failover: FailoverRequest? = nil,
        sync: SyncState = SyncState(), history: TimelineHistory = TimelineHistory(), failsafe: [String: String]? = nil
    ) -> ClusterView {
        ClusterView(
            revision: 10, initialize: initialize, initializeRevision: 2,
            config: config.map { ConfigRecord(data: $0, revision: 3) },
            leader: leader.map { LeaderRecord(name: $0, session: "s-\($0)", revision: 4) },
            members: members
                ?? ["n1", "n2", "n3"].map { member($0, role: $0 == leader ? "primary" : "replica") },
            status: StatusRecord(optime: WALPosition(optime)), failover: failover, sync: sync, history: history,
            failsafe: failsafe)
    }

    /// `n2` and `n3` stream from it, unless others are named.
    static func primary(
        timeline: TimelineID = 1, at position: UInt64 = 1000, sendsTo receivers: [String] = ["n2", "n3"]
    ) -> PostgreSQLStatus {
        let senders = receivers.map {
            PostgreSQLStatus.WALSender(
                userName: "replicator", applicationName: $0, clientAddress: nil, state: "streaming",
                syncState: "async", syncPriority: 0)
        }
        return PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
            facts: .init(
                inRecovery: false, timeline: timeline, writePosition: WALPosition(position), walSenders: senders),
            systemIdentifier: identifier, observedAt: now)
    }

    static func standby(
        timeline: TimelineID? = 1, at position: UInt64 = 1000, streaming: Bool = true, canRewind: Bool = true
    ) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
            facts: .init(
                inRecovery: true, timeline: timeline, receivedPosition: WALPosition(position),
                replayedPosition: WALPosition(position), receiver: .init(isStreaming: streaming)),
            systemIdentifier: identifier, hasStandbySignal: true, canRewind: canRewind, observedAt: now)
    }

    static func stopped(
        _ state: ControlData.ClusterState = .inProduction, timeline: TimelineID = 1, standbySignal: Bool = false,
        canRewind: Bool = true, walEnd: UInt64? = nil
    ) -> PostgreSQLStatus {
        var status = PostgreSQLStatus(
            dataDirectory: .initialized, state: .stopped,
            control: ControlData(
                state: state, systemIdentifier: identifier, checkpoint: WALPosition(1000), checkpointTimeline: timeline),
            systemIdentifier: identifier, hasStandbySignal: standbySignal, canRewind: canRewind, observedAt: now)
        status.walEnd = walEnd.map(WALPosition.init)
        return status
    }

    static let empty = PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: now)

    static func lease(heldFor age: Duration = .zero, ttl: Duration = .seconds(30)) -> Lease {
        Lease(since: now - age, ttl: ttl, session: "s-n1")
    }

    static func seen(
        _ view: ClusterView?, _ local: PostgreSQLStatus, lease: Lease? = nil, renewal: Observation.Renewal? = nil,
        peers: [String: PeerAnswer]? = nil, divergence: Observation.Divergence? = nil, running: RunningPlan? = nil,
        settings: JSONObject = [:], storeFailure: String? = nil, tags: JSONObject = [:], canBootstrap: Bool = true,
        wallTime: Int64 = 0
    ) -> Observation {
        Observation(
            now: now, wallTime: wallTime, me: NodeIdentity(name: "n1", tags: Tags(tags), canBootstrap: canBootstrap),
            settings: DynamicConfiguration(document: settings) ?? DynamicConfiguration(), view: view,
            storeFailure: storeFailure, local: local, lease: lease, renewal: renewal, peers: peers,
            divergence: divergence, running: running)
    }

    static func peer(
        _ position: UInt64, primary: Bool = false, timeline: TimelineID = 1, tags: JSONObject = [:]
    ) -> PeerAnswer {
        .status(
            PeerStatus(isPrimary: primary, position: WALPosition(position), timeline: timeline, tags: Tags(tags)))
    }

    static func decided(_ seen: Observation, _ memory: Memory = Memory()) -> (Decision, Memory) {
        var memory = memory
        let decision = decide(seen, &memory)
        return (decision, memory)
    }

    static let unreachable = PeerAnswer.unreachable("connection refused")

    static func upstream(_ name: String) -> Upstream {
        Upstream(name: name, address: HostPort(host: "127.0.0.1", port: 5430 + (Int(name.dropFirst()) ?? 0)))
    }
}

/// One row of a table: what is seen, and what is decided.
struct Row: Sendable, CustomStringConvertible {
    let description: String
    let seen: Observation
    var memory = Memory()
    let expected: Expectation
    /// The codes of the reasons, in their order.
    let because: [String]

    /// What a decision must be like; the whole action where it matters, its kind where the plan has its own test.
    enum Expectation: Sendable {
        case action(Action)
        case plan(Plan.Kind)
        case breakOff(Plan.Kind)
        case asks(Set<String>)

        func matches(_ decision: Decision) -> Bool {
            switch (self, decision.action) {
            case (.action(let wanted), let action): wanted == action
            case (.plan(let kind), .carryOut(let plan)): plan.kind == kind
            case (.breakOff(let kind), .breakOff(let plan)): plan.kind == kind
            case (.asks(let names), .ask(.peers(let members))): names == Set(members.map(\.name))
            case (.plan, _), (.breakOff, _), (.asks, _): false
            }
        }
    }

    /// The decision and its reasons are as the row says.
    func check(sourceLocation: SourceLocation = #_sourceLocation) {
        let (decision, _) = Scene.decided(seen, memory)
        #expect(expected.matches(decision), "\(self): \(decision)", sourceLocation: sourceLocation)
        let codes = decision.reasons.map(\.code)
        #expect(codes == because, "\(self): \(decision)", sourceLocation: sourceLocation)
    }
}

extension Memory {
    /// As the cycle has it begin what was decided.
    mutating func begins(_ decision: Decision) {
        switch decision.action {
        case .carryOut(let plan): begins(plan)
        case .breakOff(let plan): begins(plan, breaksOff: true)
        case .wait, .ask, .acquireLeader, .releaseLeader, .initializeCluster, .write, .exit: break
        }
    }
}
