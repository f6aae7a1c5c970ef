/// One client. Belongs to the thread of its loop.
final class Connection {
    let transport: any Transport
    let token: EventToken
    var parser: HTTPRequestParser
    /// The request whose answer a task is working on; nothing further is read meanwhile.
    var pending: PendingAnswer?
    /// What is under way of the answer, where that is a stream: it ends with the server, not after it.
    var stream: StreamUnderWay?
    /// What the socket did not take yet.
    var unsent = UnsentBytes()
    /// What the socket is watched for.
    var interest: Readiness = [.input, .peerEnded]
    /// Which of the loop's two epolls knows of it.
    var watch = Watch.none
    /// No further request is served; the connection ends once everything is sent.
    var isEnding = false
    /// The client may still be sending what was refused: closing at once would reset the connection under the answer.
    var lingersAtEnd = false
    /// What was read only to be thrown away while lingering, in bytes.
    var discarded = 0
    /// What its parser held when it was last looked at, in bytes.
    var gathered = 0
    /// More is buffered than was answered in this turn: others come first.
    var hasMore = false
    /// A request was finished since the waits were last set, so that the next one has its own time.
    var finishedRequest = false
    /// It is one of those that a share of all connections is kept for, by what it last asked, or by who it is.
    var hasShare = false
    /// A request has come on it.
    var hasAsked = false
    /// Nothing was answered yet: it is watched among the newcomers.
    var isNewcomer = true
    /// A signature was made for it, and it has not finished its handshake.
    var owesHandshake = false
    /// It stands in a queue of the loop for its next turn, and is not watched for input meanwhile, or only until there
    /// is some.
    var isQueued = false
    /// Which of the loop's sources it comes from.
    let source: Int
    var isOpen = true

    init(transport: any Transport, token: EventToken, limits: HTTPLimits, peer: String, source: Int = 0) {
        self.transport = transport
        self.token = token
        self.source = source
        self.parser = HTTPRequestParser(limits: limits, peer: peer)
    }

    var slot: Int { Int(token.slot) }

    /// Where a socket is watched.
    enum Watch { case none, newcomers, others }

    /// Whether the next request may be read from what is buffered.
    var mayServe: Bool { isOpen && !isEnding && pending == nil && unsent.isEmpty }
}

/// A request whose answer is under way, with what its answer depends on.
struct PendingAnswer {
    let task: Task<Void, Never>
    let exchange: Exchange
}

/// What of a request its answer and the access log need.
struct Exchange {
    let peer: String
    let method: String
    let target: String
    let version: HTTPVersion
    let keepsAlive: Bool
    /// When the request was whole.
    let since: Int64

    init(_ request: HTTPRequest, since: Int64) {
        peer = request.peer
        method = request.method
        target = request.target
        version = request.version
        keepsAlive = request.keepsAlive
        self.since = since
    }
}

/// Bytes that wait for the socket. Holds memory only while some do.
struct UnsentBytes {
    private var bytes: [UInt8] = []
    private var start = 0

    var isEmpty: Bool { start == bytes.count }
    var count: Int { bytes.count - start }

    mutating func append(_ new: ArraySlice<UInt8>) { bytes += new }

    /// Gives what waits to `send`, which says how many bytes it took.
    mutating func consume(_ send: (UnsafeRawBufferPointer) -> Int) {
        start += bytes.withUnsafeBytes { send(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        if isEmpty {
            bytes = []
            start = 0
        }
    }
}

/// The connections of a loop by slot, each use of a slot with its own generation.
struct ConnectionTable {
    private var connections: [Connection?] = []
    private var generations: [UInt32] = []
    private var free: [UInt32] = []

    /// How many there are.
    private(set) var count = 0

    /// The token for a connection to be inserted next.
    mutating func reserve() -> EventToken {
        if let slot = free.popLast() { return EventToken(slot: slot, generation: generations[Int(slot)]) }
        connections.append(nil)
        generations.append(1)
        return EventToken(slot: UInt32(connections.count - 1), generation: 1)
    }

    mutating func insert(_ connection: Connection) {
        connections[connection.slot] = connection
        count += 1
    }

    /// The connection that `token` was made for; nil when it is gone, even if its slot is in use again.
    subscript(token: EventToken) -> Connection? {
        let slot = Int(token.slot)
        guard slot < connections.count, generations[slot] == token.generation else { return nil }
        return connections[slot]
    }

    /// The connection in `slot`.
    func inSlot(_ slot: Int) -> Connection? { slot < connections.count ? connections[slot] : nil }

    /// Frees the slot for another use.
    mutating func remove(_ token: EventToken) {
        guard self[token] != nil else { return }
        connections[Int(token.slot)] = nil
        release(token)
        count -= 1
    }

    /// Gives back a token that was reserved and never inserted.
    mutating func release(_ token: EventToken) {
        generations[Int(token.slot)] = token.nextGeneration
        free.append(token.slot)
    }

    /// Every connection.
    var all: [Connection] { connections.compactMap { $0 } }
}
