import ClusterModel
import Ports
import Posix
import Testing

@testable import Etcd

/// Requests that etcd takes after their sender has given them up (a frozen or cut off member that comes back): they
/// neither make a leader of a node that has gone on nor take the key from one that leads.
@Suite(.timeLimit(.minutes(5)), .serialized) struct LateRequestServerTests {
    /// A store whose every request goes through a proxy.
    private func run(_ body: (EtcdStore, CuttingProxy, EtcdStore) async throws -> Void) async throws {
        try await EtcdCluster.run { cluster in
            let proxy = try CuttingProxy(to: cluster.endpoints[0].port)
            defer { proxy.stop() }
            try await cluster.withStore("n2") { other in
                try await cluster.withStore(
                    "n1",
                    {
                        $0.endpoints = [EtcdEndpoint(host: "127.0.0.1", port: proxy.port)]
                        $0.useProxies = true
                    }
                ) { store in
                    try await body(store, proxy, other)
                }
            }
        }
    }

    /// Has what `body` asks about the leader key wait at the proxy.
    private func hold(_ store: EtcdStore, _ proxy: CuttingProxy, _ body: () async throws -> Void) async throws {
        proxy.holdRequests(with: Base64.encode(store.keys.leader))
        await #expect(throws: DCSError.self) { try await body() }
        #expect(proxy.hasHeld)
        // A repetition of it may not have been read yet, and would pass.
        proxy.cut()
        proxy.holdRequests(with: nil)
    }

    @Test func aLateClaimLeadsNowhere() async throws {
        try await run { store, proxy, other in
            try await store.touchMember(["a": 1], seen: nil, deadline: soon())
            try await hold(store, proxy) {
                _ = try await store.acquireLeader(deadline: BootClock.now() + .seconds(1))
            }
            // It has lost patience, sees nobody leading and goes on; another leads and goes.
            #expect(try await store.load(deadline: soon()).leader == nil)
            try await store.touchMember(["a": 2], seen: nil, deadline: soon())
            #expect(try await other.acquireLeader(deadline: soon()) != .refused)
            #expect(try await other.releaseLeader(status: nil, deadline: soon()))
            #expect(proxy.deliver())
            let view = try await store.load(deadline: soon())
            #expect(view.leader == nil)
            #expect(view.member("n1") != nil)
        }
    }

    @Test func aLateClaimThatWasTakenBeforeItsSessionEndedIsNotFollowed() async throws {
        try await run { store, proxy, _ in
            try await hold(store, proxy) {
                _ = try await store.acquireLeader(deadline: BootClock.now() + .seconds(1))
            }
            #expect(try await store.load(deadline: soon()).leader == nil)
            #expect(proxy.deliver())
            let seen = try await store.load(deadline: soon()).leader
            #expect(seen?.name == "n1")
            #expect(try await store.renewLeader(seen, replacingGone: true, deadline: soon()) == .refused)
            try await store.touchMember(["a": 1], seen: nil, deadline: soon())
            #expect(try await store.load(deadline: soon()).leader == nil)
            // And the node is no worse for it.
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
        }
    }

    @Test func aLateReleaseDoesNotTakeTheKeyOfOneThatLeads() async throws {
        try await run { store, proxy, _ in
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            try await hold(store, proxy) {
                _ = try await store.releaseLeader(status: [:], deadline: BootClock.now() + .seconds(1))
            }
            let seen = try await store.load(deadline: soon()).leader
            #expect(seen?.name == "n1")
            #expect(try await store.renewLeader(seen, replacingGone: false, deadline: soon()) != .refused)
            #expect(proxy.deliver())
            #expect(try await store.load(deadline: soon()).leader?.name == "n1")
            #expect(try await store.releaseLeader(status: nil, deadline: soon()))
        }
    }

    @Test func aLateClaimAfterOurOwnReleaseIsVoid() async throws {
        try await run { store, proxy, _ in
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            let seen = LeaderRecord(name: "n1", session: "another", revision: 1)
            try await hold(store, proxy) {
                _ = try await store.renewLeader(seen, replacingGone: true, deadline: BootClock.now() + .seconds(1))
            }
            #expect(try await store.releaseLeader(status: nil, deadline: soon()))
            try await store.touchMember(["a": 1], seen: nil, deadline: soon())
            #expect(proxy.deliver())
            #expect(try await store.load(deadline: soon()).leader == nil)
        }
    }

    /// Where `/status` cannot be written the key stays: both or neither.
    @Test func aReleaseWithoutItsStatusIsNone() async throws {
        try await run { store, _, _ in
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            let tooLong = String(repeating: "x", count: 3 << 20)
            await #expect(throws: DCSError.self) {
                try await store.releaseLeader(status: ["x": .string(tooLong)], deadline: soon())
            }
            let view = try await store.load(deadline: soon())
            #expect(view.leader?.name == "n1")
            // A refusal leaves nothing open: the session goes on, also where etcd would give no other.
            #expect(await store.lease?.id == view.leader?.session)
            #expect(try await store.renewLeader(view.leader, replacingGone: false, deadline: soon()) != .refused)
            #expect(try await store.releaseLeader(status: ["optime": 7], deadline: soon()))
            let after = try await store.load(deadline: soon())
            #expect(after.leader == nil)
            #expect(after.status.optime == WALPosition(7))
        }
    }
}
