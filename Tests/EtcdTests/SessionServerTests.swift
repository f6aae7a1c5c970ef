import ClusterModel
import Ports
import Testing

@testable import Etcd

/// What prolongs the session that the leader key hangs on.
@Suite(.timeLimit(.minutes(5)), .serialized) struct SessionServerTests {
    /// L1: a leader that renews no more loses the key, though it goes on to write its member key.
    @Test func aMemberKeyThatProlongsNothingKeepsNoLeaderKey() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1", { $0.ttl = .seconds(6) }) { first in
                try await cluster.withStore("n2") { second in
                    #expect(try await first.acquireLeader(deadline: soon()) != .refused)
                    let lease = try #require(await first.lease)
                    var written: Int64 = 0
                    try await eventually("the lease expires") {
                        written += 1
                        // Refused twice where the session ends between two attempts: what was there is gone then.
                        try? await first.touchMember(
                            ["xlog_location": .int(written)], seen: nil, prolonging: false, deadline: soon())
                        if let now = await first.lease, now.id == lease.id { #expect(now.provenAt == lease.provenAt) }
                        return try await second.acquireLeader(deadline: soon()) != .refused
                    }
                }
            }
        }
    }
}
