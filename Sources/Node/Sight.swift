import ClusterModel
import HighAvailability
import Ports

/// What was seen last of PostgreSQL and of the store, and when. Nothing here is decided or hoped for.
struct Sight: Sendable {
    @Boxed private(set) var local: PostgreSQLStatus
    /// `local` is what was seen, not what it is taken for before.
    private(set) var hasObserved = false
    /// `local` is what an operation of ours has most likely made of it: nobody has looked since.
    private(set) var isAssumed = false
    /// The kernel has said that the postmaster that `local` tells of has ended, and nobody has looked since.
    private(set) var isServerGone = false
    /// The signs of life of the server; nil where none were taken.
    var pulse: Pulse?
    private(set) var wasPrimary = false
    /// Since when PostgreSQL has been seen as a standby that streams from nobody and comes no further.
    private(set) var notStreamingSince: BootInstant?
    private var standsAt: WALPosition?
    /// What comparisons of timelines gave.
    @Boxed var comparisons = Comparisons()
    /// When PostgreSQL was last asked to be observed.
    var lookedAt: BootInstant
    /// When the last plan ended: what was observed of PostgreSQL before is no longer so.
    var planEnded = BootInstant(nanoseconds: 0)

    @Boxed private(set) var view: ClusterView? = nil
    private(set) var viewAt: BootInstant?
    /// `/sync` as we have written it last.
    private var ownSync: (state: SyncState, revision: Revision, at: BootInstant)?
    /// Seconds since the epoch.
    private(set) var storeLastSeen: Int64 = 0
    /// Why the store is silent; nil while it answers.
    private(set) var storeFailure: String?
    /// What every member that was ever seen said last; nil for one whose key is gone or unreadable.
    private var shown: [String: JSONObject?] = [:]

    /// The guardian's lease, or the key, that was there when this daemon began may be that of a promotion which has not
    /// come to its end: of the first postmaster that is seen.
    private var mayBePromoting: Bool
    private var inherited: Int32?
    /// Until when the key alone says so: as long as an earlier daemon would have waited.
    private var keyTellsUntil: BootInstant?
    /// Nothing is pending of an earlier daemon's.
    private var isSettled = false
    private static let promotionLasts = Duration.seconds(60)

    init(now: BootInstant, inheritsLease: Bool = false) {
        mayBePromoting = inheritsLease
        local = PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: now)
        lookedAt = now
    }

    /// The one question whether what was seen of PostgreSQL tells of what has happened until `instant`.
    func isFresh(since instant: BootInstant) -> Bool { local.observedAt >= instant }

    /// Whether PostgreSQL was seen since the last plan ended.
    var isCurrent: Bool { isFresh(since: planEnded) }

    /// An older look that comes late tells nothing.
    mutating func see(_ status: PostgreSQLStatus) {
        guard status.observedAt >= local.observedAt else { return }
        // The same look that is told once more knows nothing of what has happened since.
        if status.observedAt > local.observedAt { isServerGone = false }
        isAssumed = false
        local = status
        noteInherited()
        hasObserved = true
        if let facts = status.facts {
            wasPrimary = !facts.inRecovery
            let isIdle = facts.inRecovery && facts.receiver?.isStreaming != true
            if facts.position != standsAt { notStreamingSince = nil }
            standsAt = facts.position
            notStreamingSince = isIdle ? notStreamingSince ?? status.observedAt : nil
        } else if status.postmaster == nil {
            notStreamingSince = nil
        }
    }

    mutating func serverEnded(_ pid: Int32) {
        if local.postmaster == pid { isServerGone = true }
    }

    /// Asked for at `asked`; `isMine`: the leader that it names is this node. True where the store was silent before.
    mutating func see(_ view: ClusterView, isMine: Bool, asked: BootInstant, wallTime: Int64) -> Bool {
        defer { storeFailure = nil }
        if self.view == nil, isMine, !mayBePromoting, !isSettled {
            mayBePromoting = true
            keyTellsUntil = asked + Self.promotionLasts
            noteInherited()
        }
        self.view = view
        if let ownSync, view.revision < ownSync.revision { self.view?.sync = ownSync.state }
        viewAt = asked
        storeLastSeen = wallTime / 1_000_000_000
        for member in view.members { shown[member.name] = .some(member.data) }
        return storeFailure != nil
    }

    private mutating func noteInherited() {
        guard mayBePromoting else { return }
        guard let postmaster = local.postmaster else {
            // What is started later an earlier daemon has asked for nothing.
            if local.dataDirectory == .initialized, inherited == nil { settle() }
            return
        }
        inherited = inherited ?? postmaster
        let isOver = keyTellsUntil.map { local.observedAt >= $0 } ?? false
        if isOver || inherited != postmaster || local.facts?.inRecovery == false { return settle() }
        local.promotionWasAsked = true
    }

    /// What stands in the data directory is this daemon's: no earlier one has asked anything of its first server. Not
    /// before it stands there, as a volume that was away may come back with a server in it.
    mutating func hasMadeDirectory() {
        if inherited == nil { settle() }
    }

    private mutating func settle() {
        mayBePromoting = false
        isSettled = true
    }

    /// While `standby_cluster` is set nobody is promoted, and a promotion of before is taken back when it is seen.
    mutating func seesStandbyCluster() {
        guard mayBePromoting || inherited != nil else { return }
        if inherited == local.postmaster { local.promotionWasAsked = false }
        settle()
    }

    /// Whether a member key, which is gone or unreadable for nil, says something else than before of what decisions of
    /// others rest on. The positions, which every member publishes all the time, are no part of that.
    mutating func hasChanged(_ member: String, _ data: JSONObject?) -> Bool {
        guard let before = shown.updateValue(data, forKey: member) else { return true }
        guard let before, let data else { return (before == nil) != (data == nil) }
        return Self.marks.contains { mark in
            let (old, new) = (before[mark], data[mark])
            return old != new && old?.comparableText ?? "" != new?.comparableText ?? ""
        }
    }

    private static let marks = [
        "conn_url", "state", "role", "timeline", "checkpoint_after_promote", "tags", "replication_state",
        "postmaster_start_time", "unproven_copy",
    ]

    /// Our own write, which the store has acknowledged at `revision`: a view from before it does not take it back.
    mutating func wrote(_ sync: SyncState, at revision: Revision, at now: BootInstant) {
        view?.sync = sync
        ownSync = (sync, revision, now)
    }

    /// A store that counts from lower on is another one, which knows nothing of our write: it is believed only after a
    /// ttl of nothing else (dcs.md §5.7), and a look that came late is younger than that.
    mutating func storeBeganAnew(ttl: Duration, at now: BootInstant) {
        if let ownSync, now - ownSync.at >= ttl { forgetOwnSync() }
    }

    mutating func forgetOwnSync() { ownSync = nil }

    mutating func storeIsSilent(_ why: String) { storeFailure = why }

    // MARK: What our own operations have made of PostgreSQL, until it is seen again

    /// What is stopped accepts no writes.
    mutating func assumeStopped(at now: BootInstant) {
        isAssumed = true
        local.postmaster = nil
        local.facts = nil
        local.readiness = .down
        local.observedAt = max(local.observedAt, now)
    }

    /// It has written its last record, and archives still.
    mutating func assumeShutDown() { local.finish = .shutDown }

    mutating func assumeFinished() { local.unfinished = nil }

    /// What the others are told at the end.
    mutating func assumeGone() {
        local.state = .stopped
        local.facts = nil
        local.postmaster = nil
    }
}
