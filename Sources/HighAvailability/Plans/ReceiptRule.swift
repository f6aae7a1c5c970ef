public import ClusterModel

// Before the key goes: does a candidate have everything that was acknowledged here? The step `confirmReceipt`.

/// What the step does next.
public enum ReceiptVerdict: Sendable, Hashable {
    /// The key may go.
    case confirmed
    /// Ask these what they have.
    case ask([Member])
    /// Nobody has everything yet; ask again after `ReceiptRule.interval`.
    case askAgain
    /// Nobody is known to have everything, and this is why.
    case abandoned(String)
}

/// What becomes of a plan that nobody is known to have received.
public enum Abandonment: Sendable, Hashable {
    /// This node goes on as primary, and the request ends.
    case callOff
    /// The daemon ends all the same: the key is left to expire, so that this node may be back before.
    case leaveKeyToExpire
}

/// The rules of the receipt.
public enum ReceiptRule {
    /// How long a stopped primary waits for a candidate that has not received everything yet.
    public static let patience = Duration.seconds(5)
    /// Between two questions whether it has.
    public static let interval = Duration.milliseconds(50)

    /// How the step begins. `end` is where the WAL ends, `beganWritable` whether PostgreSQL accepted writes when the
    /// plan began.
    public static func begin(_ members: [Member], end: ShutdownPositions?, beganWritable: Bool) -> ReceiptVerdict {
        // It had crashed before, or was a standby: there is no end of its WAL that somebody could have received.
        if end == nil && !beganWritable { return .confirmed }
        return members.isEmpty ? .abandoned("no other member may lead") : .ask(members)
    }

    /// Where the WAL ends for those who are to have all of it: no further back than what was known to be `flushed`
    /// before the stop. Nil where the control file tells of less: then it is that of an older copy, and says nothing of
    /// what was led with.
    ///
    /// What is required may lie before what was flushed, where the last record of all was the switch of a segment, long
    /// before the stop.
    public static func end(_ positions: ShutdownPositions, flushed: WALPosition) -> ShutdownPositions? {
        guard positions.checkpoint >= flushed else { return nil }
        var end = positions
        end.required = max(positions.required, flushed)
        return end
    }

    /// Where the WAL of a primary counts as ended that was ended by force, and has no last record: at what was known to
    /// be `flushed` before. An election asks its winner for less, so the key goes to whoever has that. Nil for a
    /// switchover, which promises everything, and where nothing is known.
    public static func endByForce(_ kind: Plan.Kind, flushed: WALPosition, timeline: TimelineID?) -> ShutdownPositions?
    {
        guard kind == .shutdown, let timeline, flushed > .zero else { return nil }
        return ShutdownPositions(checkpoint: flushed, required: flushed, timeline: timeline)
    }

    /// What the members' answers say; `until` is when patience ends.
    public static func judge(
        _ members: [Member], _ answers: [String: PeerAnswer], end: ShutdownPositions?, until: BootInstant,
        at now: BootInstant
    ) -> ReceiptVerdict {
        guard let end else { return .abandoned("where the WAL ends is not known") }
        let verdicts = receipts(members, answers, end: end.required, timeline: end.timeline)
        if verdicts.contains(where: { $0.verdict == .good }) { return .confirmed }
        if now < until { return .askAgain }
        return .abandoned(
            "no candidate has received everything: " + verdicts.map { "\($0)" }.joined(separator: ", "))
    }

    public static func abandon(_ kind: Plan.Kind) -> Abandonment {
        kind == .shutdown ? .leaveKeyToExpire : .callOff
    }
}
