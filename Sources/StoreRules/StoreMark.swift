public import ClusterModel

/// What outlives a daemon of the store that it has known: a store that was set back, or lost its memory, while the
/// daemon was away is told from the one that it knew, and who led by that one is waited for.
public struct StoreMark: Sendable, Hashable {
    public var clusterID: String
    public var term: UInt64
    /// The highest that was seen; a while ago, as it is not written all the time.
    public var revision: Revision
    /// For how long whoever led may go on at most without a store.
    public var ttl: Duration
    /// Of the leader key when it was last seen: a state of before that is one of another leader's.
    public var leader: Revision
    /// The daemon waited for whoever led in the life before, and claimed nothing.
    public var isUnsettled: Bool
    /// Below which the leader key stands; nil where that is not said.
    public var prefix: String?

    /// All of it as it is known.
    public init(
        clusterID: String, term: UInt64, revision: Revision, ttl: Duration, leader: Revision = 0,
        isUnsettled: Bool = false, prefix: String? = nil
    ) {
        self.clusterID = clusterID
        self.term = term
        self.revision = revision
        self.ttl = ttl
        self.leader = leader
        self.isUnsettled = isUnsettled
        self.prefix = prefix
    }

    /// What it tells a daemon whose leader key stands below `prefix`: of another key it says nothing.
    public func telling(of prefix: String) -> StoreMark {
        var mark = self
        if let own = self.prefix, own != prefix { mark.leader = 0 }
        mark.prefix = prefix
        return mark
    }

    /// Whether the next daemon is better off without it than with it in place of `other`. While whoever led in the life
    /// before is waited for it is not: by it that one waits as well.
    public func isOvertaken(by other: StoreMark) -> Bool {
        !other.isUnsettled && (clusterID, term, leader) != (other.clusterID, other.term, other.leader)
    }

    /// Whether the next daemon knows by it what it would by `other`, but for how far the store has come since.
    public func tellsAsMuch(as other: StoreMark) -> Bool {
        var same = self
        same.revision = other.revision
        return same == other
    }

    /// No lease is granted for longer (configuration.md): a mark that says so is broken.
    private static let longestTTL = Duration.seconds(86_400)

    /// One fact a line: `name value`.
    public var text: String {
        """
        # Written by Matriarch: which store its daemon has known, and how far that had come. It may be removed.
        cluster \(clusterID)
        term \(term)
        revision \(revision)
        leader \(leader)
        ttl \(ttl.nanoseconds / 1_000_000)

        """ + (isUnsettled ? "unsettled 1\n" : "") + (prefix.map { "prefix \($0)\n" } ?? "")
    }

    /// Nil where the text is no mark.
    public init?(_ text: String) {
        var facts: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") where line.utf8.first != UInt8(ascii: "#") {
            let words = line.split(separator: " ", maxSplits: 1)
            guard words.count == 2 else { return nil }
            // A later version of ours may know more.
            facts[words[0]] = words[1]
        }
        guard let cluster = facts["cluster"], let term = facts["term"].flatMap({ UInt64($0) }), term > 0,
            let revision = facts["revision"].flatMap({ Revision($0) }), revision >= 0,
            let milliseconds = facts["ttl"].flatMap({ Int64($0) }), milliseconds > 0,
            milliseconds <= Self.longestTTL.nanoseconds / 1_000_000
        else { return nil }
        self.init(
            clusterID: String(cluster), term: term, revision: revision, ttl: .milliseconds(milliseconds),
            leader: facts["leader"].flatMap { Revision($0) } ?? 0, isUnsettled: facts["unsettled"] == "1",
            prefix: facts["prefix"].map(String.init))
    }
}

/// When a mark is worth writing: at once where the store, its term, the leader or the ttl is another, and now and then
/// for the revision alone, which moves all the time.
public struct StoreMarkPace: Sendable, Hashable {
    private var written: StoreMark?
    private var writtenAt: BootInstant?

    /// How far a mark's revision may be behind.
    static let interval = Duration.seconds(60)

    /// `found` is the mark that stands there already.
    public init(found: StoreMark? = nil) { written = found }

    /// Whether `mark` is to be written now; it counts as written then.
    public mutating func isDue(_ mark: StoreMark, at now: BootInstant) -> Bool {
        if let written {
            let isOld = writtenAt.map { now - $0 >= Self.interval } ?? true
            if written.tellsAsMuch(as: mark), written == mark || !isOld { return false }
        }
        (written, writtenAt) = (mark, now)
        return true
    }
}
