import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// After a plan that failed: what is said, and when it is tried again.
@Suite struct FailedPlanTests {
    private static let began = BootInstant(nanoseconds: 1_000_000_000_000)
    private static let identifier = "7400000000000000001"

    private struct Scene {
        var machine: CycleMachine
        var now = FailedPlanTests.began
        var log: [(level: CycleEffect.LogLevel, text: String)] = []

        init() {
            machine = CycleMachine(
                CycleMachine.Setup(
                    scope: "test", me: NodeIdentity(name: "n1"),
                    addresses: MemberKey.Addresses(
                        connectionURL: "postgres://n1", apiURL: "http://n1", version: "4.1.5", ownVersion: "1"),
                    document: ["ttl": 30, "loop_wait": 10, "retry_timeout": 10]), now: now)
        }

        @discardableResult
        mutating func step(_ event: CycleEvent, after pause: Duration = .zero) -> [CycleEffect] {
            now = now + pause
            let effects = machine.step(event, now: now, wallTime: 0)
            log += effects.compactMap { if case .local(.log(let level, let text)) = $0 { (level, text) } else { nil } }
            return effects
        }

        func errors(_ text: String) -> Int { log.count { $0.level == .error && $0.text.contains(text) } }

        /// A cycle in which `status` is seen.
        mutating func cycle(_ status: PostgreSQLStatus) -> [CycleEffect] {
            let next = max(.zero, machine.schedule.next - now)
            var effects = step(.timer, after: next)
            effects += step(.store(.loaded(.success(FailedPlanTests.view))))
            effects += step(.node(.observed(status)))
            // After a start that failed the node compares with the leader first.
            if effects.contains(where: { if case .node(.compare) = $0 { true } else { false } }) {
                effects += step(.node(.compared(.success(FailedPlanTests.same))))
            }
            step(.store(.touched(.success(()))))
            return effects
        }
    }

    private static let view = ClusterView(
        revision: 9, initialize: .value(identifier),
        config: ConfigRecord(data: ["ttl": 30, "loop_wait": 10, "retry_timeout": 10], revision: 3),
        leader: LeaderRecord(name: "n2", session: "s", revision: 4),
        members: [
            Member(
                name: "n2",
                data: [
                    "role": "primary", "state": "running", "conn_url": "postgres://127.0.0.1:5432/postgres",
                    "api_url": "http://127.0.0.1:8008/patroni", "matriarch": "1",
                ])
        ])

    private static let same = DivergenceFacts(
        localTimeline: 1, localPosition: WALPosition(1000), localInRecovery: true, sourceTimeline: 1,
        sourceInRecovery: false,
        sourceHistory: [])

    private static func stopped(_ now: BootInstant) -> PostgreSQLStatus {
        PostgreSQLStatus(
            dataDirectory: .initialized, state: .stopped,
            control: ControlData(
                state: .shutDownInRecovery, systemIdentifier: identifier, checkpoint: WALPosition(1000),
                checkpointTimeline: 1),
            systemIdentifier: identifier, hasStandbySignal: true, observedAt: now)
    }

    private static func number(_ effects: [CycleEffect]) -> Int? {
        effects.lazy.compactMap { if case .node(.perform(_, _, let plan)) = $0 { plan } else { nil } }.first
    }

    /// The disk hangs: nothing is seen of the directory after the plan, and that is what is decided by.
    @Test func aDiskThatHangsIsToldAndWaitedFor() throws {
        var scene = Scene()
        let plan = try #require(Self.number(scene.cycle(Self.stopped(scene.now))))
        let error = PostgreSQLError.timedOut("the data directory")
        scene.step(.node(.performed(plan: plan, .failure(error))), after: .seconds(10))
        let ended = scene.now
        let asked = scene.step(.timer, after: max(.zero, scene.machine.schedule.next - scene.now))
        let since = asked.lazy.compactMap { effect -> BootInstant? in
            if case .node(.observe(let since, _)) = effect { since } else { nil }
        }.first
        #expect(since == ended, "what was seen before the plan is no answer")
        scene.step(.store(.loaded(.success(Self.view))))
        let unseen = PostgreSQLStatus(dataDirectory: .unseen("/data hangs"), state: .stopped, observedAt: ended)
        let effects = scene.step(.node(.observed(unseen)), after: .seconds(4))
        #expect(scene.machine.isIdle, "the cycle has come to its end")
        #expect(scene.log.contains { $0.level == .warning && $0.text.contains("/data hangs") })
        let told = effects.compactMap { effect -> String? in
            if case .store(.touch(let value, _, _), _) = effect { value["needs_operator"]?.string } else { nil }
        }
        #expect(told.contains { $0.contains("/data hangs") && $0.contains("disk") })
        #expect(scene.machine.snapshot().decision?.needsOperator?.contains("/data hangs") == true)
        let pause = scene.machine.schedule.next - scene.now
        #expect(pause > .zero && pause <= .seconds(10))
        // Nothing is begun on it; the disk is back, and the node goes on.
        #expect(Self.number(effects) == nil)
        scene.step(.store(.touched(.success(()))))
        scene.now = scene.machine.schedule.next
        #expect(Self.number(scene.cycle(Self.stopped(scene.now))) != nil)
    }

    /// Who may accept writes beside a leader is not left alone for a loop_wait.
    @Test func theEndOfAServerThatMayAcceptWritesIsTriedAsSoonAsEver() throws {
        var scene = Scene()
        for _ in 0..<6 {
            scene.now = max(scene.now, scene.machine.schedule.next)
            var status = Self.stopped(scene.now)
            (status.state, status.postmaster, status.readiness) = (.starting, 100, .rejecting)
            (status.control, status.hasStandbySignal) = (nil, false)
            let plan = try #require(Self.number(scene.cycle(status)))
            scene.step(.node(.performed(plan: plan, .failure(.timedOut("the stop")))))
            #expect(scene.machine.schedule.next - scene.now == .seconds(1))
        }
    }

    /// A text that says the same again is told once, and what fails is tried ever more seldom, up to once in loop_wait.
    @Test func thePausesGrowAndTheLogSaysItOnce() throws {
        var scene = Scene()
        var pauses: [Duration] = []
        for _ in 0..<8 {
            var plan: Int?
            while plan == nil {
                scene.now = max(scene.now, scene.machine.schedule.next)
                plan = Self.number(scene.cycle(Self.stopped(scene.now)))
            }
            scene.step(.node(.performed(plan: try #require(plan), .failure(.failed("no space left on device")))))
            pauses.append(scene.machine.schedule.next - scene.now)
        }
        #expect(pauses == pauses.sorted())
        #expect(pauses.first == .seconds(1) && pauses.last == .seconds(10))
        #expect(scene.errors("no space left on device") == 1)
    }
}
