import ClusterModel

/// The keys of a cluster as they were last read, so that the next read asks for what has changed since: most of the
/// time that is nothing, and the answer is a few bytes instead of every member's record.
///
/// An answer tells how many keys there are, and those that were put after a revision. A key that was removed is in
/// neither; it is missed by the count.
struct KnownRange: Sendable, Hashable {
    /// The life of the store that it was read in (`StoreLife`): revisions of another mean nothing.
    let life: Int
    let revision: Revision
    /// Of the store's leader: one that was set back to an earlier state has had an election.
    let term: UInt64
    /// When all of it was read at once.
    let wholeSince: BootInstant
    private let byKey: [String: EtcdKeyValue]

    /// It is read whole at least so often, whatever the answers say.
    static let wholeEvery = Duration.seconds(600)

    init(_ range: EtcdRange, life: Int, at now: BootInstant) {
        self.init(
            life: life, revision: range.header.revision, term: range.header.raftTerm, wholeSince: now,
            byKey: Dictionary(range.pairs.map { ($0.key, $0) }) { $1 })
    }

    private init(life: Int, revision: Revision, term: UInt64, wholeSince: BootInstant, byKey: [String: EtcdKeyValue]) {
        self.life = life
        self.revision = revision
        self.term = term
        self.wholeSince = wholeSince
        self.byKey = byKey
    }

    /// In the order of the keys, as etcd answers.
    var pairs: [EtcdKeyValue] {
        byKey.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.compactMap { byKey[$0] }
    }

    func isDue(at now: BootInstant) -> Bool { now - wholeSince >= KnownRange.wholeEvery }

    /// What it is with `changes`, an answer that holds what was put after `revision`; nil where that is not all that
    /// has happened, and the whole is to be read.
    func with(_ changes: EtcdRange, life: Int) -> KnownRange? {
        guard life == self.life, changes.header.raftTerm == term, changes.header.revision >= revision,
            changes.pairs.allSatisfy({ $0.revision > revision })
        else { return nil }
        var merged = byKey
        for pair in changes.pairs { merged[pair.key] = pair }
        guard Int64(merged.count) == changes.count else { return nil }
        return KnownRange(
            life: life, revision: changes.header.revision, term: term, wholeSince: wholeSince, byKey: merged)
    }

    /// What it is with what the watch has told, all of it up to `revision`; nil where that is more than what members
    /// publish of themselves all the time. What anything is decided by is read, and a quorum stands behind it.
    func with(_ events: [EtcdEvent], upTo revision: Revision, _ keys: EtcdKeys) -> KnownRange? {
        var merged = byKey
        for event in events {
            guard let pair = event.pair, let leaf = keys.leaf(pair.key), Self.isRoutine(leaf), pair.revision <= revision
            else { return nil }
            merged[pair.key] = pair
        }
        return KnownRange(life: life, revision: revision, term: term, wholeSince: wholeSince, byKey: merged)
    }

    private static func isRoutine(_ leaf: String) -> Bool { leaf == "status" || leaf.hasPrefix("members/") }
}
