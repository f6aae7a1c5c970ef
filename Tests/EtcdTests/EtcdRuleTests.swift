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

    // MARK: Watch

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
