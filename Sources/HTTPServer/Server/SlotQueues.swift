/// First-in-first-out queues of slots, of which each slot is in one at most. Entering, leaving and finding the oldest
/// cost the same for one slot or thousands.
struct SlotQueues {
    private struct Link {
        var previous = -1
        var next = -1
        var queue = -1
        var since: Int64 = 0
    }

    private struct Ends {
        var oldest = -1
        var newest = -1
        var count = 0
    }

    private var links: [Link] = []
    private var ends: [Ends] = []

    /// The queue that `slot` is in.
    func queue(of slot: Int) -> Int? { slot < links.count && links[slot].queue >= 0 ? links[slot].queue : nil }

    /// Takes `slot` out of its queue and puts it into `queue` as the newest, unless that is nil.
    mutating func move(_ slot: Int, to queue: Int?, now: Int64) {
        while links.count <= slot { links.append(Link()) }
        unlink(slot)
        guard let queue else { return }
        while ends.count <= queue { ends.append(Ends()) }
        let newest = ends[queue].newest
        links[slot] = Link(previous: newest, next: -1, queue: queue, since: now)
        if newest >= 0 { links[newest].next = slot } else { ends[queue].oldest = slot }
        ends[queue].newest = slot
        ends[queue].count += 1
    }

    func count(_ queue: Int) -> Int { queue < ends.count ? ends[queue].count : 0 }

    /// Who is in `queue` for longest, and since when.
    func oldest(_ queue: Int) -> (slot: Int, since: Int64)? {
        guard queue < ends.count, ends[queue].oldest >= 0 else { return nil }
        return (ends[queue].oldest, links[ends[queue].oldest].since)
    }

    private mutating func unlink(_ slot: Int) {
        let link = links[slot]
        guard link.queue >= 0 else { return }
        ends[link.queue].count -= 1
        if link.previous >= 0 { links[link.previous].next = link.next } else { ends[link.queue].oldest = link.next }
        if link.next >= 0 {
            links[link.next].previous = link.previous
        } else {
            ends[link.queue].newest = link.previous
        }
        links[slot] = Link()
    }
}
