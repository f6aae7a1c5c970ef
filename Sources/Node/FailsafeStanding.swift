import ClusterModel
import HighAvailability

/// Where this node stands with failsafe mode: as a leader, whom it would have to ask; as a member, what it has
/// promised.
struct FailsafeStanding: Sendable {
    /// A write of `/failsafe` whose outcome is not known, and the revision of the key that it rests on.
    private struct Attempt: Sendable {
        var members: [String: String]
        var onto: Revision?
    }

    /// When this daemon began, as long as an earlier one of this node may have promised something that still holds.
    private var began: BootInstant?
    /// The primary that leads, or led last, seen since this daemon began.
    private var primary: String?
    /// `/failsafe` as it was last seen or written while this node led without a break; nil where it was not.
    private var known: [String: String]? { didSet { first = first ?? known } }
    private var revision: Revision?
    private var attempt: Attempt?
    /// What the last write puts there.
    private(set) var written: [String: String] = [:]
    /// Since when members that `/failsafe` names have been without a key.
    private var missing: [String: BootInstant] = [:]
    /// The newest revision of the store that was seen.
    private var newest: Revision = 0
    /// What those who have promised said of where they stand.
    private(set) var positions: [String: WALPosition] = [:]
    /// Until when others may be bound by what this node has asked of them.
    private(set) var othersBoundUntil: BootInstant?
    private(set) var promise: FailsafePromise?

    private let slip: FailsafeSlip?
    /// What was known first, for a slip.
    private var first: [String: String]?

    init(began: BootInstant, slip: FailsafeSlip? = nil) {
        self.began = began
        self.slip = slip
    }

    /// A primary that was seen to lead has waited until nobody was bound to another, and the promises of this node that
    /// are not known were made before: to it at most, who hands over now and is none any more.
    mutating func heed(_ view: ClusterView) {
        if let leader = view.leaderName {
            if view.status.handedOverBy == leader {
                // Of an earlier time: nothing would tell this one's end from it.
                primary = nil
            } else if view.member(leader)?.role == .primary {
                primary = leader
            } else if primary != leader {
                // Its own key is another one's before it goes: it stops first.
                primary = nil
            }
        } else if let primary, view.status.handedOverBy == primary {
            began = nil
        }
    }

    // MARK: The leader

    /// What a view says of `/failsafe` counts while this node leads, where it is no older than what was seen before: it
    /// may be that of an earlier leadership, and whoever was written since would not be asked.
    mutating func see(_ view: ClusterView, isLeading: Bool, hasLease: Bool) {
        guard hasLease else {
            newest = view.revision
            return
        }
        guard view.revision >= newest else { return }
        newest = view.revision
        // Whose key was seen is not gone since before, whether or not `/failsafe` was due for writing then.
        for member in view.members { missing[member.name] = nil }
        guard isLeading else { return }
        known = view.failsafe
        revision = view.failsafeRevision
        // Done, or never to be: its condition does not hold any more.
        if let attempt, attempt.onto != revision { self.attempt = nil }
    }

    /// Views of the store's new life are older than none.
    mutating func storeBeganAnew() { newest = 0 }

    /// This node leads no more: the next leader writes its own.
    mutating func forgetMembers() {
        known = nil
        revision = nil
        attempt = nil
        missing = [:]
        positions = [:]
    }

    /// Everybody who may stand in `/failsafe`: what was seen last, and what a write without an answer may have put.
    var members: [String: String]? {
        if slip == .membersOfFormerLife { return first }
        guard let known, let attempt else { return known }
        return known.merging(attempt.members) { $1 }
    }

    /// What `/failsafe` is to say: the members that are `present`, and for a ttl those that were. When the store comes
    /// back from an outage it has lost every member's key; whom `/failsafe` does not name could not lead meanwhile.
    mutating func wanted(_ present: [String: String], ttl: Duration, at now: BootInstant) -> [String: String] {
        if slip == .absentLeaveAtOnce { return present }
        let gone = (known ?? [:]).filter { present[$0.key] == nil }
        missing = gone.reduce(into: [:]) { $0[$1.key] = missing[$1.key] ?? now }
        return present.merging(gone.filter { now - (missing[$0.key] ?? now) < ttl }) { $1 }
    }

    /// The condition under which `wanted` is written; nil where it stands there already, or where what stands there is
    /// not known.
    mutating func write(_ wanted: [String: String], seen view: ClusterView) -> Revision?? {
        guard view.revision >= newest, wanted != known || attempt != nil, known != nil || view.failsafe == nil else {
            return nil
        }
        attempt = Attempt(members: attempt.map { $0.members.merging(wanted) { $1 } } ?? wanted, onto: revision)
        written = wanted
        return .some(revision)
    }

    /// The last write has been carried out.
    mutating func wrote(at revision: Revision) {
        // A newer look knows what has become of it.
        guard revision >= newest else { return }
        known = written
        self.revision = revision
        newest = revision
        attempt = nil
    }

    mutating func asks(until deadline: BootInstant, ttl: Duration) { othersBoundUntil = deadline + ttl }

    mutating func hear(_ answers: [String: FailsafeAnswer]) {
        for (name, answer) in answers {
            if case .accepted(let position?) = answer { positions[name] = position }
        }
    }

    // MARK: The member

    mutating func accept(_ ping: FailsafePing, _ settings: DynamicConfiguration, at now: BootInstant) {
        var new = FailsafePromise(ping, settings, at: now)
        if let promise { new.until = max(new.until, promise.until) }
        promise = new
    }

    /// What is kept still.
    func kept(at now: BootInstant) -> FailsafePromise? { promise.flatMap { now < $0.until ? $0 : nil } }

    // MARK: For the rules

    func facts(granted: [String]?) -> FailsafeFacts {
        var facts = FailsafeFacts()
        facts.members = members
        facts.granted = granted
        facts.othersBoundUntil = othersBoundUntil
        facts.promise = promise
        facts.began = began
        return facts
    }
}
