/// Which connections wait for what, and since when. Every wait of one kind lasts equally long, so that the order of
/// arrival is the order of expiry: moving, expiring and finding the oldest cost the same for one connection or
/// thousands.
struct TimeoutQueues {
    /// What a connection waits for.
    enum Wait: Int, CaseIterable {
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

    private struct Link {
        var previous = -1
        var next = -1
        var wait: Wait?
        var since: Int64 = 0
    }

    private struct Ends {
        var oldest = -1
        var newest = -1
        var count = 0
    }

    private var links: [Link] = []
    private var ends = [Ends](repeating: Ends(), count: Wait.allCases.count)

    /// What `slot` waits for; nil for nothing with a timeout.
    func wait(of slot: Int) -> Wait? { slot < links.count ? links[slot].wait : nil }

    /// Has `slot` wait for `wait` from `now` on, as the newest of its kind; nil takes it out of every queue.
    mutating func move(_ slot: Int, to wait: Wait?, now: Int64) {
        while links.count <= slot { links.append(Link()) }
        unlink(slot)
        guard let wait else { return }
        let newest = ends[wait.rawValue].newest
        links[slot] = Link(previous: newest, next: -1, wait: wait, since: now)
        if newest >= 0 { links[newest].next = slot } else { ends[wait.rawValue].oldest = slot }
        ends[wait.rawValue].newest = slot
        ends[wait.rawValue].count += 1
    }

    /// How many wait for `wait`.
    func count(_ wait: Wait) -> Int { ends[wait.rawValue].count }

    /// Who waits longest for `wait`, and since when.
    func oldest(_ wait: Wait) -> (slot: Int, since: Int64)? {
        let slot = ends[wait.rawValue].oldest
        return slot < 0 ? nil : (slot, links[slot].since)
    }

    private mutating func unlink(_ slot: Int) {
        let link = links[slot]
        guard let wait = link.wait else { return }
        ends[wait.rawValue].count -= 1
        if link.previous >= 0 { links[link.previous].next = link.next } else { ends[wait.rawValue].oldest = link.next }
        if link.next >= 0 {
            links[link.next].previous = link.previous
        } else {
            ends[wait.rawValue].newest = link.previous
        }
        links[slot] = Link()
    }
}
