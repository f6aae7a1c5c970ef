import Synchronization
import Tasks
import Testing

/// Reloads come one after another, and a flood of requests makes two of them.
@Suite(.timeLimit(.minutes(1))) struct OneAtATimeTests {
    @Test func oneRunsAndOneWaits() async {
        let reloads = OneAtATime()
        let bench = ReloadBench()
        reloads.ask(bench.reload)
        await bench.untilBegun(1)
        for _ in 0..<1000 { reloads.ask(bench.reload) }
        bench.endOne()
        await bench.untilBegun(2)
        // What comes now is not answered by the one that has begun.
        reloads.ask(bench.reload)
        bench.endOne()
        await bench.untilBegun(3)
        bench.endOne()
        await bench.untilEnded(3)
        #expect(bench.mostAtOnce == 1)
        #expect(bench.begun == 3)
    }

    @Test func anotherRunsAfterTheLastHasEnded() async {
        let reloads = OneAtATime()
        let bench = ReloadBench()
        for count in 1...3 {
            reloads.ask(bench.reload)
            await bench.untilBegun(count)
            bench.endOne()
            await bench.untilEnded(count)
        }
        #expect(bench.mostAtOnce == 1)
    }
}

/// Reloads that end when they are told to.
private final class ReloadBench: Sendable {
    private struct State {
        var begun = 0
        var ended = 0
        var mostAtOnce = 0
        var running: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var begun: Int { state.withLock { $0.begun } }
    var mostAtOnce: Int { state.withLock { $0.mostAtOnce } }

    @Sendable func reload() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                state.begun += 1
                state.running.append(continuation)
                state.mostAtOnce = max(state.mostAtOnce, state.running.count)
            }
        }
        state.withLock { $0.ended += 1 }
    }

    func endOne() { state.withLock { $0.running.removeFirst() }.resume() }

    func untilBegun(_ count: Int) async { while begun < count { await Task.yield() } }

    func untilEnded(_ count: Int) async { while state.withLock({ $0.ended }) < count { await Task.yield() } }
}
