import Testing

@testable import HTTPServer

/// What an event loop remembers of its connections, without a socket.
@Suite struct LoopStateTests {
    @Test func theOldestOfAKindIsTheFirstThatCame() {
        var queues = TimeoutQueues()
        for slot in 0..<4 { queues.move(slot, to: .idle, now: Int64(slot)) }
        queues.move(0, to: .reading, now: 10)
        queues.move(2, to: nil, now: 11)
        #expect(queues.oldest(.idle)?.slot == 1)
        #expect(queues.oldest(.reading)?.since == 10)
        queues.move(1, to: .idle, now: 12)
        #expect(queues.oldest(.idle)?.slot == 3)
        queues.move(3, to: nil, now: 13)
        #expect(queues.oldest(.idle)?.slot == 1)
        queues.move(1, to: nil, now: 14)
        #expect(queues.oldest(.idle) == nil)
        #expect(queues.wait(of: 0) == .reading)
        #expect(queues.wait(of: 2) == nil)
        #expect(queues.wait(of: 99) == nil)
    }

    struct Watched: Sendable {
        var needs: Readiness
        var awaits: Readiness
        var hasUnsent = false
        var expected: Readiness
    }

    @Test(
        "What is ready without being of use is not watched for",
        arguments: [
            Watched(needs: .input, awaits: [], expected: .input),
            Watched(needs: [.input, .peerEnded], awaits: .input, expected: [.input, .peerEnded]),
            Watched(needs: [.input, .peerEnded], awaits: .output, expected: [.output, .peerEnded]),
            Watched(needs: .output, awaits: .output, hasUnsent: true, expected: .output),
            Watched(needs: .output, awaits: .input, hasUnsent: true, expected: .input),
            Watched(needs: .output, awaits: .input, expected: .output),
            Watched(needs: .peerEnded, awaits: .output, expected: .peerEnded),
        ])
    func watched(_ row: Watched) {
        #expect(row.needs.watched(awaits: row.awaits, hasUnsent: row.hasUnsent) == row.expected)
    }

    @Test func aStreamIsNotAheadOfItsLoopByMoreThanItsBound() {
        let backlog = StreamBacklog()
        #expect(backlog.add(StreamBacklog.bytesMax))
        #expect(!backlog.add(1))
        backlog.take(10)
        #expect(backlog.add(10))
        #expect(!backlog.add(1))
    }

    @Test func aSlotInUseAgainDoesNotAnswerToItsOldToken() {
        var table = ConnectionTable()
        let first = table.reserve()
        table.insert(Connection(transport: NoTransport(), token: first, limits: HTTPLimits(), peer: ""))
        #expect(table[first] != nil)
        table.remove(first)
        let second = table.reserve()
        table.insert(Connection(transport: NoTransport(), token: second, limits: HTTPLimits(), peer: ""))
        #expect(second.slot == first.slot)
        #expect(table[first] == nil)
        #expect(table[second] != nil)
        #expect(table.count == 1)
    }

    @Test func tokensTellTheirKindsApart() {
        let connection = EventToken(slot: 3, generation: 7)
        #expect(EventToken(packed: connection.packed) == connection)
        #expect(connection.listenerIndex == nil)
        #expect(EventToken.listener(1).listenerIndex == 1)
        #expect(EventToken.mailbox.listenerIndex == nil && EventToken.newcomers.listenerIndex == nil)
        #expect(EventToken(packed: EventToken.newcomers.packed) == .newcomers && EventToken.newcomers != .mailbox)
        #expect(EventToken(slot: 0, generation: .max - 1).nextGeneration == 1)
    }
}

private final class NoTransport: Transport {
    let socket: Int32 = -1
    let awaits: Readiness = []
    let isHandshaking = false
    let greeting: Greeting? = nil
    var isWary = false
    let isEncrypted = false
    let client: VerifiedClient? = nil
    func awaitGreeting() -> TransportResult? { nil }
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransportResult { .ended }
    func send(_ bytes: UnsafeRawBufferPointer) -> TransportResult { .ended }
    func endSending() {}
    func close() {}
}
