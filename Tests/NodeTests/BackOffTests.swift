import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// A store that answers and refuses: no loop without a pause, and one line.
@Suite struct BackOffTests {
    private static let full = DCSError.failed("etcdserver: mvcc: database space exceeded")

    /// What a node did within some time in which every write failed at once.
    private struct Tally {
        var attempts = 0
        var renewals = 0
        var lines: [String] = []
    }

    /// Runs a standby without a leader against a store whose reads work; `isEager` wakes it all the time.
    private func run(
        _ scene: inout GuardianOrderTests.Scene, for duration: Duration, view: ClusterView, isEmpty: Bool = false,
        isWritable: Bool = false, isEager: Bool = false, error: DCSError = full
    ) -> Tally {
        var tally = Tally()
        let end = scene.now + duration
        var timer: BootInstant? = scene.now
        var answers: [CycleEvent] = []
        var steps = 0
        while scene.now < end, steps < 20_000 {
            steps += 1
            let event: CycleEvent
            if !answers.isEmpty {
                event = answers.removeFirst()
            } else if isEager {
                event = .woken("test")
            } else {
                scene.now = max(scene.now, timer ?? end)
                event = .timer
            }
            for effect in scene.step(event, after: .milliseconds(5)) {
                switch effect {
                case .local(.setTimer(let instant)): timer = instant
                case .node(.observe):
                    let empty = PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: scene.now)
                    answers.append(.node(.observed(isEmpty ? empty : scene.status(writable: isWritable))))
                case .store(.load, _), .store(.refresh, _): answers.append(.store(.loaded(.success(view))))
                case .peers(_, .decision, _): answers.append(.peers(.decision, [:]))
                case .store(.renew, _):
                    tally.renewals += 1
                    answers.append(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
                case .store(.acquire, _):
                    tally.attempts += 1
                    answers.append(.store(.acquired(.failure(error))))
                case .store(.write(.initialize, _, _, let purpose), _),
                    .store(.write(.config, _, _, let purpose), _):
                    tally.attempts += 1
                    answers.append(.store(.wrote(purpose, .failure(error))))
                case .store(.write(_, _, _, let purpose), _): answers.append(.store(.wrote(purpose, .failure(error))))
                case .store(.touch, _): answers.append(.store(.touched(.failure(error))))
                case .guardian(let order, _):
                    answers.append(.guardian(order, .success(GuardianStatus(pid: 1, postmaster: 42))))
                case .local(.log(let level, let text)) where level != .debug: tally.lines.append(text)
                default: break
                }
            }
        }
        return tally
    }

    @Test(arguments: [false, true])
    func aClaimThatIsRefusedIsNotRepeatedWithoutAPause(_ isEager: Bool) {
        var scene = GuardianOrderTests.Scene()
        let view = ShortLeaseTests.view(["n1"], config: ["ttl": 30], leader: nil)
        let tally = run(&scene, for: .seconds(30), view: view, isEager: isEager)
        // 1 + 2 + 4 + 8 s, then every loop_wait.
        #expect((3...7).contains(tally.attempts), "\(tally.attempts) attempts")
        #expect(tally.lines.count { $0.contains("claiming the leader key failed") } == 1)
        #expect(tally.lines.count { $0.contains("publishing the member key failed") } == 1)
        #expect(tally.lines.contains { $0.contains("etcdserver: mvcc: database space exceeded") })
        #expect(tally.lines.count < 12, "\(tally.lines)")
    }

    @Test func aClaimWithoutAnAnswerIsLookedAtOnceAndThenPaused() {
        var scene = GuardianOrderTests.Scene()
        let view = ShortLeaseTests.view(["n1"], config: ["ttl": 30], leader: nil)
        let tally = run(&scene, for: .seconds(30), view: view, error: .unreachable("gone"))
        #expect((3...8).contains(tally.attempts), "\(tally.attempts) attempts")
    }

    @Test func anInitializationAndARepairThatFailPause() {
        var empty = GuardianOrderTests.Scene()
        empty.machine.identity.me.canBootstrap = true
        let nothing = ClusterView(entries: [], revision: 5) { try? JSON.parse($0) }
        let initialization = run(&empty, for: .seconds(30), view: nothing, isEmpty: true)
        #expect((3...7).contains(initialization.attempts), "\(initialization.attempts) attempts")
        #expect(!initialization.lines.contains { $0.contains("another node initializes") })

        var leader = GuardianOrderTests.Scene(
            adopted: Lease(since: GuardianOrderTests.start, ttl: .seconds(30), session: "s"))
        let entries = [
            StoredEntry(leaf: "initialize", value: "7000000000000000001", revision: 1),
            StoredEntry(leaf: "leader", value: "n1", revision: 3, session: "s"),
        ]
        let view = ClusterView(entries: entries, revision: 5) { try? JSON.parse($0) }
        let repair = run(&leader, for: .seconds(30), view: view, isWritable: true)
        #expect((2...7).contains(repair.attempts), "\(repair.attempts) attempts")
        // Seed 1458 (mixed) of the simulation: each refusal ended the cycle before the lease was renewed.
        #expect(repair.renewals >= 3 && leader.machine.lease?.isValid(at: leader.now) == true)
        #expect(repair.lines.count { $0.contains("restoring /config") } == 1, "\(repair.lines)")
        #expect(repair.lines.count { $0.contains("no action") } == 1, "\(repair.lines)")
    }

