import ClusterModel

/// Events in the order of their time, and of their making where times are equal: a binary heap of small entries beside
/// a table of what they stand for, so that nothing large is moved.
struct EventQueue<Event> {
    private struct Entry {
        var time: Int64
        var number: UInt32
        var slot: Int32

        func isBefore(_ other: Entry) -> Bool { time == other.time ? number < other.number : time < other.time }
    }

    private var heap: [Entry] = []
    private var events: [Event?] = []
    private var free: [Int32] = []
    private var made: UInt32 = 0

    var isEmpty: Bool { heap.isEmpty }

    mutating func add(_ event: Event, at time: BootInstant) {
        made += 1
        let slot: Int32
        if let reused = free.popLast() {
            slot = reused
            events[Int(reused)] = event
        } else {
            slot = Int32(events.count)
            events.append(event)
        }
        heap.append(Entry(time: time.nanoseconds, number: made, slot: slot))
        rise()
    }

    private mutating func rise() {
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: BootInstant, event: Event)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        guard let event = events[Int(first.slot)] else { return nil }
        events[Int(first.slot)] = nil
        free.append(first.slot)
        return (BootInstant(nanoseconds: first.time), event)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            let left = 2 * parent + 1
            if left < heap.count, heap[left].isBefore(heap[least]) { least = left }
            if left + 1 < heap.count, heap[left + 1].isBefore(heap[least]) { least = left + 1 }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
