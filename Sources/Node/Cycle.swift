import ClusterModel
import HighAvailability
import Ports

/// One cycle: where it stands, and what the rules have asked in it. Nothing of it is left for the next one.
struct Cycle: Sendable {
    /// A rule that asks more than this in one cycle waits for the next.
    static let mostQuestions = 8

    /// What it waits for.
    enum Stage: Sendable, Hashable {
        /// The answers of PostgreSQL and of the store. Goes to any other one, or ends the cycle.
        case observing(local: Bool, store: Bool)
        /// An answer that a rule asked for. Goes to any of these three, or ends the cycle.
        case asking
        /// PostgreSQL once more, before the leader key goes. Likewise.
        case lookingAgain
        /// The outcome of a write to the store. Ends the cycle, or begins another.
        case acting
    }

    var stage = Stage.observing(local: false, store: false)
    /// Something happened meanwhile: another one follows at once.
    var again = false
    private var asked = 0
    /// When the last of the answers came that it has waited for, and at first when it began: what may have happened
    /// meanwhile only a younger look tells.
    private(set) var waitedUntil: BootInstant
    /// The questions whose answers it waits for.
    private(set) var awaits: Set<Awaited> = []

    /// What a question is answered with.
    enum Awaited: Sendable, Hashable {
        case renewal, peers, comparison, promises
    }

    var answers = Observation.Answers()
    /// Who was asked for a promise.
    var failsafeAsked: Set<String>?
    /// The last change of the store by which a member has come that was none before.
    private(set) var newcomerAt: Revision?
    /// A claim to the leader key is under way, or has come to nothing that is known.
    var isClaiming = false

    init(at now: BootInstant) { waitedUntil = now }

    mutating func hasWaited(until now: BootInstant) { waitedUntil = now }

    mutating func memberHasCome(at revision: Revision) { newcomerAt = revision }

    /// Counts a question; false where it is one too many.
    mutating func mayAsk() -> Bool {
        asked += 1
        return asked <= Self.mostQuestions
    }

    /// For the answers of one question, however many it has.
    mutating func waits(for answers: Set<Awaited>) { awaits = answers }

    /// False for an answer that nobody waits for: it belongs to an earlier cycle.
    mutating func takes(_ answer: Awaited, at now: BootInstant) -> Bool {
        guard awaits.remove(answer) != nil else { return false }
        waitedUntil = now
        return true
    }
}

extension Question {
    /// What the next decision waits for once it is asked.
    var awaited: Set<Cycle.Awaited> {
        switch self {
        case .renewal: [.renewal]
        case .peers: [.peers]
        case .renewalAndPeers: [.renewal, .peers]
        case .divergence: [.comparison]
        case .failsafe: [.promises]
        }
    }
}
