import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// The leader's chore for `/sync`: one step at a time, and what comes between two of them.
@Suite struct SynchronousFlowTests {
    typealias Scene = GuardianOrderTests.Scene

    static let config: JSONObject = ["ttl": 30, "synchronous_mode": true]

    static func view(_ sync: SyncState, revision: Int64 = 6) -> ClusterView {
        var view = ShortLeaseTests.view(["n1:0.1", "n2:0.1"], config: config, revision: revision)
        view.sync = sync
        return view
    }

    static func primary(_ scene: Scene, _ names: String, listed: Bool = false) -> PostgreSQLStatus {
        var status = scene.status(writable: true)
        status.facts?.writePosition = WALPosition(1000)
        status.facts?.synchronous = .init(inForce: names)
        var sender = PostgreSQLStatus.WALSender(
            userName: "r", applicationName: "n2", clientAddress: nil, state: "streaming",
            syncState: listed ? "sync" : "async", syncPriority: listed ? 1 : 0)
        sender.flushed = WALPosition(1000)
        status.facts?.walSenders = [sender]
        return status
    }

    /// A leader at the end of its first cycle; what it set out to do there.
    static func leader(_ names: String, _ sync: SyncState) -> (Scene, [CycleEffect]) {
        var scene = Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        HonestTimeTests.acknowledge(
            scene.step(.node(.observed(primary(scene, names, listed: !names.isEmpty)))), &scene)
        var effects = scene.step(.store(.loaded(.success(view(sync)))))
        effects = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        return (scene, effects)
    }

    static func names(_ effects: [CycleEffect]) -> [String] {
        effects.compactMap { effect in
            guard case .node(.nameSynchronous(.names(let names))) = effect else { return nil }
            return names.text
        }
    }

    static func written(_ effects: [CycleEffect]) -> [(text: String, condition: WriteCondition)] {
        effects.compactMap { effect in
            guard case .store(.write(.sync, let value, let condition, .sync), _) = effect else { return nil }
            return (value.object.map { JSON.text(.object($0), .compact) } ?? "", condition)
        }
    }

    static func looks(_ scene: inout Scene, _ names: String, times: Int = 4) -> [CycleEffect] {
        (0..<times).reduce(into: []) { effects, _ in
            effects += scene.step(.timer, after: .milliseconds(150))
            effects += scene.step(.node(.observed(primary(scene, names, listed: true))))
        }
    }

    @Test func aStandbyThatStreamsIsInSyncWithinASecond() {
        var (scene, effects) = Self.leader("", SyncState(leader: "n1", revision: 5))
        #expect(Self.names(effects) == ["n2"])
        let began = scene.now
        effects = scene.step(.node(.synchronousNamed(.names(.init(.priority, 1, ["n2"])), .success(()))))
        #expect(effects.contains { if case .node(.observe) = $0 { true } else { false } })
        effects += Self.looks(&scene, "n2")
        let written = Self.written(effects)
        #expect(written.map(\.text) == [#"{"leader":"n1","quorum":0,"sync_standby":"n2"}"#])
        #expect(written.first?.condition == .leadingAsSeen(5))
        #expect(scene.now - began < .seconds(1))
        #expect(Self.names(effects).isEmpty)
        // Nothing is left to be looked at soon.
        _ = scene.step(.store(.wrote(.sync, .success(.written(9)))))
        #expect(scene.machine.synchronousPause == nil)
        #expect(scene.machine.view?.sync.voters == ["n2"])
    }

    /// It tells nobody when it has caught up, and no turn of the loop is waited for.
    @Test func aStandbyThatCatchesUpIsLookedAtUntilItStreams() {
        func seen(_ scene: Scene, _ state: String) -> PostgreSQLStatus {
            var status = Self.primary(scene, "")
            status.facts?.walSenders[0].state = state
            return status
        }
        var scene = Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        HonestTimeTests.acknowledge(scene.step(.node(.observed(seen(scene, "catchup")))), &scene)
        _ = scene.step(.store(.loaded(.success(Self.view(SyncState(leader: "n1", revision: 5))))))
        _ = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        #expect(scene.machine.synchronousPause == .milliseconds(100))
        for _ in 1...12 {
            _ = scene.step(.timer, after: .milliseconds(500))
            _ = scene.step(.node(.observed(seen(scene, "catchup"))))
        }
        #expect(scene.machine.synchronousPause == .milliseconds(500))
        _ = scene.step(.timer, after: .milliseconds(500))
        #expect(Self.names(scene.step(.node(.observed(seen(scene, "streaming"))))) == ["n2"])
    }

