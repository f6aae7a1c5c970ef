import ClusterModel
import HighAvailability
import Ports

/// What was seen last of PostgreSQL and of the store, and when. Nothing here is decided or hoped for.
struct Sight: Sendable {
    private(set) var local: PostgreSQLStatus
    /// `local` is what was seen, not what it is taken for before.
    private(set) var hasObserved = false
    /// The signs of life of the server; nil where none were taken.
    var pulse: Pulse?
    private(set) var wasPrimary = false
    /// When PostgreSQL was last asked to be observed.
    var lookedAt: BootInstant
    /// When the last plan ended: what was observed of PostgreSQL before is no longer so.
    var planEnded = BootInstant(nanoseconds: 0)

    private(set) var view: ClusterView?
    private(set) var viewAt: BootInstant?
    /// Seconds since the epoch.
    private(set) var storeLastSeen: Int64 = 0
    /// Why the store is silent; nil while it answers.
    private(set) var storeFailure: String?

    init(now: BootInstant) {
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
        local = status
        hasObserved = true
        if let facts = status.facts { wasPrimary = !facts.inRecovery }
    }

    /// Asked for at `asked`. True where the store was silent before.
    mutating func see(_ view: ClusterView, asked: BootInstant, wallTime: Int64) -> Bool {
        defer { storeFailure = nil }
        self.view = view
        viewAt = asked
        storeLastSeen = wallTime / 1_000_000_000
        return storeFailure != nil
    }

    mutating func storeIsSilent(_ why: String) { storeFailure = why }

    // MARK: What our own operations have made of PostgreSQL, until it is seen again

    /// What is stopped accepts no writes.
    mutating func assumeStopped(at now: BootInstant) {
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
