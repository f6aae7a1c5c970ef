import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// What is on its way is observed at least once a second, and the member key follows at once.
@Suite struct LookingTests {
    private static let settings: JSONObject = ["ttl": 30, "loop_wait": 10, "retry_timeout": 10]
    private static let identifier = "7400000000000000001"

    private static func view(optime: UInt64) -> ClusterView {
        let primary = Member(
            name: "n2",
            data: [
                "role": "primary", "state": "running", "conn_url": "postgres://127.0.0.1:5432/postgres",
                "api_url": "http://127.0.0.1:8008/patroni", "matriarch": "1",
            ])
        return ClusterView(
            revision: 9, initialize: .value(identifier), config: ConfigRecord(data: settings, revision: 3),
            leader: LeaderRecord(name: "n2", session: "s", revision: 4), members: [primary],
            status: StatusRecord(optime: WALPosition(optime)))
    }

    private static func local(
        _ now: BootInstant, streaming: Bool?, at position: UInt64, accepting: Bool = true
    ) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: accepting ? .running : .starting, postmaster: 100,
            readiness: accepting ? .accepting : .rejecting,
            facts: accepting
                ? .init(
                    inRecovery: true, timeline: 1, receivedPosition: WALPosition(position),
                    replayedPosition: WALPosition(position), receiver: streaming.map { .init(isStreaming: $0) })
                : nil,
            systemIdentifier: identifier, hasStandbySignal: true, observedAt: now)
    }

    /// A follower after a cycle in which `local` was seen.
    private static func follower(_ local: (BootInstant) -> PostgreSQLStatus, optime: UInt64, _ now: BootInstant)
        -> CycleMachine
    {
        var machine = CycleMachine(
            CycleMachine.Setup(
                scope: "test", me: NodeIdentity(name: "n1"),
                addresses: MemberKey.Addresses(
                    connectionURL: "postgres://n1", apiURL: "http://n1", version: "4.1.5", ownVersion: "1"),
                document: settings), now: now)
        machine.memory.following = .upstream(
            Upstream(name: "n2", address: HostPort(host: "127.0.0.1", port: 5432)))
        for event: CycleEvent in [
            .timer, .node(.observed(local(now))), .store(.loaded(.success(view(optime: optime)))),
        ] {
            _ = machine.step(event, now: now, wallTime: 0)
        }
        _ = machine.step(.store(.touched(.success(()))), now: now, wallTime: 0)
        return machine
    }

    private static func observes(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .node(.observe) = $0 { true } else { false } }
    }

    private static func loads(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .store(.load, _) = $0 { true } else { false } }
    }

    private static let began = BootInstant(nanoseconds: 1_000_000_000_000)

    static let onTheirWay: [(String, Bool, Bool?, UInt64)] = [
        ("it starts", false, nil, 0), ("it does not stream yet", true, nil, 1000),
        ("its receiver waits", true, false, 1000), ("it is behind", true, true, 500),
    ]

    @Test(arguments: onTheirWay)
    func isLookedAtOnceASecond(_ what: String, accepting: Bool, streaming: Bool?, position: UInt64) {
        var machine = Self.follower(
            { Self.local($0, streaming: streaming, at: position, accepting: accepting) }, optime: 1000, Self.began)
        #expect(machine.stage == nil, "\(what)")
        for second in 1...3 {
            let now = Self.began + .seconds(second)
            let effects = machine.step(.timer, now: now, wallTime: 0)
            #expect(Self.observes(effects) && !Self.loads(effects), "\(what), second \(second)")
            let same = Self.local(now, streaming: streaming, at: position, accepting: accepting)
            let after = machine.step(.node(.observed(same)), now: now, wallTime: 0)
            #expect(!Self.loads(after), "nothing has changed, and the store is left alone")
        }
    }

    /// The old leader that came back streams: the others are told in that moment, not at the next turn.
    @Test func theMemberKeyFollowsAtOnce() {
        var machine = Self.follower({ Self.local($0, streaming: nil, at: 1000) }, optime: 1000, Self.began)
        let now = Self.began + .seconds(1)
        _ = machine.step(.timer, now: now, wallTime: 0)
        let effects = machine.step(.node(.observed(Self.local(now, streaming: true, at: 1000))), now: now, wallTime: 0)
        #expect(Self.loads(effects))
        _ = machine.step(.node(.observed(Self.local(now, streaming: true, at: 1000))), now: now, wallTime: 0)
        let end = machine.step(.store(.loaded(.success(Self.view(optime: 1000)))), now: now, wallTime: 0)
        let told = end.compactMap { effect -> String? in
            guard case .store(.touch(let value, _, _), _) = effect else { return nil }
            return value["replication_state"]?.string
        }
        #expect(told == ["streaming"])
        // It has arrived: from here on the turns of loop_wait are enough.
        #expect(machine.nextLook == nil)
    }

    @Test func whoHasArrivedIsLeftAlone() {
        var machine = Self.follower({ Self.local($0, streaming: true, at: 1000) }, optime: 1000, Self.began)
        #expect(machine.nextLook == nil)
        #expect(!Self.observes(machine.step(.timer, now: Self.began + .seconds(1), wallTime: 0)))
    }
}
