import Guardian
import Processes

/// Looks after a postmaster that was started as a standby, where no daemon does.
struct StandbyKeeper {
    /// Nil where nobody is to be looked after.
    private var rule: StandbyRule?
    private var nextLook: Int64 = 0
    private var wasAlone = false

    private static let lookInterval: Int64 = 500_000_000
    /// While a daemon looks after it: to know whose end would be a crash, should both end together.
    private static let restInterval: Int64 = 10_000_000_000

    mutating func launched(isStandby: Bool) {
        rule = isStandby ? StandbyRule() : nil
        nextLook = 0
    }

    /// From now on a lease says what it may do, or its operator.
    mutating func rest() { rule = nil }

    /// Whether it accepts writes by itself, and when to look again.
    mutating func look(_ now: Int64, _ postmaster: Postmaster?, isAlone: Bool) -> (isPrimary: Bool, wake: Int64) {
        guard rule != nil, let postmaster, postmaster.isChild else { return (false, .max) }
        if isAlone != wasAlone { nextLook = now }
        wasAlone = isAlone
        guard now >= nextLook else { return (false, nextLook) }
        // What happens under a daemon's eyes is no crash that nobody has seen.
        if !isAlone { rule = StandbyRule() }
        let parts = ProcessTable.children(of: postmaster.pid).map { pid in
            StandbyRule.Part(pid: pid, title: ProcessTable.commandLine(pid)?.first ?? "")
        }
        let isPrimary = rule?.isPrimary(parts) ?? false
        nextLook = now + (isAlone || rule?.isInformed == false ? Self.lookInterval : Self.restInterval)
        return (isAlone && isPrimary, nextLook)
    }
}