    /// The standby's half: it looks often while it may become one, and says so at once.
    @Test func aStandbyThatBeginsToStreamSaysSoSoon() {
        var scene = Scene()
        func standby(_ isStreaming: Bool) -> PostgreSQLStatus {
            var status = scene.status(writable: false)
            status.facts?.receiver = .init(isStreaming: isStreaming)
            return status
        }
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(standby(false))))
        var view = Self.view(SyncState(leader: "n2", revision: 5))
        view.leader = LeaderRecord(name: "n2", session: "t", revision: 3)
        for case .node(.perform(_, _, let plan)) in scene.step(.store(.loaded(.success(view)))) {
            _ = scene.step(.node(.performed(plan: plan, .success(.done))))
        }
        _ = scene.step(.node(.observed(standby(false))))
        _ = scene.step(.store(.loaded(.success(view))))
        #expect(scene.machine.nextLook.map { $0 - scene.now <= .milliseconds(250) } == true)
        _ = scene.step(.timer, after: .milliseconds(250))
        let told = scene.step(.node(.observed(standby(true)))) + scene.step(.timer, after: .milliseconds(10))
        #expect(told.contains { if case .store(.load, _) = $0 { true } else { false } })
    }

    /// Each half of a step: the daemon that takes over knows nothing of the first one.
    @Test func aDaemonThatIsKilledBetweenTheStepsGoesOn() {
        var (scene, effects) = Self.leader("n2", SyncState(leader: "n1", revision: 5))
        #expect(Self.names(effects).isEmpty && Self.written(effects).isEmpty)
        effects = Self.looks(&scene, "n2")
        #expect(Self.written(effects).map(\.text) == [#"{"leader":"n1","quorum":0,"sync_standby":"n2"}"#])
    }

    @Test func aRefusedWriteIsReadAgain() {
        var (scene, _) = Self.leader("n2", SyncState(leader: "n1", revision: 5))
        _ = Self.looks(&scene, "n2")
        let effects = scene.step(.store(.wrote(.sync, .success(.refused))))
        #expect(effects.contains { if case .store(.load, _) = $0 { true } else { false } })
        #expect(Self.names(effects).isEmpty)
    }

    /// A write that nobody has answered may be done later: names that it does not cover wait for another one.
    @Test func afterAWriteWithoutAnswerTheNextOneMakesAnEndOfIt() {
        var (scene, _) = Self.leader("n2", SyncState(leader: "n1", revision: 5))
        _ = Self.looks(&scene, "n2")
        _ = scene.step(.store(.wrote(.sync, .failure(.unreachable("no answer")))))
        var gone = Self.primary(scene, "n2")
        gone.facts?.walSenders = []
        var effects = scene.step(.timer, after: .milliseconds(150))
        gone.observedAt = scene.now
        effects += scene.step(.node(.observed(gone)))
        #expect(Self.names(effects).isEmpty)
        #expect(Self.written(effects).map(\.text) == [#"{"leader":"n1","quorum":0,"sync_standby":null}"#])
        effects = scene.step(.store(.wrote(.sync, .success(.written(9)))))
        #expect(Self.names(effects) == [""])
    }

    /// Nor is it forgotten with the key: the store still knows the revision that it rests on.
    @Test func aWriteWithoutAnswerIsRememberedWhereTheKeyIsLostAndWonAgain() {
        var (scene, _) = Self.leader("n2", SyncState(leader: "n1", revision: 5))
        _ = Self.looks(&scene, "n2")
        _ = scene.step(.store(.wrote(.sync, .failure(.unreachable("no answer")))))
        var free = Self.view(SyncState(leader: "n1", revision: 5), revision: 7)
        free.leader = nil
        _ = scene.step(.woken("test"))
        _ = scene.step(.node(.observed(Self.primary(scene, "n2", listed: true))))
        let claimed = scene.step(.store(.loaded(.success(free))))
        #expect(claimed.contains { if case .store(.acquire, _) = $0 { true } else { false } })
        let held = LeaderClaim.held(since: scene.now, ttl: .seconds(30), session: "s")
        _ = scene.step(.store(.acquired(.success(held))))
        var gone = Self.primary(scene, "n2")
        gone.facts?.walSenders = []
        var effects = scene.step(.node(.observed(gone)))
        effects += scene.step(.store(.loaded(.success(Self.view(SyncState(leader: "n1", revision: 5), revision: 8)))))
        effects += scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        #expect(Self.names(effects).isEmpty)
        #expect(Self.written(effects).map(\.text) == [#"{"leader":"n1","quorum":0,"sync_standby":null}"#])
        effects = scene.step(.store(.wrote(.sync, .success(.written(9)))))
        #expect(Self.names(effects) == [""])
    }

    /// It is made an end of although nothing is to be done; a view that shows another revision has made one.
    @Test(arguments: [5, 6] as [Revision])
    func aWriteWithoutAnswerIsSettledBeforeAnythingIsToBeDone(_ revision: Revision) {
        var (scene, _) = Self.leader("n2", SyncState(leader: "n1", revision: 5))
        _ = Self.looks(&scene, "n2")
        _ = scene.step(.store(.wrote(.sync, .failure(.unreachable("no answer")))))
        _ = scene.step(.woken("test"))
        var seen = Self.primary(scene, "n2", listed: true)
        // Nobody is known to have everything any more.
        seen.postmaster = 43
        var effects = scene.step(.node(.observed(seen)))
        let sync = SyncState(leader: "n1", revision: revision)
        effects += scene.step(.store(.loaded(.success(Self.view(sync, revision: 7)))))
        effects += scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        #expect(Self.written(effects).count == (revision == 5 ? 1 : 0))
    }

    /// S6: what makes an end of a write without an answer takes nobody's duty away.
    @Test func whatIsWrittenOnceMoreIsWhatWasSeen() {
        var scene = Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        HonestTimeTests.acknowledge(
            scene.step(.node(.observed(Self.primary(scene, "2 (n2,n3)", listed: true)))), &scene)
        let seen = SyncState(leader: "n1", voters: ["n2"], revision: 5)
        _ = scene.step(.store(.loaded(.success(Self.view(seen)))))
        scene.machine.tenure.synchronous.sends(on: 5)
        scene.machine.tenure.synchronous.isAnswered(.failure(.unreachable("no answer")))
        let lease = LeaderClaim.held(since: scene.now, ttl: .seconds(30), session: "s")
        let effects = scene.step(.store(.renewed(.success(lease))))
        #expect(Self.names(effects).isEmpty)
        #expect(Self.written(effects).map(\.text) == [#"{"leader":"n1","quorum":0,"sync_standby":"n2"}"#])
    }

    /// Found by the simulation (profile modes, seed 6935): the names stayed after the mode was turned off.
    @Test func whatWasSetAndNotAcknowledgedIsNotTakenForWhatWasBefore() {
        var (scene, effects) = Self.leader("", SyncState(leader: "n1", revision: 5))
        #expect(Self.names(effects) == ["n2"])
        scene.machine.tenure.synchronous.handed = .configured
        effects = scene.step(.node(.synchronousNamed(.configured, .success(()))))
        #expect(scene.machine.tenure.synchronous.handed == .configured)
        effects += Self.looks(&scene, "")
        #expect(scene.machine.tenure.synchronous.handed == nil)
    }

    /// A view from before our write does not take it back.
    @Test func anOlderViewIsNotBelieved() {
        var (scene, _) = Self.leader("n2", SyncState(leader: "n1", revision: 5))
        _ = Self.looks(&scene, "n2")
        _ = scene.step(.store(.wrote(.sync, .success(.written(9)))))
        _ = scene.step(.woken("test"))
        _ = scene.step(.store(.loaded(.success(Self.view(SyncState(leader: "n1", revision: 5), revision: 8)))))
        #expect(scene.machine.view?.sync.voters == ["n2"])
        #expect(scene.machine.view?.sync.revision == 9)
    }

    @Test func namesThatCouldNotBeSetAreSetAgainLater() {
        var (scene, _) = Self.leader("", SyncState(leader: "n1", revision: 5))
        let failed = scene.step(
            .node(.synchronousNamed(.names(.init(.priority, 1, ["n2"])), .failure(.failed("the disk is full")))))
        #expect(Self.names(failed).isEmpty)
        let effects =
            scene.step(.timer, after: .milliseconds(150))
            + scene.step(
                .node(.observed(Self.primary(scene, ""))))
        #expect(Self.names(effects) == ["n2"])
    }

    /// ALTER SYSTEM has set something else: to set it again, and to look at once, would go on for ever.
    @Test func whatIsOverriddenIsNotSetAgainAndAgain() {
        var (scene, effects) = Self.leader("", SyncState(leader: "n1", revision: 5))
        #expect(Self.names(effects) == ["n2"])
        effects = scene.step(.node(.synchronousNamed(.names(.init(.priority, 1, ["n2"])), .success(()))))
        var seen = Self.primary(scene, "n3")
        seen.facts?.synchronous?.written = "n2"
        effects = scene.step(.node(.observed(seen)))
        #expect(Self.names(effects).isEmpty)
        #expect(!effects.contains { if case .node(.observe) = $0 { true } else { false } })
        #expect(scene.machine.synchronousPause == .milliseconds(100))
    }

    /// A look that had begun before tells of the names of before.
    @Test func aLookFromBeforeTheNamesWereSetIsNotBelieved() {
        var (scene, effects) = Self.leader("", SyncState(leader: "n1", revision: 5))
        #expect(Self.names(effects) == ["n2"])
        let old = Self.primary(scene, "")
        effects = scene.step(.node(.synchronousNamed(.names(.init(.priority, 1, ["n2"])), .success(()))))
        effects = scene.step(.node(.observed(old)))
        #expect(Self.names(effects).isEmpty)
        #expect(Self.written(Self.looks(&scene, "n2")).count == 1)
    }

    // MARK: Giving duty back (ha-loop.md §17.8)

    private func standby() -> Scene {
        var scene = Scene()
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: false))))
        var view = Self.view(SyncState(leader: "n2", voters: ["n1"], revision: 5))
        view.leader = LeaderRecord(name: "n2", session: "t", revision: 3)
        _ = scene.step(.store(.loaded(.success(view))))
        return scene
    }

    private func stops(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .node(.perform(.stop, _, _)) = $0 { true } else { false } }
    }

    @Test func aSynchronousStandbyIsLetGoBeforeItStops() {
        var scene = standby()
        let asked = scene.step(.shutdownRequested)
        #expect(!stops(asked))
        var told: JSONValue?
        for case .store(.touch(let value, _, _), _) in asked { told = value["tags"]?["nosync"] }
        #expect(told == true)
        _ = scene.step(.storeChanged(.changed(leaf: "sync", value: .object([:]), revision: 7)))
        var view = Self.view(SyncState(leader: "n2", revision: 7), revision: 7)
        view.leader = LeaderRecord(name: "n2", session: "t", revision: 3)
        #expect(stops(scene.step(.store(.loaded(.success(view))))))
    }

    @Test func itStopsAllTheSameInTheEnd() {
        var scene = standby()
        _ = scene.step(.shutdownRequested)
        #expect(!stops(scene.step(.timer, after: .seconds(19))))
        #expect(stops(scene.step(.timer, after: .seconds(2))))
    }

    @Test func anAsynchronousStandbyStopsAtOnce() {
        var scene = Scene()
        _ = scene.step(.timer)
        _ = scene.step(.node(.observed(scene.status(writable: false))))
        _ = scene.step(
            .store(.loaded(.success(ShortLeaseTests.view(["n1:0.1", "n2:0.1"], config: Self.config, leader: "n2")))))
        #expect(stops(scene.step(.shutdownRequested)))
    }
}
