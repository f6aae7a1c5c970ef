/// How long a server may be silent: the sibling of `LeaseArithmetic` (Lease.swift); docs/hung.md says why.
///
///     ttl    late    hung    no flush    slow    (seconds of silence)
///       3     1.0     2.0      3.0        9
///       5     1.7     3.3      5.0       15
///      10     3.3     6.7     10.0       30
///      30    10.0    20.0     30.0       90
///
/// A ttl is how long the cluster's owner lets it be without a primary. A server is asked at least every
/// `LeaseArithmetic.lookInterval`, a quarter of that; what is ended after two thirds gives the next primary time to
/// come within ttl + loop_wait, its promotion aside (L1).
public enum SilenceArithmetic {
    /// From here on the log says so.
    public static func late(ttl: Duration) -> Duration { ttl / 3 }

    /// A server whose processes do nothing has hung after this.
    public static func hung(ttl: Duration) -> Duration { ttl * 2 / 3 }

    /// A disk that has taken no WAL for this long, while sessions wait for it, has hung.
    public static func unflushed(ttl: Duration) -> Duration { ttl }

    /// A server whose processes work is slow, not hung; but one that has not said a word for this long is of no use.
    public static func slow(ttl: Duration) -> Duration { ttl * 3 }

    /// A checkpointer that has been in the kernel for so long, and has not come out of it once, waits for a dead disk.
    /// A disk under load may take long for a single wait, and the server serves on meanwhile: there is no hurry.
    public static func kernel(ttl: Duration) -> Duration { max(ttl * 3, .seconds(60)) }

    /// For how long, at least, the processes must have been seen to do nothing. A moment without work proves nothing.
    public static func stillness(ttl: Duration) -> Duration { ttl / 6 }

    /// An older pulse says nothing of the present.
    public static func pulseLasts(ttl: Duration) -> Duration { ttl / 2 }

    /// How long a node that has ended a hung server neither starts it nor races: somebody else is to lead.
    public static func heldBack(ttl: Duration) -> Duration { ttl }
}
