/// Tokens in the order they came.
struct TokenQueue {
    private var tokens: [EventToken] = []
    private var start = 0

    var isEmpty: Bool { start == tokens.count }

    mutating func append(_ token: EventToken) { tokens.append(token) }

    mutating func popFirst() -> EventToken? {
        if isEmpty { return nil }
        defer {
            start += 1
            if start == tokens.count || start > 1024 && start * 2 > tokens.count {
                tokens.removeFirst(start)
                start = 0
            }
        }
        return tokens[start]
    }
}

/// Connections whose handshake is due: its first answer costs a signature. The sources take turns, so that whoever asks
/// for few waits for few.
struct HandshakeQueue {
    private var lines: [Int: TokenQueue] = [:]
    private var turns: [Int] = []
    private var start = 0
    /// How many there are, those included whose connections have ended meanwhile.
    private(set) var count = 0

    var isEmpty: Bool { lines.isEmpty }

    mutating func append(_ token: EventToken, of source: Int) {
        count += 1
        if lines[source] == nil { turns.append(source) }
        lines[source, default: TokenQueue()].append(token)
    }

    mutating func popFirst() -> EventToken? {
        guard start < turns.count else { return nil }
        let source = turns[start]
        start += 1
        if start > 64 && start * 2 > turns.count {
            turns.removeFirst(start)
            start = 0
        }
        let token = lines[source]?.popFirst()
        count -= token == nil ? 0 : 1
        if lines[source]?.isEmpty ?? true { lines[source] = nil } else { turns.append(source) }
        return token
    }
}

/// The handshakes that are due, by the step that each is at.
struct HandshakeTurns {
    private var queues = [HandshakeQueue](repeating: HandshakeQueue(), count: Greeting.allCases.count)

    var isEmpty: Bool { queues.allSatisfy(\.isEmpty) }
    var count: Int { queues.reduce(0) { $0 + $1.count } }

    mutating func append(_ token: EventToken, of source: Int, at step: Greeting) {
        queues[step.rawValue].append(token, of: source)
    }

    mutating func popFirst(at step: Greeting) -> EventToken? { queues[step.rawValue].popFirst() }
}
