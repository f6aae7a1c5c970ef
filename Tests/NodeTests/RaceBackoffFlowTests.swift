import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// `primary_race_backoff` in the cycle: who waits is awake when it is over, however the cycles fall.
@Suite struct RaceBackoffFlowTests {
    private static let began = BootInstant(nanoseconds: 1_000_000_000_000)
    private static let settings: JSONObject = [
        "ttl": 30, "loop_wait": 10, "retry_timeout": 10, "primary_race_backoff": 25,
    ]

    private static func view(leader: String?) -> ClusterView {
        ClusterView(
            revision: 9, initialize: .value("7400000000000000001"), config: ConfigRecord(data: settings, revision: 3),
            leader: leader.map { LeaderRecord(name: $0, session: "s", revision: 4) },
            members: [Member(name: "n2", data: ["role": "primary", "state": "running", "matriarch": "1"])],
            status: StatusRecord(optime: WALPosition(1000)))
    }

    private static func local(_ now: BootInstant, at position: UInt64) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
            facts: .init(
                inRecovery: true, timeline: 1, receivedPosition: WALPosition(position),
                replayedPosition: WALPosition(position), receiver: .init(isStreaming: true)),
            systemIdentifier: "7400000000000000001", hasStandbySignal: true, observedAt: now)
    }

    /// A cycle that the timer begins, and in which this is seen.
    private static func cycle(
        _ machine: inout CycleMachine, after passed: Int, leader: String?, at position: UInt64
    ) -> BootInstant {
        let now = began + .seconds(passed)
        for event: CycleEvent in [
            .timer, .node(.observed(local(now, at: position))), .store(.loaded(.success(view(leader: leader)))),
            .store(.touched(.success(()))),
        ] {
            _ = machine.step(event, now: now, wallTime: 0)
        }
        return machine.snapshot().nextCycle
    }

    @Test func theNextCycleComesWhenTheWaitIsOver() {
        var machine = CycleMachine(
            CycleMachine.Setup(
                scope: "test", me: NodeIdentity(name: "n1"),
                addresses: MemberKey.Addresses(
                    connectionURL: "postgres://n1", apiURL: "http://n1", version: "4.1.5", ownVersion: "1"),
                document: Self.settings), now: Self.began)
        machine.memory.following = .upstream(nil)
        let under = Self.cycle(&machine, after: 0, leader: "n2", at: 1000)
        #expect(under == Self.began + .seconds(10))
        let free = Self.cycle(&machine, after: 10, leader: nil, at: 1000)
        #expect(free == Self.began + .seconds(20))
        #expect(machine.told.decision?.reasons.map(\.code) == ["leader-may-return"])
        let moved = Self.cycle(&machine, after: 20, leader: nil, at: 1100)
        #expect(moved == Self.began + .seconds(30))
        #expect(machine.told.decision?.reasons.map(\.code) == ["wal-arrives"])
        // Not ten seconds later.
        let last = Self.cycle(&machine, after: 30, leader: nil, at: 1200)
        #expect(last == Self.began + .seconds(35))
    }
}
