/// Which connections wait for what, and since when. Every wait of one kind lasts equally long, so that the order of
/// arrival is the order of expiry. The same is kept for each source apart, for when one of them has too many.
struct TimeoutQueues {
    /// What a connection waits for.
    enum Wait: Int, CaseIterable {
        /// The first byte of the first request.
        case silent
        /// The next request, none of it being there.
        case idle
        /// The same, on a connection of the share that is kept.
        case idleInShare
        /// Keys to be agreed on.
        case handshaking
        /// The rest of a request.
        case reading
        /// The client to take its answer.
        case writing
        /// A refused client to stop sending.
        case lingering
    }

    private var all = SlotQueues()
    private var bySource = SlotQueues()

    /// What `slot` waits for; nil for nothing with a timeout.
    func wait(of slot: Int) -> Wait? { all.queue(of: slot).flatMap(Wait.init(rawValue:)) }

    /// Has `slot` wait for `wait` from `now` on, as the newest of its kind; nil takes it out of every queue.
    mutating func move(_ slot: Int, of source: Int = 0, to wait: Wait?, now: Int64) {
        all.move(slot, to: wait?.rawValue, now: now)
        bySource.move(slot, to: wait.map { TimeoutQueues.queue($0, source) }, now: now)
    }

    /// How many wait for `wait`, of one source or of all.
    func count(_ wait: Wait, of source: Int? = nil) -> Int {
        source.map { bySource.count(TimeoutQueues.queue(wait, $0)) } ?? all.count(wait.rawValue)
    }

    /// Who waits longest for `wait`, and since when, of one source or of all.
    func oldest(_ wait: Wait, of source: Int? = nil) -> (slot: Int, since: Int64)? {
        if let source { return bySource.oldest(TimeoutQueues.queue(wait, source)) }
        return all.oldest(wait.rawValue)
    }

    private static func queue(_ wait: Wait, _ source: Int) -> Int { source * Wait.allCases.count + wait.rawValue }
}
