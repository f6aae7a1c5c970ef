import ClusterModel
import Testing

@testable import StoreRules

@Suite struct EndpointTests {
    // MARK: Endpoints

    private func endpoint(_ port: Int) -> EtcdEndpoint { EtcdEndpoint(host: "h", port: port) }

    @Test(arguments: [
        ("http://a:1", "http://a:1"), ("https://a:1/x", "https://a:1"), ("http://a", "http://a:2379"),
        ("http://[::1]:5", "http://[::1]:5"), ("http://[::1]", "http://[::1]:2379"),
    ])
    func endpointsFromURLs(_ url: String, _ read: String) { #expect(EtcdEndpoint(url: url)?.url == read) }

    @Test(arguments: ["", "a:1", "unix://a", "http://", "http://a:0", "http://a:x"])
    func notEndpoints(_ url: String) { #expect(EtcdEndpoint(url: url) == nil) }

    @Test func theCurrentEndpointStaysUntilItFails() {
        var list = EndpointList([1, 2, 3].map(endpoint), node: "n1")
        #expect(list.order.map(\.port) == [1, 2, 3])
        let isFirstNews = list.succeeded(endpoint(2))
        #expect(!isFirstNews)
        #expect(list.order.map(\.port) == [2, 3, 1])
        let isSecondNews = list.succeeded(endpoint(3))
        #expect(isSecondNews)
        #expect(list.order.map(\.port) == [3, 1, 2])
        list.allFailed(tried: 2)
        #expect(list.order.map(\.port) == [2, 3, 1])
    }

    @Test func discoveryReplacesTheListAndFailureBringsTheConfiguredOneBack() {
        var list = EndpointList([endpoint(1)], node: "n1")
        _ = list.succeeded(endpoint(1))
        let now = BootInstant(nanoseconds: 0)
        #expect(list.isStale(at: now, lifetime: .seconds(300)))
        list.discovered(["http://h:7", "http://h:8", "junk", "http://h:7"], at: now)
        #expect(Set(list.order.map(\.port)) == [7, 8])
        #expect(list.current == nil)
        #expect(!list.isStale(at: now + .seconds(300), lifetime: .seconds(300)))
        #expect(list.isStale(at: now + .seconds(301), lifetime: .seconds(300)))
        list.discovered([], at: now)
        #expect(Set(list.order.map(\.port)) == [7, 8])
        list.allFailed(tried: 2)
        #expect(list.order.first == endpoint(1))
        #expect(Set(list.order.map(\.port)) == [1, 7, 8])
        #expect(list.isStale(at: now, lifetime: .seconds(300)))
    }

    @Test func nodesSpreadOverTheMembers() {
        let firsts = (1...20).map { node in
            var list = EndpointList([endpoint(1)], node: "node\(node)")
            list.discovered(["http://h:1", "http://h:2", "http://h:3"], at: BootInstant(nanoseconds: 0))
            return list.order[0].port
        }
        #expect(Set(firsts) == [1, 2, 3])
    }

    @Test func anAnswerDoesNotLeadOutOfHTTPS() {
        let encrypted = EtcdEndpoint(scheme: "https", host: "h", port: 1)
        var list = EndpointList([encrypted], node: "n1")
        list.discovered(["http://h:7", "https://h:8"], at: BootInstant(nanoseconds: 0))
        #expect(list.order.map(\.url) == ["https://h:8"])
        list.discovered(["http://h:7"], at: BootInstant(nanoseconds: 0))
        #expect(list.order.map(\.url) == ["https://h:8"])
        var mixed = EndpointList([encrypted, endpoint(1)], node: "n1")
        mixed.discovered(["http://h:7"], at: BootInstant(nanoseconds: 0))
        #expect(mixed.order.map(\.url) == ["http://h:7"])
    }

    // MARK: Time

    /// The table of dcs.md §5.8: budget, nodes, then how many are tried and for how long.
    @Test(arguments: [
        (3, 1, 1, 1.0), (3, 2, 2, 1.5), (3, 3, 3, 1.0), (3, 5, 3, 1.0), (3, 11, 3, 1.0), (5, 1, 1, 1.667),
        (5, 2, 2, 1.25), (5, 3, 3, 1.667), (5, 5, 5, 1.0), (5, 7, 5, 1.0), (10, 1, 1, 3.333), (10, 2, 2, 2.5),
        (10, 3, 3, 3.333), (10, 5, 5, 2.0), (10, 7, 7, 1.429), (10, 11, 10, 1.0), (30, 1, 1, 10), (30, 2, 2, 7.5),
        (30, 11, 11, 2.727),
    ])
    func attempts(_ budget: Int, _ nodes: Int, _ tried: Int, _ timeout: Double) {
        let plan = AttemptPlan.sharing(.seconds(budget), among: nodes)
        #expect(plan.nodes == tried)
        #expect(abs(plan.timeout.inSeconds - timeout) < 0.001)
    }

    @Test func littleTimeGoesToOneAttempt() {
        #expect(
            AttemptPlan.sharing(.milliseconds(400), among: 3) == AttemptPlan(nodes: 1, timeout: .milliseconds(400)))
    }

    @Test(arguments: [(0, 0.1), (1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (1000, 1.0)])
    func pauses(_ round: Int, _ seconds: Double) {
        #expect(abs(RetryPause.length(round: round, jitter: 0).inSeconds - seconds) < 1e-9)
        #expect(abs(RetryPause.length(round: round, jitter: 0.5).inSeconds - seconds - 0.4) < 1e-9)
    }

    // MARK: A call's way

    private static let start = BootInstant(nanoseconds: 0)

    /// Each takes so long to fail; whom a call of ten seconds asks, when, and until when.
    private func story(_ takes: Duration, rounds: Int) -> [String] {
        var list = EndpointList([1, 2, 3].map(endpoint), node: "n1")
        var walk = EndpointWalk(deadline: Self.start + .seconds(10), retryTimeout: .seconds(10))
        var jitter = JitterSource(seed: 1)
        var now = Self.start
        var told: [String] = []
        var left = rounds
        while left > 0 {
            switch walk.next(&list, at: now, jitter: &jitter) {
            case .ask(let endpoint, let limit):
                told.append("\((now - Self.start).inSeconds): \(endpoint.port) until \((limit - Self.start).inSeconds)")
                now = now + takes
            case .pause(let length):
                #expect(length >= .milliseconds(100) && length < .seconds(2))
                left -= 1
                told.append("pause")
                now = now + .seconds(1)
            case .exhausted:
                told.append("exhausted")
                return told
            }
        }
        return told
    }

    @Test func aRoundGoesAroundAndTheNextBeginsWhereItEnded() {
        #expect(
            story(.milliseconds(500), rounds: 2) == [
                "0.0: 1 until 3.333333333", "0.5: 2 until 3.833333333", "1.0: 3 until 4.333333333", "pause",
                "2.5: 1 until 5.0", "3.0: 2 until 5.5", "3.5: 3 until 6.0", "pause",
            ])
    }

    @Test func aCallEndsByItsDeadline() {
        #expect(
            story(.seconds(5), rounds: 2) == ["0.0: 1 until 3.333333333", "5.0: 2 until 8.333333333", "exhausted"])
    }

