import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A restart is stop, look, start: what stands in the data directory after the stop decides what is started.
@Suite struct StartStepTests {
    static func operations(_ effects: [CycleEffect]) -> [String] {
        effects.compactMap { if case .node(.perform(let operation, _, _)) = $0 { operation.name } else { nil } }
    }

    static func refusals(_ effects: [CycleEffect]) -> [String] {
        effects.compactMap { if case .local(.log(.error, let text)) = $0 { text } else { nil } }
    }

    /// A leader whose PostgreSQL was stopped to be restarted, and who waits for what it asked.
    static func stopped() throws -> GuardianOrderTests.Scene {
        var scene = HonestTimeTests.leader()
        scene.now = scene.now + .seconds(1)
        var status = scene.status(writable: true)
        status.facts?.writePosition = WALPosition(2000)
        _ = scene.step(.node(.observed(status)))
        scene.machine.memory.ledTimeline = 1
        scene.machine.memory.ledPosition = WALPosition(2000)
        let request = try RestartRequest(body: [:], DynamicConfiguration(), wallTime: 0)
        let begun = scene.step(.commanded(1, .restart(request)))
        #expect(operations(begun) == ["restart"])
        let plan = try #require(scene.machine.progress?.number)
        let asked = scene.step(.node(.performed(plan: plan, .success(.done))))
        #expect(operations(asked).isEmpty, "nothing is started before it was looked at")
        #expect(asked.contains { if case .node(.observe) = $0 { true } else { false } })
        return scene
    }

    static func down(_ scene: GuardianOrderTests.Scene, walEnd: UInt64, identifier: String = "7000000000000000001")
        -> PostgreSQLStatus
    {
        var status = PostgreSQLStatus(
            dataDirectory: .initialized, state: .restarting, systemIdentifier: identifier,
            observedAt: scene.now + .milliseconds(5))
        status.control = ControlData(
            state: .shutDown, systemIdentifier: identifier, checkpoint: WALPosition(walEnd), checkpointTimeline: 1)
        status.walEnd = WALPosition(walEnd)
        return status
    }

    static func answered(_ scene: inout GuardianOrderTests.Scene, n2 position: UInt64) throws -> [CycleEffect] {
        let plan = try #require(scene.machine.progress?.number)
        let status = PeerStatus(isPrimary: false, position: WALPosition(position), timeline: 1)
        return scene.step(.peers(.start(plan: plan), ["n2": .status(status)]))
    }

    @Test func whatWasStoppedIsStartedAgain() throws {
        var scene = try Self.stopped()
        #expect(Self.operations(scene.step(.node(.observed(Self.down(scene, walEnd: 2100))))).isEmpty)
        #expect(Self.operations(try Self.answered(&scene, n2: 2100)) == ["starting primary after failure"])
    }

    @Test func theAnswersMayComeFirst() throws {
        var scene = try Self.stopped()
        #expect(Self.operations(try Self.answered(&scene, n2: 2100)).isEmpty)
        let effects = scene.step(.node(.observed(Self.down(scene, walEnd: 2100))))
        #expect(Self.operations(effects) == ["starting primary after failure"])
    }

    @Test func anOlderCopyIsNotStarted() throws {
        var scene = try Self.stopped()
        _ = scene.step(.node(.observed(Self.down(scene, walEnd: 1999))))
        let effects = try Self.answered(&scene, n2: 1500)
        #expect(Self.operations(effects).isEmpty)
        #expect(Self.refusals(effects).contains { $0.contains("older than what I led with") })
        #expect(scene.machine.progress == nil)
    }

    @Test func norOneThatAStandbyKnowsToBeOlder() throws {
        var scene = try Self.stopped()
        _ = scene.step(.node(.observed(Self.down(scene, walEnd: 2100))))
        let effects = try Self.answered(&scene, n2: 2101)
        #expect(Self.operations(effects).isEmpty)
        #expect(Self.refusals(effects).contains { $0.contains("what n2 has received") })
    }

    @Test func norWhatBelongsToAnotherCluster() throws {
        var scene = try Self.stopped()
        _ = scene.step(.node(.observed(Self.down(scene, walEnd: 2100, identifier: "7999999999999999999"))))
        #expect(Self.operations(try Self.answered(&scene, n2: 2100)).isEmpty)
    }

    /// A standby whose directory is one from when it led, without a standby signal, comes up as a standby.
    @Test func aStandbyIsStartedAsOne() throws {
        var bed = CommandTests.Bed.ready()
        _ = bed.step(.commanded(1, .restart(try RestartRequest(body: [:], DynamicConfiguration(), wallTime: 0))))
        let plan = try #require(bed.machine.progress?.number)
        _ = bed.step(.node(.performed(plan: plan, .success(.done))))
        var status = bed.status()
        status.postmaster = nil
        status.facts = nil
        status.hasStandbySignal = false
        status.observedAt = bed.now + .milliseconds(5)
        status.control = ControlData(
            state: .shutDown, systemIdentifier: "7400000000000000001", checkpoint: WALPosition(5),
            checkpointTimeline: 1)
        #expect(Self.operations(bed.step(.node(.observed(status)))) == ["starting as a standby"])
    }

    /// For whom it was started is known while it starts still: it is not told once more.
    @Test func whoStartsStillFollowsAlready() throws {
        var bed = CommandTests.Bed.ready()
        _ = bed.step(.commanded(1, .restart(try RestartRequest(body: [:], DynamicConfiguration(), wallTime: 0))))
        _ = bed.restartStops()
        bed.machine.memory.following = .unknown
        let plan = try #require(bed.machine.progress?.number)
        guard case .postgreSQL(.startStandby(let upstream, _))? = bed.machine.currentStep else {
            Issue.record("no standby is started")
            return
        }
        _ = bed.step(.node(.performed(plan: plan, .success(.stillStarting))))
        #expect(bed.machine.memory.following == .upstream(upstream))
    }
}
