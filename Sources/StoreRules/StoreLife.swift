public import ClusterModel

/// Tells an endpoint that lags behind its cluster (dcs.md §5.7) from a store that has begun another life: one whose
/// data directory was lost, or another cluster at the same address. Both are refused at first, since nothing that is
/// found there tells who led. After one ttl of nothing else the lease of whoever led has ended on its own host,
/// and the other life is the store.
public struct StoreLife: Sendable, Hashable {
    /// What is to be thought of an answer.
    public enum Verdict: Sendable, Hashable {
        case known
        /// Not to be relied upon; why, and whether that is said for the first time.
        case stale(String, isNews: Bool)
        /// Not the store that was known, but there is no other any more.
        case accepted(String)
    }

    /// The lowest revision and term that an answer may have whose request is sent now, and the life of the store in
    /// which they count: what was asked in one says nothing of the next. An answer that was on its way while etcd
    /// elected is of the term before.
    public struct Floor: Sendable, Hashable {
        public let revision: Revision
        fileprivate let term: UInt64
        fileprivate let life: Int
    }

    private struct Known: Sendable, Hashable {
        var clusterID: String
        var highestTerm: UInt64
        /// Whatever a member has told was agreed upon: no later answer that a quorum stands behind is lower.
        var highestRevision: Revision
        /// Of the leader key.
        var leader: Revision = 0
    }

    private struct Other: Sendable, Hashable {
        var clusterID: String
        var since: BootInstant
    }

    /// The longest that was granted of late: a lease of it ends when that has passed.
    private struct Granted: Sendable, Hashable {
        var ttl: Duration
        /// When it was in force still; nil for before this daemon began.
        var lastAt: BootInstant?
    }

    /// Counts the lives: revisions and leases of one mean nothing in another.
    public private(set) var number = 0
    private var known: Known?
    private var other: Other?
    private var granted: Granted?
    /// Until then who led in the life before may do so still, although this one is known already.
    private var settles: BootInstant?
    /// An earlier daemon waited for that, and nothing tells since when: it is waited for from the first answer on.
    private var beginsUnsettled = false

    /// For what is asked now.
    public var floor: Floor { Floor(revision: known?.highestRevision ?? 0, term: highestTerm, life: number) }
    /// Of all answers of this life.
    public var highestTerm: UInt64 { known?.highestTerm ?? 0 }

    /// What an earlier daemon has left of the life that it knew; nil where nothing is known yet.
    public init(_ mark: StoreMark? = nil) {
        guard let mark else { return }
        known = Known(
            clusterID: mark.clusterID, highestTerm: mark.term, highestRevision: mark.revision, leader: mark.leader)
        granted = Granted(ttl: mark.ttl)
        beginsUnsettled = mark.isUnsettled
    }

    /// What the next daemon is to know; nil where nothing is known yet.
    public var mark: StoreMark? {
        guard let known, let granted else { return nil }
        return StoreMark(
            clusterID: known.clusterID, term: known.highestTerm, revision: known.highestRevision, ttl: granted.ttl,
            leader: known.leader, isUnsettled: beginsUnsettled || settles != nil)
    }

    /// For how much longer whoever led in the life before may do so still; nil where nobody does.
    public func unsettled(at now: BootInstant) -> Duration? {
        if beginsUnsettled { return granted?.ttl }
        return settles.flatMap { now < $0 ? $0 - now : nil }
    }

    /// For how much longer the leader key is not claimed; nil where nothing forbids it. Who has a lease that is valid
    /// goes on, whichever session holds the key: nobody else can have led since it was granted.
    public func holdsBackClaims(withValidLease hasValidLease: Bool, at now: BootInstant) -> Duration? {
        hasValidLease ? nil : unsettled(at: now)
    }

