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
}