    @Test func aCallWithoutTimeAsksNobody() {
        var list = EndpointList([endpoint(1)], node: "n1")
        var walk = EndpointWalk(deadline: Self.start, retryTimeout: .seconds(10))
        var jitter = JitterSource(seed: 1)
        #expect(walk.next(&list, at: Self.start, jitter: &jitter) == .exhausted)
    }

    // MARK: Failures

    @Test(
        arguments: [
            (.silence(mayHaveBeenSent: false), false, false, false),
            (.silence(mayHaveBeenSent: true), false, false, true),
            (.stale, false, true, true), (.nonsense, false, true, true), (.tooOld, false, true, false),
            (.error(GatewayError(message: "Not Found", code: 5)), false, true, true),
            (.error(GatewayError(message: "etcdserver: no leader", code: 14)), false, false, true),
            (.error(GatewayError(message: "etcdserver: requested lease not found", code: 5)), true, false, false),
        ] as [(AttemptFailure, Bool, Bool, Bool)])
    func whatAFailureSays(_ failure: AttemptFailure, _ isFinal: Bool, _ discredits: Bool, _ mayBeDone: Bool) {
        #expect(failure.isFinal == isFinal)
        #expect(failure.discreditsEndpoint == discredits)
        #expect(failure.mayHaveBeenApplied == mayBeDone)
    }

    // MARK: Watch

    private struct Event: StoreEvent, Hashable { let revision: Revision }

    private func events(_ revisions: Revision...) -> [Event] { revisions.map { Event(revision: $0) } }

    @Test func anEventIsToldOnce() {
        var position = WatchPosition()
        #expect(position.take(events(1)) == [])
        position.start(at: 5, life: 0)
        #expect(position.next == 6)
        #expect(position.take(events(5, 6, 6, 7)) == events(6, 6, 7))
        #expect(position.take(events(7)) == [])
        position.progress(to: 20)
        position.progress(to: 10)
        #expect(position.next == 21)
        position.lose()
        #expect(position.next == nil)
        position.start(at: .max, life: 0)
        #expect(position.next == nil)
    }

    @Test func aPositionCountsInItsOwnLife() {
        var position = WatchPosition()
        position.start(at: 1000, life: 0)
        position.enter(0)
        #expect(position.told == 1000)
        position.enter(1)
        #expect(position.told == nil)
        position.start(at: 10, life: 1)
        position.enter(1)
        #expect(position.take(events(11)) == events(11))
    }
}
