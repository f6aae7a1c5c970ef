import Guardian
import Processes

/// Looks after a postmaster that was started as a standby, where no daemon does.
struct StandbyKeeper {
    /// Nil where nobody is to be looked after.
    private var rule: StandbyRule?
    private var nextLook: Int64 = 0

    private static let lookInterval: Int64 = 500_000_000

    mutating func launched(isStandby: Bool) { rule = isStandby ? StandbyRule() : nil }

    /// From now on a lease says what it may do, or its operator.
    mutating func rest() { rule = nil }

    /// Whether it accepts writes by itself, and when to look again.
    mutating func look(_ now: Int64, _ postmaster: Postmaster?, isAlone: Bool) -> (isPrimary: Bool, wake: Int64) {
        guard rule != nil, let postmaster, postmaster.isChild else { return (false, .max) }
        // A daemon sees for itself, and what it lets happen is no crash that nobody has seen.
        guard isAlone else {
            launched(isStandby: true)
            return (false, .max)
        }
        guard now >= nextLook else { return (false, nextLook) }
        nextLook = now + Self.lookInterval
        let parts = ProcessTable.all().filter { $0.parent == postmaster.pid }.map { process in
            StandbyRule.Part(pid: process.pid, title: ProcessTable.commandLine(process.pid)?.first ?? "")
        }
        return (rule?.isPrimary(parts) ?? false, nextLook)
    }
}
