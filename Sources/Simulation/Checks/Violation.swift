import ClusterModel

/// A rule of architecture.md §3 that did not hold, or a world that made no progress.
public struct Violation: Sendable, Hashable, CustomStringConvertible {
    public enum Rule: String, Sendable, Hashable, CaseIterable {
        // The names that architecture.md gives them.
        // swift-format-ignore: AlwaysUseLowerCamelCase
        case S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12
        // swift-format-ignore: AlwaysUseLowerCamelCase
        case L1, L2, L3, L4
        /// Who may not lead leads (the tag `nofailover`).
        case nofailover
        /// Who leads has as much as another one that goes first (the tag `failover_priority`).
        case priority
        /// Who leads has not waited for who had led (`primary_race_backoff`).
        case backoff
        /// A cluster that is to follow a primary elsewhere accepts no writes.
        case standby
        /// In a pause a daemon does what nobody has asked for.
        case pause
        /// A guardian that hangs is replaced in time where its daemon lives.
        case guardian
        /// A leader that works is ended.
        case alarm
        case progress
    }

    public var rule: Rule
    public var text: String
    /// After the world's beginning.
    public var at: Duration

    public var description: String { "\(rule.rawValue) at \(at.inSeconds) s: \(text)" }
}

extension World {
    /// What became of a world.
    public struct Outcome: Sendable {
        public var violation: Violation?
        public var coverage: Coverage
        public var trace: [String]
        public var events: Int
        /// Virtual time.
        public var took: Duration
    }
}
