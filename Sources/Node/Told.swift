import ClusterModel
import HighAvailability

/// What others, the log and the operators were told last, so that everything is told once.
struct Told: Sendable {
    /// What others go by of what is known of PostgreSQL: a change of it is published at once.
    struct Standing: Sendable, Hashable {
        var directory: PostgreSQLStatus.DataDirectory
        var state: PostgreSQLState
        var inRecovery: Bool
        var replicationState: String?
        var timeline: TimelineID?
        var hasCaughtUp: Bool
        /// A restored copy has no voice yet; the cycle in which it is proven comes at once, and the one that tells.
        var isUnproven: Bool
        var isProven: Bool
    }

    /// What a restored copy was told of its leader's WAL.
    var proof = CopyProof()

    /// Whether lines for the log are made at all.
    let writesLog: Bool
    /// What the member key said of PostgreSQL.
    var standing: Standing?
    /// The role that was published last.
    var role = NodeRole.uninitialized
    private(set) var decision: Decision?
    private(set) var decisions = DecisionLog()
    private var gist: Decision.Gist?
    /// Of a write that the store has not taken yet: what is decided without it comes in between.
    private var attempt: Decision.Gist?
    /// What fails, and with which text.
    private var complaints: [String: String] = [:]
    private var slots: [SlotReason] = []
    private var namesake: String?

    init(writesLog: Bool = true) { self.writesLog = writesLog }

    /// Takes a decision in. True where it is news: quiet cycles say the same again and again. A question is none.
    mutating func decided(_ decision: Decision, wallTime: Int64) -> Bool {
        self.decision = decision
        guard writesLog else { return false }
        if case .ask = decision.action { return false }
        let gist = decision.gist
        if case .write = decision.action {
            if gist == attempt { return false }
            attempt = gist
        }
        decisions.record(decision, wallTime: wallTime)
        defer { self.gist = gist }
        return gist != self.gist
    }

    /// The store has taken what was decided to be written.
    mutating func wrote() { attempt = nil }

    /// True where `what` has not failed with this text before, or was done meanwhile.
    mutating func failed(_ what: String, _ text: String) -> Bool { complaints.updateValue(text, forKey: what) != text }

    /// True where it has failed before.
    mutating func isDone(_ what: String) -> Bool { complaints.removeValue(forKey: what) != nil }

    /// Those that are new.
    mutating func isSo(of slots: [SlotReason]) -> [SlotReason] {
        defer { self.slots = slots }
        return slots.filter { !self.slots.contains($0) }
    }

    /// True where another node of our name has come, gone or moved.
    mutating func isThere(_ namesake: String?) -> Bool {
        defer { self.namesake = namesake }
        return namesake != self.namesake
    }
}
