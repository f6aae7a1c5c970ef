public import ClusterModel

/// Which standbys have everything that was acknowledged before `synchronous_standby_names` last changed: what a step
/// that lets one of them lead rests on. What is not known counts as not confirmed.
public struct SynchronousLedger: Sendable, Hashable {
    /// Every sender hears of a reload within this time, or its server does nothing at all.
    static let settling = Duration.milliseconds(100)

    private var inForce: String?
    private var postmaster: Int32?
    private var since = BootInstant(nanoseconds: 0)
    private var lastLook = BootInstant(nanoseconds: 0)
    /// Before the present names sessions did not wait at all, and no look has shown since that they do.
    private var wasOff = true
    /// Every process of PostgreSQL goes by the present names.
    private var isSettled = false
    /// Where the WAL was at the first look after that: whatever was acknowledged by other names is before it.
    private var mark: WALPosition?
    /// In lower case.
    private var confirmed: Set<String> = []

    public init() {}

    /// Takes in what is seen. Only the test of the simulation does not wait until it `settles`.
    public mutating func note(_ local: PostgreSQLStatus, settles: Bool = true) {
        guard let facts = local.facts, !facts.inRecovery, !facts.isDetailStale, let synchronous = facts.synchronous,
            local.observedAt > lastLook
        else { return }
        lastLook = local.observedAt
        if inForce != synchronous.inForce || postmaster != local.postmaster {
            // Names that come before that has settled take nothing back.
            wasOff = (inForce?.isEmpty ?? true) || wasOff && !isSettled
            inForce = synchronous.inForce
            postmaster = local.postmaster
            since = local.observedAt
            isSettled = false
            mark = nil
            confirmed = []
        }
        // A position of the look that showed it might be of the moment before.
        if isSettled, mark == nil { mark = facts.writePosition }
        isSettled = isSettled || !settles || hasSettled(facts, synchronous, at: local.observedAt)
        guard let mark else { return }
        for sender in facts.walSenders where sender.state == "streaming" {
            guard let position = sender.position(synchronous.level), position >= mark else { continue }
            confirmed.insert(sender.applicationName.lowercased())
        }
    }

    /// `sync_priority` is what a sender has read of the names itself.
    private func hasSettled(
        _ facts: PostgreSQLStatus.Facts, _ synchronous: PostgreSQLStatus.Synchronous, at now: BootInstant
    ) -> Bool {
        guard now - since >= Self.settling, let names = SynchronousNames(synchronous.inForce) else { return false }
        if wasOff, !names.isEmpty, !synchronous.checkpointerListens { return false }
        let listed = Set(names.names.map { $0.lowercased() })
        return facts.walSenders.allSatisfy { sender in
            guard sender.state == "streaming" else { return true }
            let isListed = listed.contains("*") || listed.contains(sender.applicationName.lowercased())
            return isListed == (sender.syncPriority > 0)
        }
    }

    /// As if everybody had everything: for the test of the simulation alone.
    public func confirmingAll(_ local: PostgreSQLStatus) -> SynchronousLedger {
        var ledger = self
        ledger.confirmed = Set((local.facts?.walSenders ?? []).map { $0.applicationName.lowercased() })
        return ledger
    }

    /// Whether `name` has everything from before the names that are in force.
    func hasConfirmed(_ name: String) -> Bool { confirmed.contains(name.lowercased()) }
}

extension PostgreSQLStatus.WALSender {
    /// The position that a commit with `synchronous_commit = level` waits for.
    func position(_ level: String) -> WALPosition? {
        switch level {
        case "remote_write": written
        case "remote_apply": replayed
        default: flushed
        }
    }
}
