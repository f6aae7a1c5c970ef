import ClusterModel
import Ports
import Testing

@testable import Etcd

@Suite struct EtcdRuleTests {
    // MARK: Splitter

    private static let documents = [
        #"{"a":1}"#, #"{"a":{"b":["}",{"c":"\"}{"}]}}"#, #"{"s":"\\"}"#, #"{"u":"é\u007d"}"#, "{}",
    ]

    @Test(arguments: [1, 2, 3, 5, 7, 100])
    func documentsComeOutHoweverTheyWereCut(_ size: Int) throws {
        let stream = Array((Self.documents.joined(separator: "\n") + "\n").utf8)
        var splitter = JSONDocumentSplitter(limit: 1000)
        var found: [String] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            let part = Array(stream[start..<min(start + size, stream.count)])
            found += try splitter.push(part).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(found == Self.documents)
    }

    @Test func aStreamOfSomethingElseIsAnError() throws {
        var splitter = JSONDocumentSplitter(limit: 10)
        #expect(throws: JSONDocumentSplitter.Failure.unexpected(UInt8(ascii: "x"))) {
            try splitter.push(Array("x{}".utf8))
        }
        var small = JSONDocumentSplitter(limit: 10)
        let none = try small.push(Array(#"{"a":"123"#.utf8))
        #expect(none == [])
        #expect(throws: JSONDocumentSplitter.Failure.tooLarge(limit: 10)) { try small.push(Array("45678".utf8)) }
    }

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

    // MARK: Watch

    private func event(_ revision: Int64) throws -> EtcdEvent {
        try #require(EtcdEvent(["kv": ["key": "aw==", "mod_revision": .int(revision)]]))
    }

    @Test func anEventIsToldOnce() throws {
        var position = WatchPosition()
        #expect(position.take([try event(1)]) == [])
        position.start(at: 5)
        #expect(position.next == 6)
        #expect(position.take([try event(5), try event(6), try event(6), try event(7)]).map(\.revision) == [6, 6, 7])
        #expect(position.take([try event(7)]) == [])
        position.progress(to: 20)
        position.progress(to: 10)
        #expect(position.next == 21)
        position.lose()
        #expect(position.next == nil)
        position.start(at: .max)
        #expect(position.next == nil)
    }

    @Test func aWatchThatStaysBehindIsFoundOut() {
        var lag = WatchLag()
        let start = BootInstant(nanoseconds: 0)
        let limit = Duration.seconds(10)
        let reads: [(at: Int, newest: Int64, told: Int64?, isBehind: Bool)] = [
            (0, 9, 8, false), (5, 9, 9, false), (6, 10, 9, false), (15, 11, 9, false), (16, 11, 9, true),
            (17, 11, 9, false), (90, 11, nil, false),
        ]
        for read in reads {
            let isBehind = lag.observe(
                newest: read.newest, told: read.told, at: start + .seconds(read.at), limit: limit)
            #expect(isBehind == read.isBehind, "at \(read.at)")
        }
    }

    @Test func aReaderThatFallsBehindIsToldToReadEverything() async {
        let queue = EventQueue(limit: 3)
        for revision in 1...5 { queue.push(.changed(leaf: "leader", value: nil, revision: Int64(revision))) }
        queue.finish()
        var events: [DCSEvent] = []
        for await event in queue.stream { events.append(event) }
        #expect(events == [.resynchronized, .changed(leaf: "leader", value: nil, revision: 5)])
    }
}
