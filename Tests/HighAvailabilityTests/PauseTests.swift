import ClusterModel
import HighAvailability
import Testing

/// What of pause (ha-loop.md §15) stands in no other table: its end, and what a node shows in it.
@Suite struct PauseTests {
    private static func seen(_ document: JSONObject, _ local: PostgreSQLStatus = Scene.stopped()) -> Observation {
        Scene.seen(Scene.view(leader: "n2"), local, settings: document)
    }

    @Test func whatHadFailedIsTriedAnewAfterwards() {
        var memory = Memory()
        memory.rewind = .failed("the source lacks WAL")
        memory.kept = .rewindFailed
        memory.failedStarts = 3
        memory.starting.note("a parameter", at: Scene.now, first: .seconds(60), longest: .seconds(60))
        memory.rejoining.note("a full disk", at: Scene.now, first: .seconds(60), longest: .seconds(60))
        let paused = Scene.decided(Self.seen(["pause": true]), memory).1
        #expect(paused.kept == .rewindFailed && paused.failedStarts == 3 && paused.wasPaused)
        let (decision, resumed) = Scene.decided(Self.seen([:]), paused)
        #expect(resumed.kept == nil && resumed.failedStarts == 0 && !resumed.wasPaused)
        #expect(resumed.starting == Memory.Retries() && resumed.rejoining == Memory.Retries())
        // Nothing is taken for mended (S7): what it has is compared, or made readable for that, before it follows.
        #expect(resumed.rewind == .suspected)
        if case .carryOut(let plan) = decision.action { #expect(plan.kind == .recoverSingleUser) }
    }

    @Test func withoutPauseNothingIsForgotten() {
        var memory = Memory()
        memory.kept = .rewindImpossible
        memory.rewind = .failed("no")
        #expect(Scene.decided(Self.seen([:]), memory).1.kept == .rewindImpossible)
    }

    @Test func aServerThatIsDownIsStoppedAndNotCrashed() throws {
        let paused = try #require(DynamicConfiguration(document: ["pause": true]))
        var local = Scene.stopped()
        local.state = .crashed
        #expect(shownState(local, paused) == .stopped && shownState(local, DynamicConfiguration()) == .crashed)
        local.state = .startFailed
        #expect(shownState(local, paused) == .startFailed && shownState(Scene.primary(), paused) == .running)
    }
}