    /// Takes an answer in, and says what is to be thought of it. `floor` is what it was when the request was sent; nil
    /// for an answer that one member gave for itself, without a quorum.
    public mutating func learn(_ header: StoreHeader, floor: Floor?, at now: BootInstant, ttl: Duration) -> Verdict {
        if header.clusterID.isEmpty || header.raftTerm == 0 { return .known }
        settle(at: now, ttl)
        if let floor, floor.life != number {
            return .stale("it was asked in the store's former life", isNews: false)
        }
        guard let known else {
            granted = Granted(ttl: ttl, lastAt: now)
            begin(with: header)
            return .known
        }
        guard let difference = difference(header, floor, from: known) else {
            return goOn(header, known, isProof: floor != nil, at: now, ttl: ttl)
        }
        // A member that its cluster has left behind answers so as well.
        if floor == nil, header.clusterID == known.clusterID { return .stale(difference, isNews: false) }
        let seen = other?.clusterID == header.clusterID ? other : nil
        let since = seen?.since ?? now
        guard floor != nil, now - since >= patience(ttl) else {
            other = Other(clusterID: header.clusterID, since: since)
            return .stale(difference, isNews: seen == nil)
        }
        number += 1
        granted = Granted(ttl: ttl, lastAt: now)
        begin(with: header)
        return .accepted(difference)
    }

    /// The answer is no lower than what is known.
    private mutating func goOn(
        _ header: StoreHeader, _ known: Known, isProof: Bool, at now: BootInstant, ttl: Duration
    ) -> Verdict {
        // A quorum stood behind less before: the store was set back, and has grown past what was known of it. That is
        // not waited out: where an endpoint alone is broken the others would be refused for its sake. But nobody leads
        // anew before whoever led has ended.
        if isProof, let other, other.clusterID == header.clusterID {
            settles = other.since + patience(ttl)
            number += 1
            begin(with: header)
            return .accepted("the etcd cluster \(header.clusterID) was set back, and has grown since")
        }
        self.known?.highestTerm = max(known.highestTerm, header.raftTerm)
        self.known?.highestRevision = max(known.highestRevision, header.revision)
        if isProof { other = nil }
        grant(ttl, at: now)
        return .known
    }

    /// The store at `present` has the leader key at `revision` of its own: one that is older than what was seen before
    /// is of a state that the store was set back to, although that has grown since.
    /// `life` is the one that has shown it.
    public mutating func see(
        leader revision: Revision, in present: Revision, of life: Int, at now: BootInstant, ttl: Duration
    ) {
        // What was read before something else was is overtaken by that.
        guard let known, life == number, present >= known.highestRevision else { return }
        if revision < known.leader { settles = max(settles ?? now, now + patience(ttl)) }
        self.known?.leader = revision
    }

    private mutating func settle(at now: BootInstant, _ ttl: Duration) {
        if beginsUnsettled { settles = now + patience(ttl) }
        beginsUnsettled = false
        if let settles, now >= settles { self.settles = nil }
    }

    private func patience(_ ttl: Duration) -> Duration { max(ttl, granted?.ttl ?? ttl) }

    private mutating func grant(_ ttl: Duration, at now: BootInstant) {
        let before = granted ?? Granted(ttl: ttl, lastAt: now)
        let lastAt = before.lastAt ?? now
        if ttl >= before.ttl || now - lastAt > before.ttl {
            granted = Granted(ttl: ttl, lastAt: now)
        } else {
            granted = Granted(ttl: before.ttl, lastAt: lastAt)
        }
    }

    private mutating func begin(with header: StoreHeader) {
        known = Known(
            clusterID: header.clusterID, highestTerm: header.raftTerm, highestRevision: header.revision)
        other = nil
    }

    /// In what an answer is not of the life that is known; nil where it is.
    private func difference(_ header: StoreHeader, _ floor: Floor?, from known: Known) -> String? {
        if header.clusterID != known.clusterID {
            return "the etcd cluster \(header.clusterID) answers in place of \(known.clusterID)"
        }
        let term = floor?.term ?? known.highestTerm
        if header.raftTerm < term { return "raft term \(header.raftTerm), where \(term) was seen" }
        if let floor, header.revision < floor.revision {
            return "revision \(header.revision), where \(floor.revision) was seen"
        }
        return nil
    }
}

/// What every answer tells of the server that gave it.
public struct StoreHeader: Sendable, Hashable {
    /// Empty where the answer has none.
    public var clusterID: String
    public var raftTerm: UInt64
    /// The store's revision; 0 where it is left out.
    public var revision: Revision

    public init(clusterID: String, raftTerm: UInt64, revision: Revision = 0) {
        self.clusterID = clusterID
        self.raftTerm = raftTerm
        self.revision = revision
    }
}
