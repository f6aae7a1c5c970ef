import ClusterModel
import HighAvailability
import Testing

@Suite struct DecisionLogTests {
    private func following(_ name: String) -> Decision { Decision(.wait, .follow(.following(name))) }

    @Test func theSameAgainIsOneEntryWithTheLastFacts() {
        var log = DecisionLog()
        log.record(following("n2"), wallTime: 1)
        log.record(Decision(.ask(.renewal)), wallTime: 2)
        log.record(following("n3"), wallTime: 3)
        #expect(log.entries.map(\.times) == [2])
        #expect(log.entries.map(\.decision) == [following("n3")])
        #expect(log.entries.map(\.firstAt) == [1])
        #expect(log.entries.map(\.lastAt) == [3])
    }

    @Test func theOldestGoesWhenItIsFull() {
        var log = DecisionLog()
        for number in 0..<Int64(2 * DecisionLog.capacity + 3) {
            let decision = number % 2 == 0 ? Decision(.wait, .paused) : Decision(.wait, .lease(.leaderKeyFree))
            log.record(decision, wallTime: number)
        }
        #expect(log.entries.count == DecisionLog.capacity)
        let first = Int64(DecisionLog.capacity + 3)
        #expect(log.entries.map(\.firstAt) == Array(first..<first + Int64(DecisionLog.capacity)))
        #expect(log.entries.last?.decision == Decision(.wait, .paused))
    }

    @Test func aReasonIsCodeAndFacts() {
        let reason = Reason.store(.unreachable("down", leaseRemaining: .milliseconds(12_340)))
        #expect(reason.code == "store-unreachable")
        #expect(
            reason.json == ["code": "store-unreachable", "facts": ["why": "down", "lease_remaining_seconds": 12.3]])
        #expect(reason.description == "down; my lease ends in 12.3s")
        // News is what differs in kind: not the seconds.
        let later = Reason.store(.unreachable("down", leaseRemaining: .seconds(1)))
        #expect(Decision(.wait, reason).gist == Decision(.wait, later).gist)
        #expect(Decision(.wait, reason).gist != Decision(.wait, .paused).gist)
    }
}
