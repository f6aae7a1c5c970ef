import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// Everything is told once.
@Suite struct ToldTests {
    @Test func aDecisionIsNewsUntilItIsMadeAgain() {
        var told = Told()
        let wait = Decision(.wait, .store(.neverLoaded))
        let news = [wait, Decision(.ask(.renewal)), wait, Decision(.exit), wait].map { told.decided($0, wallTime: 0) }
        #expect(news == [true, false, false, true, true])
        #expect(told.decision == wait && told.decisions.entries.count == 3)
    }

    /// A simulated world that nobody reads pays for no log.
    @Test func whoWritesNoLogHasNoNews() {
        var told = Told(writesLog: false)
        let isNews = told.decided(Decision(.exit), wallTime: 0)
        #expect(!isNews && told.decision?.action == .exit && told.decisions.entries.isEmpty)
    }

    @Test func aFailureIsToldUntilItIsDone() {
        var told = Told()
        let failures = ["a", "a", "b"].map { told.failed("writing", $0) }
        #expect(failures == [true, false, true])
        let done = [told.isDone("writing"), told.isDone("writing"), told.failed("writing", "b")]
        #expect(done == [true, false, true])
    }

    @Test func anotherOfOurNameComesAndGoes() {
        var told = Told()
        let there = [nil, "http://a", "http://a", nil].map { told.isThere($0) }
        #expect(there == [false, true, false, true])
    }
}
