import ClusterModel
import HighAvailability
import Ports

/// When PostgreSQL is looked at beside the cycles, and what a look changes at once.
extension CycleMachine {
    /// Between two looks at a server that is on its way.
    static let lookInterval = Duration.seconds(1)
    /// Between two cycles that only tell of a change.
    static let tellInterval = Duration.milliseconds(250)

    // MARK: A server that is on its way

    /// PostgreSQL starts, or is a standby that does not stream yet, streams from somebody else than it was told, or is
    /// behind what the leader had when the store was last read; or it is a restored copy that has no voice yet.
    private var isOnItsWay: Bool {
        guard local.postmaster != nil else { return false }
        if local.readiness == .rejecting { return true }
        // Who replays the archive alone is behind all its life, and waits for nothing.
        if me.tags.nostream { return false }
        guard let facts = local.facts, facts.inRecovery, let view, let leader = view.leaderName, leader != me.name
        else {
            return false
        }
        return facts.replicationState != "streaming" || !hasCaughtUp(facts) || streamsFromAnother(facts)
            || local.isUnproven && streamsFromLeader(me, view, local)
    }

    /// The mark of a restored copy may go.
    var isCopyProven: Bool { view.map { local.isUnproven && rules.provesCopy(me, $0, local, told.proof) } ?? false }

    private func hasCaughtUp(_ facts: PostgreSQLStatus.Facts) -> Bool {
        guard let written = view?.status.optime else { return true }
        return facts.receivedPosition >= written && (facts.replayPaused || facts.replayedPosition >= written)
    }

    private func streamsFromAnother(_ facts: PostgreSQLStatus.Facts) -> Bool {
        guard case .upstream(let upstream?) = memory.following, upstream.hasAddress, let receiver = facts.receiver
        else { return false }
        return receiver.port.map { $0 != upstream.address.port } ?? false
    }

    /// While something is on its way it is observed at least once in `lookInterval`, without the store.
    var nextLook: BootInstant? {
        guard isIdle else { return nil }
        if let pause = synchronousPause { return sight.lookedAt + pause }
        if let pause = blindPause { return sight.lookedAt + pause }
        if isOnItsWay { return sight.lookedAt + (isAwaited ? Self.tellInterval : Self.lookInterval) }
        guard isLeading else { return nil }
        // A leader looks more often than it renews, where that is seldom; a cycle that is about to come looks, too.
        let pause = LeaseArithmetic.lookInterval(settings.timings)
        let due = sight.lookedAt + pause
        return due + pause / 20 < schedule.next ? due : nil
    }

    /// A disk that did not answer may only be slow: it is looked at again soon, and then ever more seldom. Nil where
    /// the data directory was seen.
    private var blindPause: Duration? {
        guard case .unseen = local.dataDirectory else { return nil }
        let longest = max(Self.lookInterval, settings.timings.loopWait)
        return min(max(Self.lookInterval, (sight.lookedAt - local.observedAt) / 4), longest)
    }

    /// The leader may take this standby for a synchronous one as soon as it hears that it streams.
    private var isAwaited: Bool {
        guard settings.synchronousMode != .off, !me.tags.nosync, let since = sight.notStreamingSince else {
            return false
        }
        return sight.lookedAt - since < Self.synchronousPatience
    }

    /// Asks PostgreSQL how it is; what was observed before `since`, or before the last plan ended, is no answer.
    mutating func look(since: BootInstant? = nil, _ run: inout Run) {
        sight.lookedAt = run.now
        run.emit(.node(.observe(since: since ?? sight.planEnded, deadline: run.now + .seconds(3))))
    }

    mutating func lookAgain(_ run: inout Run) {
        guard let nextLook, run.now >= nextLook else { return }
        look(&run)
    }

    /// Nil where PostgreSQL has told nothing.
    private var standing: Told.Standing? {
        if local.postmaster != nil, local.facts == nil, local.readiness == .accepting { return nil }
        return Told.Standing(
            directory: local.dataDirectory, state: local.state, inRecovery: local.facts?.inRecovery ?? false,
            replicationState: local.facts?.replicationState, timeline: local.facts?.timeline,
            hasCaughtUp: local.facts.map { !$0.inRecovery || hasCaughtUp($0) } ?? false,
            isUnproven: local.isUnproven, isProven: isCopyProven)
    }

    /// The member key is being written.
    mutating func noteTold() { told.standing = standing }

    /// A look between two cycles has found something that others go by: the next cycle comes at once, and with it the
    /// member key.
    mutating func tellOfChange(_ run: inout Run) {
        guard isIdle, storeFailure == nil, view != nil, let before = told.standing, let standing, before != standing
        else { return }
        schedule.hasten(to: max(run.now, schedule.began + Self.tellInterval))
        if run.now >= schedule.next { beginCycle(&run) }
    }

    // MARK: A server that is silent

    /// A leader whose PostgreSQL is slow to answer decides by what it last knew of it: no renewal waits for a query.
    /// Who has not seen PostgreSQL at all since the daemon started waits.
    var observationEnd: BootInstant? {
        guard !life.hasEnded, case .observing(local: false, store: true)? = stage, isLeading, sight.hasObserved,
            sight.isCurrent
        else { return nil }
        return schedule.began
            + (isKnownToBeSilent ? .zero : LeaseArithmetic.observationPatience(ttl: settings.timings.ttl))
    }

    mutating func goOnWithoutObservation(_ run: inout Run) {
        guard let end = observationEnd, run.now >= end else { return }
        schedule.cycle?.stage = .observing(local: true, store: true)
        decideNow(&run)
    }

    mutating func felt(_ pulse: Pulse?, _ run: inout Run) {
        sight.pulse = pulse
        guard isIdle, let due = judgementDue(run.now) else { return }
        schedule.hasten(to: due)
    }

    /// When a leader has to think of its silent server again.
    func judgementDue(_ now: BootInstant) -> BootInstant? {
        guard isLeading, local.postmaster != nil else { return nil }
        return nextJudgement(pulse, ttl: settings.timings.ttl, after: now)
    }

    /// The pulse of this cycle says already that no answer is to be waited for.
    var isKnownToBeSilent: Bool {
        guard let pulse, pulse.takenAt >= schedule.began else { return false }
        return judgeHealth(local, pulse, ttl: settings.timings.ttl, at: pulse.takenAt) != .answering
    }
}
