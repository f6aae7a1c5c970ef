import ClusterModel
import HighAvailability
import Ports

/// When PostgreSQL is looked at beside the cycles, and what a look changes at once.
extension CycleMachine {
    /// Between two looks at a server that is on its way.
    static let lookInterval = Duration.seconds(1)
    /// Between two cycles that only tell of a change.
    static let tellInterval = Duration.milliseconds(250)

    /// What others go by of what is known of PostgreSQL: a change of it is published at once.
    struct Standing: Sendable, Hashable {
        var state: PostgreSQLState
        var inRecovery: Bool
        var replicationState: String?
        var timeline: TimelineID?
        var hasCaughtUp: Bool
    }

    // MARK: A server that is on its way

    /// PostgreSQL starts, or is a standby that does not stream yet, streams from somebody else than it was told, or is
    /// behind what the leader had when the store was last read.
    private var isOnItsWay: Bool {
        guard local.postmaster != nil else { return false }
        if local.readiness == .rejecting { return true }
        guard let facts = local.facts, facts.inRecovery, let view, let leader = view.leaderName, leader != me.name
        else {
            return false
        }
        return facts.replicationState != "streaming" || !hasCaughtUp(facts) || streamsFromAnother(facts)
    }

    private func hasCaughtUp(_ facts: PostgreSQLStatus.Facts) -> Bool {
        guard let written = view?.status.optime else { return true }
        return facts.receivedPosition >= written && (facts.replayPaused || facts.replayedPosition >= written)
    }

    private func streamsFromAnother(_ facts: PostgreSQLStatus.Facts) -> Bool {
        guard case .upstream(let upstream?) = memory.following, let receiver = facts.receiver else { return false }
        return receiver.port.map { $0 != upstream.address.port } ?? false
    }

    /// While something is on its way it is observed at least once in `lookInterval`, without the store.
    var nextLook: BootInstant? { isIdle && isOnItsWay ? sight.lookedAt + Self.lookInterval : nil }

    mutating func lookAgain(_ run: inout Run) {
        guard let nextLook, run.now >= nextLook else { return }
        sight.lookedAt = run.now
        run.emit(.node(.observe(deadline: run.now + .seconds(3))))
    }

    /// Nil where PostgreSQL has told nothing.
    private var standing: Standing? {
        if local.postmaster != nil, local.facts == nil, local.readiness == .accepting { return nil }
        return Standing(
            state: local.state, inRecovery: local.facts?.inRecovery ?? false,
            replicationState: local.facts?.replicationState, timeline: local.facts?.timeline,
            hasCaughtUp: local.facts.map { !$0.inRecovery || hasCaughtUp($0) } ?? false)
    }

    /// The member key is being written.
    mutating func noteTold() { told = standing }

    /// A look between two cycles has found something that others go by: the next cycle comes at once, and with it the
    /// member key.
    mutating func tellOfChange(_ run: inout Run) {
        guard isIdle, storeFailure == nil, view != nil, let told, let standing, told != standing else { return }
        nextCycle = min(nextCycle, max(run.now, cycle.began + Self.tellInterval))
        if run.now >= nextCycle { beginCycle(&run) }
    }

    // MARK: A server that is silent

    /// A leader whose PostgreSQL is slow to answer decides by what it last knew of it: no renewal waits for a query.
    /// Who has not seen PostgreSQL at all since the daemon started waits.
    var observationEnd: BootInstant? {
        guard !life.hasEnded, case .observing(local: false, store: true) = phase, isLeading, sight.hasObserved,
            sight.isCurrent
        else { return nil }
        return cycle.began
            + (isKnownToBeSilent ? .zero : LeaseArithmetic.observationPatience(ttl: settings.timings.ttl))
    }

    mutating func goOnWithoutObservation(_ run: inout Run) {
        guard let end = observationEnd, run.now >= end else { return }
        phase = .observing(local: true, store: true)
        decideNow(&run)
    }

    mutating func felt(_ pulse: Pulse?, _ run: inout Run) {
        sight.pulse = pulse
        guard isIdle, let due = judgementDue(run.now) else { return }
        nextCycle = min(nextCycle, due)
    }

    /// When a leader has to think of its silent server again.
    func judgementDue(_ now: BootInstant) -> BootInstant? {
        guard isLeading, local.postmaster != nil else { return nil }
        return nextJudgement(pulse, ttl: settings.timings.ttl, after: now)
    }

    /// The pulse of this cycle says already that no answer is to be waited for.
    var isKnownToBeSilent: Bool {
        guard let pulse, pulse.takenAt >= cycle.began else { return false }
        return judgeHealth(local, pulse, ttl: settings.timings.ttl, at: pulse.takenAt) != .answering
    }
}