    @Test func pausesGrowAndEnd() {
        let timings = DynamicConfiguration(document: ["ttl": 30, "loop_wait": 10])?.timings ?? ClusterTimings()
        let now = BootInstant(nanoseconds: 0)
        var backOff = BackOff()
        var pauses: [Double] = []
        for _ in 0..<6 {
            backOff.failed(at: now, timings)
            pauses.append(((backOff.until ?? now) - now).inSeconds)
        }
        #expect(pauses == [1, 2, 4, 8, 10, 10])
        backOff.succeeded()
        backOff.missed(at: now, timings)
        #expect(backOff.until == nil)
        backOff.missed(at: now, timings)
        #expect(backOff.until == now + .seconds(2))
    }

    /// The winner of a switchover clears the request as it wins, and a view from just before shows it still: clearing
    /// it once more is refused, and nothing of that keeps the winner from claiming `/sync`.
    @Test func aRefusedRepairIsLookedAtOnceAndThenPaused() {
        var scene = GuardianOrderTests.Scene()
        var view = SynchronousFlowTests.view(SyncState(leader: "n2", voters: ["n1"], revision: 4))
        view.failover = FailoverRequest(leader: "n2", candidate: "n1", revision: 6)
        let held = LeaderClaim.held(since: scene.now, ttl: .seconds(30), session: "s")
        func looks(_ view: ClusterView) -> [CycleEffect] {
            _ = scene.step(.node(.observed(scene.status(writable: false))))
            return scene.step(.store(.loaded(.success(view)))) + scene.step(.store(.renewed(.success(held))))
        }
        func writes(_ effects: [CycleEffect]) -> [DCSKey] {
            effects.compactMap { effect in
                guard case .store(.write(let key, _, _, .repair), _) = effect else { return nil }
                return key
            }
        }
        _ = scene.step(.timer)
        scene.machine.memory.hasWonKey = true
        #expect(writes(looks(view)) == [.failover])
        let effects = scene.step(.store(.wrote(.repair, .success(.refused))))
        #expect(effects.contains { if case .store(.load, _) = $0 { true } else { false } })
        view.failover = nil
        #expect(writes(looks(view)) == [.sync])
        // Twice in a row, and a store that answers so each time is not asked without end.
        let again = scene.step(.store(.wrote(.repair, .success(.refused))))
        #expect(!again.contains { if case .store(.load, _) = $0 { true } else { false } })
        #expect(scene.machine.schedule.backOff.waits(at: scene.now))
    }

    /// In a row are those with nothing between them: what a later life of a leader meets is a first one again.
    @Test func whoHasNothingToWriteBeginsAnew() {
        var scene = HonestTimeTests.leader()
        scene.machine.schedule.backOff.missed(at: scene.now, scene.machine.settings.timings)
        #expect(scene.machine.schedule.backOff.failures == 1)
        _ = scene.step(.woken("test"))
        _ = scene.step(.node(.observed(scene.status(writable: true))))
        _ = scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n1:0.1"], config: ["ttl": 30])))))
        _ = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        #expect(scene.machine.schedule.backOff.failures == 0)
    }

    /// CHECKPOINT fails at once where the disk is full.
    @Test func aCheckpointThatFailsIsNotRepeatedAtOnce() {
        var scene = GuardianOrderTests.Scene()
        scene.machine.schedule.cycle = nil
        let effects = scene.step(.node(.checkpointed(.failure(.failed("no space")))))
        #expect(!effects.contains { if case .node(.observe) = $0 { true } else { false } })
    }

    /// An earlier daemon has promoted, or the promotion has failed in our eyes only.
    @Test func aCheckpointThatAPromotionOwesIsMadeUpFor() {
        var scene = HonestTimeTests.leader()
        func look(owes: Bool, answers: Bool = true, _ scene: inout GuardianOrderTests.Scene) -> [CycleEffect] {
            _ = scene.step(.woken("the next cycle"), after: .seconds(7))
            var status = scene.status(writable: true)
            status.facts?.timeline = 2
            status.facts?.owesCheckpoint = owes
            if !answers { status.facts = nil }
            var effects = scene.step(.node(.observed(status)))
            effects += scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: ["ttl": 30])))))
            return effects
                + scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        }
        func checkpoints(_ effects: [CycleEffect]) -> Int {
            effects.count { if case .node(.checkpoint) = $0 { true } else { false } }
        }
        func says(_ effects: [CycleEffect]) -> Bool? {
            for case .store(.touch(let value, _, _), _) in effects { return value["checkpoint_after_promote"]?.bool }
            return nil
        }
        _ = scene.step(.store(.touched(.success(()))))
        var effects = look(owes: true, &scene)
        #expect(checkpoints(effects) == 1 && says(effects) == false)
        _ = scene.step(.store(.touched(.success(()))))
        #expect(checkpoints(look(owes: true, &scene)) == 0, "one is under way")
        _ = scene.step(.store(.touched(.success(()))))
        #expect(says(look(owes: true, answers: false, &scene)) == false, "a server that does not answer has made none")
        _ = scene.step(.store(.touched(.success(()))))
        let late = scene.status(writable: true)
        _ = scene.step(.node(.checkpointed(.success(()))))
        var status = late
        status.facts?.owesCheckpoint = true
        _ = scene.step(.node(.observed(status)))
        _ = scene.step(.store(.touched(.success(()))))
        effects = look(owes: false, &scene)
        #expect(checkpoints(effects) == 0 && says(effects) == nil)
    }

    @Test func aGuardianThatDoesNotAnswerIsToldAgainAfterAGrowingPause() {
        let lease = Lease(since: GuardianOrderTests.start, ttl: .seconds(30), session: "s")
        var scene = GuardianOrderTests.Scene(adopted: lease)
        var pauses: [Double] = []
        for _ in 0..<6 {
            _ = scene.step(.guardian(.disarm, .failure(GuardianError("gone"))))
            pauses.append(((scene.machine.guardian?.retryAt ?? scene.now) - scene.now).inSeconds)
        }
        #expect(pauses == [0.5, 1, 2, 4, 5, 5])
    }
}
