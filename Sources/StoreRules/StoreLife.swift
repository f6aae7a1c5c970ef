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

    private struct Known: Sendable, Hashable {
        var clusterID: String
        var highestTerm: UInt64
        /// Whatever a member has told was agreed upon: no later answer that a quorum stands behind is lower.
        var highestRevision: Revision
    }

    private struct Other: Sendable, Hashable {
        var clusterID: String
        var since: BootInstant
    }

    /// Counts the lives: revisions and leases of one mean nothing in another.
    public private(set) var number = 0
    private var known: Known?
    private var other: Other?

    /// The lowest revision that an answer may have whose request is sent now.
    public var floor: Revision { known?.highestRevision ?? 0 }
    /// Of all answers of this life.
    public var highestTerm: UInt64 { known?.highestTerm ?? 0 }

    /// Nothing is known yet.
    public init() {}

    /// Takes an answer in, and says what is to be thought of it. `floor` is what it was when the request was sent; nil
    /// for an answer that one member gave for itself, without a quorum.
    public mutating func learn(_ header: StoreHeader, floor: Revision?, at now: BootInstant, ttl: Duration) -> Verdict {
        if header.clusterID.isEmpty || header.raftTerm == 0 { return .known }
        guard let known else {
            begin(with: header)
            return .known
        }
        guard let difference = difference(header, floor, from: known) else {
            // A quorum stood behind less before: the store was set back, and has grown past what was known of it. That
            // is not waited out: where an endpoint alone is broken the others would be refused for its sake.
            if floor != nil, other?.clusterID == header.clusterID {
                number += 1
                begin(with: header)
                return .accepted("the etcd cluster \(header.clusterID) was set back, and has grown since")
            }
            self.known?.highestTerm = header.raftTerm
            self.known?.highestRevision = max(known.highestRevision, header.revision)
            if floor != nil { other = nil }
            return .known
        }
        // A member that its cluster has left behind answers so as well.
        if floor == nil, header.clusterID == known.clusterID { return .stale(difference, isNews: false) }
        let seen = other?.clusterID == header.clusterID ? other : nil
        let since = seen?.since ?? now
        guard floor != nil, now - since >= ttl else {
            other = Other(clusterID: header.clusterID, since: since)
            return .stale(difference, isNews: seen == nil)
        }
        number += 1
        begin(with: header)
        return .accepted(difference)
    }

    private mutating func begin(with header: StoreHeader) {
        known = Known(
            clusterID: header.clusterID, highestTerm: header.raftTerm, highestRevision: header.revision)
        other = nil
    }

    /// In what an answer is not of the life that is known; nil where it is.
    private func difference(_ header: StoreHeader, _ floor: Revision?, from known: Known) -> String? {
        if header.clusterID != known.clusterID {
            return "the etcd cluster \(header.clusterID) answers in place of \(known.clusterID)"
        }
        if header.raftTerm < known.highestTerm {
            return "raft term \(header.raftTerm), where \(known.highestTerm) was seen"
        }
        if let floor, header.revision < floor { return "revision \(header.revision), where \(floor) was seen" }
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
