import Testing

/// The points under which the daemon counts as a peer, on real etcd, real PostgreSQL, real HAProxy and a real Patroni.
///
/// One after another: each starts some ten processes, and what it waits for must not depend on a loaded machine.
/// The tests themselves are in extensions, one file for each kind of event.
@Suite(.serialized)
struct ClusterIntegrationTests {
    /// The lease of `NodeConfiguration.quick`, in seconds.
    static let ttl = 20.0
    static let loopWait = 2.0
    /// When another leads after the loss of a leader (invariant L1), with room for the promotion on a slow machine. How
    /// soon it is on one that is not is measured apart.
    static let takeover = ttl + loopWait + 10
}
