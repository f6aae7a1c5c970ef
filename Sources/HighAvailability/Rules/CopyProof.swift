public import ClusterModel

/// What the leader told a restored copy first, and by which it is known to have everything (S2).
///
/// What the directory before has acknowledged, it did before the server on this one was started, for whoever led then.
/// That leader flushes what it sends; and who leads later has won by S2, against a copy that had no voice. So all of it
/// lies before the end of WAL that a leader tells this server at any time, the first one too; which, unlike the present
/// end, does not run away from who catches up. What this server acknowledges is in this copy anyway.
///
/// That does not hold where this server was told of ends by somebody else before: PostgreSQL shows the last one until
/// the next message comes, and it may be of a timeline that was left. Then the end of each look counts, as it is.
/// A leader that has itself lost what was acknowledged tells too early an end, whatever is compared; it leads by hands.
///
/// With data PostgreSQL sends the end of what is flushed, with a keepalive that of what was sent. Where there is
/// something to send, the first word comes with data; a keepalive comes between only where nothing was answered for
/// half of `wal_sender_timeout`. So what the leader has written to `/status` since has to be there as well.
public struct CopyProof: Sendable, Hashable {
    private struct Server: Sendable, Hashable {
        var postmaster: Int32
        var start: String
    }

    private struct Source: Sendable, Hashable {
        var leader: String
        var timeline: TimelineID?
    }

    private var server: Server?
    private var source: Source?
    private var first: WALPosition?

    /// Nothing was told.
    public init() {}

    /// Takes what a look has found beside a view that is no older than this server.
    public mutating func note(_ me: NodeIdentity, _ view: ClusterView, _ local: PostgreSQLStatus) {
        guard local.isUnproven, let postmaster = local.postmaster else { return self = CopyProof() }
        guard let facts = local.facts, facts.inRecovery else { return }
        let present = Server(postmaster: postmaster, start: facts.postmasterStartTime)
        if server != present {
            self = CopyProof()
            server = present
        }
        guard let leader = view.leaderMember, let receiver = facts.receiver, receiver.latestEnd > .zero else { return }
        let teller = Source(leader: leader.name, timeline: facts.timeline)
        let isTold = streamsFromLeader(me, view, local)
        if source == nil {
            // Told by somebody else: whoever leads comes second.
            source = isTold ? teller : Source(leader: "", timeline: nil)
            first = isTold ? receiver.latestEnd : nil
        } else if isTold, source != teller {
            first = nil
        }
    }

    /// Up to where a copy has to have received.
    fileprivate func end(_ receiver: PostgreSQLStatus.WALReceiver) -> WALPosition { first ?? receiver.latestEnd }
}

/// Whether this standby streams from the leader, on its timeline, and was told an end of its WAL.
public func streamsFromLeader(_ me: NodeIdentity, _ view: ClusterView, _ local: PostgreSQLStatus) -> Bool {
    guard let facts = local.facts, facts.inRecovery, let leader = view.leaderMember, leader.name != me.name,
        let receiver = facts.receiver, receiver.isStreaming, receiver.latestEnd > .zero,
        let upstream = Upstream(leader), receiver.host == upstream.address.host,
        receiver.port == upstream.address.port
    else { return false }
    return leader.role == .primary && leader.timeline == facts.timeline
}

/// Whether a restored copy has everything that was acknowledged, so that its mark may go: what was, before the leader
/// told the end of its WAL, stands in the copy; and what is acknowledged later by this member's word does, too. What
/// comes from another standby proves nothing, nor what is of a timeline that the leader has left.
public func isCopyProven(
    _ me: NodeIdentity, _ view: ClusterView, _ local: PostgreSQLStatus, _ proof: CopyProof
) -> Bool {
    guard local.isUnproven, local.unfinished == nil, let facts = local.facts, let leader = view.leaderMember else {
        return false
    }
    // Who leads is what others are measured by.
    if leader.name == me.name { return !facts.inRecovery }
    guard streamsFromLeader(me, view, local), let receiver = facts.receiver else { return false }
    return facts.receivedPosition >= max(proof.end(receiver), view.status.optime)
}

extension Member {
    /// By its own word it is a restored copy that may lack what it is named for; ours alone.
    var isUnproven: Bool { data["unproven_copy"]?.bool == true }
}
