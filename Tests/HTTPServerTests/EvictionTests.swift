import Testing

@testable import HTTPServer

/// Who ends for a new connection, and whose turn it is: without a socket.
@Suite struct EvictionTests {
    /// Connections in the order they came: what they wait for, since when in milliseconds, from which source.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var waits: [(TimeoutQueues.Wait, Int64, Int)]
        var heaviest: Int?
        var shareMax = 2
        var now: Int64 = 900
        let victim: Int?

        init(
            _ description: String, _ waits: [(TimeoutQueues.Wait, Int64, Int)], heaviest: Int? = nil,
            now: Int64 = 900, victim: Int?
        ) {
            testDescription = description
            self.waits = waits
            self.heaviest = heaviest
            self.now = now
            self.victim = victim
        }
    }

    static func flood(_ wait: TimeoutQueues.Wait, _ count: Int, from source: Int = 0) -> [(
        TimeoutQueues.Wait, Int64, Int
    )] { (0..<count).map { (wait, Int64($0 + 1), source) } }

    static let rows = [
        Row("nobody", [], victim: nil),
        Row("the refused first", [(.silent, 0, 0), (.idle, 0, 0), (.lingering, 800, 0)], victim: 2),
        Row(
            "a silent one has its first second, half requests have not", [(.silent, 0, 0)] + flood(.reading, 20),
            victim: 1),
        Row("so it has beside one half request", [(.silent, 0, 0), (.silent, 1, 0), (.reading, 800, 0)], victim: 2),
        Row("a half request among a flood of silent ones stays", [(.reading, 0, 0)] + flood(.silent, 20), victim: 1),
        Row("who has dawdled for a second goes first", [(.reading, 600, 0), (.silent, 500, 0)], now: 1500, victim: 1),
        Row("also before who is idle", [(.idle, 0, 0), (.reading, 500, 0)], now: 1500, victim: 1),
        Row("in peace who is idle", [(.silent, 600, 0), (.reading, 700, 0), (.idle, 800, 0)], victim: 2),
        Row("the oldest of them", [(.handshaking, 300, 0), (.handshaking, 400, 0)], victim: 0),
        Row("the share last", [(.idleInShare, 0, 0), (.writing, 800, 0)], victim: 1),
        Row("the share where nobody else is", [(.idleInShare, 0, 0), (.idleInShare, 1, 0)], victim: 0),
        Row("what is beyond the share first", flood(.idleInShare, 3) + [(.reading, 0, 0)], victim: 0),
        Row(
            "its own of a source that has too many", [(.idle, 0, 0), (.reading, 1, 0)] + flood(.silent, 9, from: 1),
            heaviest: 1, victim: 2),
        Row(
            "not what it has in the share", [(.idleInShare, 0, 1), (.idleInShare, 0, 1), (.silent, 5, 0)],
            heaviest: 1, victim: 2),
    ]

    @Test(arguments: rows) func oneEnds(_ row: Row) {
        var waits = TimeoutQueues()
        for (slot, wait) in row.waits.enumerated() {
            waits.move(slot, of: wait.2, to: wait.0, now: wait.1 * 1_000_000)
        }
        let eviction = Eviction(
            waits: waits, heaviest: row.heaviest, shareMax: row.shareMax, now: row.now * 1_000_000)
        #expect(eviction.victim == row.victim)
    }

    @Test func whoHasMoreThanAnEighthIsKnown() {
        var sources = Sources(connectionsMax: 16)
        let (one, other) = (PeerSource(bits: 1, isIPv4: true), PeerSource(bits: 1, isIPv4: false))
        let first = sources.enter(one)
        #expect(sources.enter(one) == first && sources.heaviest == nil)
        #expect(sources.enter(one) == first && sources.heaviest == first)
        let second = sources.enter(other)
        for _ in 0..<4 { _ = sources.enter(other) }
        #expect(second != first && sources.heaviest == second && sources.count(second) == 5)
        for _ in 0..<5 { sources.leave(second) }
        #expect(sources.heaviest == first)
        // The index is given to another.
        #expect(sources.enter(PeerSource(bits: 2, isIPv4: true)) == second)
        sources.leave(first)
        #expect(sources.heaviest == nil)
    }

    @Test func sourcesTakeTurns() {
        var queue = HandshakeQueue()
        func token(_ slot: UInt32) -> EventToken { EventToken(slot: slot, generation: 1) }
        for slot in 0..<200 as Range<UInt32> { queue.append(token(slot), of: 0) }
        queue.append(token(900), of: 1)
        queue.append(token(901), of: 1)
        var order: [UInt32] = []
        while let next = queue.popFirst() { order.append(next.slot) }
        #expect(order.prefix(5) == [0, 900, 1, 901, 2])
        #expect(order.count == 202 && order.last == 199 && queue.isEmpty)
    }

    @Test func eachStepOfAHandshakeHasALineOfItsOwn() {
        var turns = HandshakeTurns()
        func token(_ slot: UInt32) -> EventToken { EventToken(slot: slot, generation: 1) }
        for slot in 0..<5 as Range<UInt32> { turns.append(token(slot), of: 0, at: .first) }
        turns.append(token(7), of: 0, at: .proven)
        turns.append(token(8), of: 0, at: .unproven)
        #expect(turns.count == 7)
        #expect(turns.popFirst(at: .proven)?.slot == 7 && turns.popFirst(at: .proven) == nil)
        #expect(turns.popFirst(at: .unproven)?.slot == 8 && turns.popFirst(at: .first)?.slot == 0)
        #expect(turns.count == 4 && !turns.isEmpty)
    }

    @Test func tokensComeOutAsTheyWentIn() {
        var queue = TokenQueue()
        var out: [UInt32] = []
        for slot in 0..<5000 as Range<UInt32> {
            queue.append(EventToken(slot: slot, generation: 1))
            if slot % 3 == 0, let next = queue.popFirst() { out.append(next.slot) }
        }
        while let next = queue.popFirst() { out.append(next.slot) }
        #expect(out == Array(0..<5000) && queue.isEmpty)
    }

    @Test func whatClientsSendIsEscapedInALog() {
        let access = HTTPAccess(
            peer: "192.0.2.1", method: "GET", target: "/x?a=\u{9B}31m\u{E9}\\", version: .http11, status: 503,
            latency: .milliseconds(1500))
        #expect(access.description == "192.0.2.1 GET /x?a=\\xc2\\x9b31m\\xc3\\xa9\\x5c 503 1500 ms")
        #expect(LogText.escaped("/primary?lag=16MB") == "/primary?lag=16MB")
        #expect(LogText.escaped(String(repeating: "a", count: 300)).hasSuffix("aaa... (44 bytes more)"))
    }
}
