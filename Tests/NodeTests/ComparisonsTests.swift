import ClusterModel
import HighAvailability
import Ports
import Synchronization
import Testing

@testable import Node

/// A comparison that gives the same again and again is asked for ever more seldom, and only waiting comes of an old
/// one.
@Suite struct ComparisonsTests {
    private static let began = BootInstant(nanoseconds: 1_000_000_000_000)
    private static let identifier = "7400000000000000001"

    private static func seen(at instant: BootInstant, leader: String = "n2", position: UInt64 = 100) -> Observation {
        let member = Member(
            name: leader,
            data: [
                "role": "primary", "state": "running", "conn_url": "postgres://127.0.0.1:5432/postgres", "timeline": 2,
            ])
        let view = ClusterView(
            revision: 9, initialize: .value(identifier),
            leader: LeaderRecord(name: leader, session: "s", revision: 4), members: [member])
        let local = PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, postmaster: 100, readiness: .accepting,
            facts: .init(inRecovery: true, timeline: 1, replayedPosition: WALPosition(position)),
            systemIdentifier: identifier, hasStandbySignal: true, observedAt: instant)
        return Observation(now: instant, me: NodeIdentity(name: "n1"), view: view, local: local)
    }

    @Test func pausesGrowAndAreBounded() {
        var comparisons = Comparisons()
        var asked: [Int] = []
        for second in 0..<200 {
            let seen = Self.seen(at: Self.began + .seconds(second))
            if comparisons.answer(for: seen) != nil { continue }
            asked.append(second)
            comparisons.note(.unavailable("refused"), in: seen)
        }
        #expect(asked == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181])
    }

    @Test func whatItRestsOnHasChanged() {
        var comparisons = Comparisons()
        for _ in 0..<9 { comparisons.note(.unavailable("refused"), in: Self.seen(at: Self.began)) }
        #expect(comparisons.answer(for: Self.seen(at: Self.began)) == .unavailable("refused"))
        #expect(comparisons.answer(for: Self.seen(at: Self.began, leader: "n3")) == nil)
        #expect(comparisons.answer(for: Self.seen(at: Self.began, position: 200)) == nil)
    }

    /// The node would start: it compares anew before it does.
    @Test func whoActsAsksAnew() throws {
        let seen = Shown()
        var setup = CycleMachine.Setup(
            scope: "test", me: NodeIdentity(name: "n1"),
            addresses: MemberKey.Addresses(
                connectionURL: "postgres://n1", apiURL: "http://n1", version: "4.1.5", ownVersion: "1"),
            document: ["ttl": 30])
        setup.rules.decide = { observation, memory in
            memory.failedStarts += 1
            let action = seen.note(observation)
            return Decision(observation.divergence == nil && action != .wait ? .ask(.peers([])) : action)
        }
        var machine = CycleMachine(setup, now: Self.began)
        Self.cycle(&machine)
        machine.sight.comparisons.note(.unavailable("refused"), in: try #require(seen.take().last))
        for action in [Action.wait, .releaseLeader] {
            seen.answer(action)
            let before = machine.memory.failedStarts
            Self.cycle(&machine)
            let answers = seen.take().map(\.divergence)
            #expect(answers == (action == .wait ? [.unavailable("refused")] : [.unavailable("refused"), nil]))
            #expect(machine.memory.failedStarts == before + 1, "of a decision that is dropped nothing is remembered")
        }
    }

    /// What the rules were shown, and what they are to answer.
    private final class Shown: Sendable {
        private let state = Mutex<(shown: [Observation], action: Action)>(([], .wait))

        func note(_ observation: Observation) -> Action {
            state.withLock { state in
                state.shown.append(observation)
                return state.action
            }
        }

        func answer(_ action: Action) { state.withLock { $0.action = action } }

        func take() -> [Observation] {
            state.withLock { state in
                defer { state.shown = [] }
                return state.shown
            }
        }
    }

    private static func cycle(_ machine: inout CycleMachine) {
        let seen = seen(at: began)
        _ = machine.step(.woken("test"), now: began, wallTime: 0)
        _ = machine.step(.node(.observed(seen.local)), now: began, wallTime: 0)
        guard let view = seen.view else { return }
        _ = machine.step(.store(.loaded(.success(view))), now: began, wallTime: 0)
    }
}
