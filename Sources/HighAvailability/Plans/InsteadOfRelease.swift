/// What is done in place of giving the leader key away, where the last look has found that PostgreSQL may accept writes
/// after all: an operator has started it, or a step did less than it said (S1).
public enum InsteadOfRelease: Sendable, Hashable {
    /// This node goes on as primary.
    case callOffHandOver
    case shutDownAgain
    /// The key stays, and is renewed.
    case wait
    case failPlan(String)
    case carryOut(Plan)
}

/// `kind` is that of the plan that wanted to; nil for a decision of the rules. In pause PostgreSQL is its operator's.
public func insteadOfRelease(by kind: Plan.Kind?, isPaused: Bool) -> InsteadOfRelease {
    guard let kind else { return isPaused ? .wait : .carryOut(giveUpKeyPlan()) }
    if kind == .handOver { return .callOffHandOver }
    if isPaused { return .failPlan("in pause PostgreSQL is not ended for it") }
    return kind == .shutdown ? .shutDownAgain : .carryOut(giveUpKeyPlan())
}
