/// The last decisions of a node, so that it can say later what it did and why. What is decided again and again stands
/// here once, with how often.
public struct DecisionLog: Sendable, Hashable {
    /// Decisions of one gist, one after another.
    public struct Entry: Sendable, Hashable {
        /// The last of them, with its facts.
        public var decision: Decision
        public var times: Int
        /// Nanoseconds since the epoch, of the first and of the last.
        public var firstAt: Int64
        public var lastAt: Int64
    }

    /// More than an hour of a failover that goes wrong, and days of quiet.
    public static let capacity = 256

    private var ring: [Entry] = []
    /// Where the next one goes once the ring is full: the oldest is there.
    private var next = 0

    public init() {}

    /// Oldest first; `capacity` at most.
    public var entries: [Entry] { Array(ring[next...] + ring[..<next]) }

    /// Takes a decision in. A question is none: the answer's decision follows.
    public mutating func record(_ decision: Decision, wallTime: Int64) {
        if case .ask = decision.action { return }
        let last = (next + ring.count - 1) % max(ring.count, 1)
        if !ring.isEmpty, ring[last].decision.gist == decision.gist {
            ring[last].decision = decision
            ring[last].times += 1
            ring[last].lastAt = wallTime
            return
        }
        let entry = Entry(decision: decision, times: 1, firstAt: wallTime, lastAt: wallTime)
        if ring.count < Self.capacity { return ring.append(entry) }
        ring[next] = entry
        next = (next + 1) % Self.capacity
    }
}
