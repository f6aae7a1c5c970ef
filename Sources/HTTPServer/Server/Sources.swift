/// Where connections come from, and how many from where.
struct Sources {
    private var indexes: [PeerSource: Int] = [:]
    private var entries: [(source: PeerSource, count: Int)] = []
    private var free: [Int] = []
    /// Those with more than `countMax` connections: fewer than eight, since that is an eighth of all.
    private var heavy: Set<Int> = []
    /// What one of them may have before it loses its own first.
    let countMax: Int

    init(connectionsMax: Int) { countMax = max(1, connectionsMax / 8) }

    /// Counts one more; the index of the source while it has any.
    mutating func enter(_ source: PeerSource) -> Int {
        let index = index(of: source)
        entries[index].count += 1
        if entries[index].count == countMax + 1 { heavy.insert(index) }
        return index
    }

    mutating func leave(_ index: Int) {
        entries[index].count -= 1
        if entries[index].count == countMax { heavy.remove(index) }
        guard entries[index].count == 0 else { return }
        indexes[entries[index].source] = nil
        free.append(index)
    }

    func count(_ index: Int) -> Int { entries[index].count }

    /// Who has most, if that is more than an eighth of all.
    var heaviest: Int? { heavy.max { entries[$0].count < entries[$1].count } }

    private mutating func index(of source: PeerSource) -> Int {
        if let known = indexes[source] { return known }
        let index: Int
        if let freed = free.popLast() {
            index = freed
            entries[index] = (source, 0)
        } else {
            index = entries.count
            entries.append((source, 0))
        }
        indexes[source] = index
        return index
    }
}
