import Testing

/// The points under which the daemon counts as a peer, on real etcd, real PostgreSQL, real HAProxy and a real Patroni.
///
/// One after another, but for those that wait (below): each starts some ten processes, and what it waits for must not
/// depend on a loaded machine.
/// The tests themselves are in extensions, one file for each kind of event.
@Suite(.serialized)
struct ClusterIntegrationTests: UsualTimes {}

/// Those of them that mostly wait: for a lease to end, for a machine to come back. One of these goes on beside one of
/// each of the others.
@Suite(.serialized)
struct WaitingIntegrationTests: UsualTimes {}

/// What is around a cluster: the store, which moves and lies, and the command lines, which start anew each time.
@Suite(.serialized)
struct AroundIntegrationTests: UsualTimes {}

/// The times of `NodeConfiguration.quick`, in seconds.
protocol UsualTimes {}

extension UsualTimes {
    /// The lease.
    static var ttl: Double { 20 }
    static var loopWait: Double { 2 }
    /// When another leads after the loss of a leader (invariant L1), with room for the promotion on a slow machine. How
    /// soon it is on one that is not is measured apart.
    static var takeover: Double { ttl + loopWait + 10 }
}
