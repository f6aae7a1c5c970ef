import ClusterModel
import HTTPClient
import JSON
import Ports
import Posix
import Testing

@testable import Etcd

/// The store's operations upon a real etcd.
@Suite(.timeLimit(.minutes(5)), .serialized)
struct EtcdStoreServerTests {
    @Test func anEmptyClusterAndItsFirstKeys() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                let empty = try await store.load(deadline: soon())
                #expect(empty.initialize == .absent && empty.leader == nil && empty.members.isEmpty)
                guard case .written = try await store.write(.initialize, "", if: .absent, deadline: soon()) else {
                    throw Unexpected()
                }
                #expect(try await store.write(.initialize, "", if: .absent, deadline: soon()) == .refused)
                let view = try await store.load(deadline: soon())
                #expect(view.initialize == .inProgress)
                #expect(view.revision > empty.revision)
            }
        }
    }

    @Test func theClaimToMakeAClusterEndsWithItsClaimantAndTheClusterStays() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                func endSession() async throws {
                    let lease = try #require(await store.lease?.id)
                    _ = try await store.transport.call("/lease/revoke", ["ID": .string(lease)], deadline: soon())
                }
                guard case .written = try await store.write(.initialize, "", if: .absent, deadline: soon()) else {
                    throw Unexpected()
                }
                try await endSession()
                #expect(try await store.load(deadline: soon()).initialize == .absent)
                guard case .written(let claim) = try await store.write(.initialize, "", if: .absent, deadline: soon())
                else { throw Unexpected() }
                _ = try await store.write(
                    .initialize, "7400000000000000001", if: .unchanged(since: claim), deadline: soon())
                try await endSession()
                #expect(try await store.load(deadline: soon()).initialize == .value("7400000000000000001"))
            }
        }
    }

    /// A view that was put together from changes is what a new reader sees, whatever came, went and came again.
    @Test func aViewOfChangesIsTheWholeOne() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                var revisions: [DCSKey: Revision] = [:]
                let keys: [DCSKey] = [.config, .status, .failover, .sync, .history]
                for step in 0..<30 {
                    let (first, second) = (keys[step % 5], keys[step * 3 % 5])
                    for key in [first, second] where step % 3 != 0 {
                        guard let revision = revisions.removeValue(forKey: key) else { continue }
                        _ = try await store.delete(key, if: .unchanged(since: revision), deadline: soon())
                    }
                    for key in [second, first] where step % 4 != 0 {
                        let condition = revisions[key].map { WriteCondition.unchanged(since: $0) } ?? .absent
                        let outcome = try await store.write(key, #"{"a":\#(step)}"#, if: condition, deadline: soon())
                        guard case .written(let revision) = outcome else { throw Unexpected() }
                        revisions[key] = revision
                    }
                    let view = try await store.load(deadline: soon())
                    try await cluster.withStore { fresh in
                        let whole = try await fresh.load(deadline: soon())
                        #expect(view == whole, "step \(step)")
                    }
                }
            }
        }
    }

    /// Nothing has changed: the session's prolongation says so. What has is read, also once the session is gone.
    @Test func aRefreshedViewIsThePresentOne() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                try await store.touchMember(["state": "running"], seen: nil, deadline: soon())
                var view = try await store.load(deadline: soon())
                var proven = try #require(await store.lease?.provenAt)
                for step in 0..<3 {
                    let again = try await store.refresh(view, deadline: soon())
                    #expect(again == view)
                    let now = try #require(await store.lease?.provenAt)
                    #expect(now > proven)
                    proven = now
                    try await cluster.withStore("n2") { other in
                        _ = try await other.write(
                            .config, #"{"ttl":\#(30 + step)}"#,
                            if: view.config.map { .unchanged(since: $0.revision) } ?? .absent, deadline: soon())
                    }
                    let changed = try await store.refresh(view, deadline: soon())
                    #expect(changed.config?.data["ttl"]?.int == Int64(30 + step))
                    view = changed
                }
                let lease = try #require(await store.lease?.id)
                _ = try await store.transport.call("/lease/revoke", ["ID": .string(lease)], deadline: soon())
                let alone = try await store.refresh(view, deadline: soon())
                #expect(alone.members.isEmpty && alone.config == view.config)
            }
        }
    }

    /// What another member publishes comes by the watch: it is not asked for again.
    @Test func whatWasToldIsNotRead() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                try await store.touchMember(["state": "running"], seen: nil, deadline: soon())
                var events = store.events.makeAsyncIterator()
                #expect(await events.next() == .resynchronized)
                let view = try await store.load(deadline: soon())
                try await cluster.withStore("n2") { other in
                    try await other.touchMember(["xlog_location": 1], seen: nil, deadline: soon())
                }
                while case .changed(let leaf, _, _)? = await events.next(), leaf != "members/n2" {}
                let reads = try await Self.reads(store)
                let refreshed = try await store.refresh(view, deadline: soon())
                #expect(try await Self.reads(store) == reads)
                #expect(refreshed == (try await store.load(deadline: soon())))
                #expect(refreshed.member("n2")?.data["xlog_location"]?.int == 1)
            }
        }
    }

    /// How many ranges etcd has answered.
    private static func reads(_ store: EtcdStore) async throws -> String {
        let answer = try await store.transport.get("/metrics", deadline: soon())
        let lines = String(decoding: answer.body, as: UTF8.self).split(separator: "\n")
        return lines.filter { $0.contains("grpc_server_handled_total") && $0.contains("\"Range\"") }
            .joined(separator: "\n")
    }

    @Test func writesHappenOnlyUnderTheirCondition() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                func write(_ value: String, _ condition: WriteCondition) async throws -> Revision? {
                    let outcome = try await store.write(.config, value, if: condition, deadline: soon())
                    if case .written(let revision) = outcome { return revision } else { return nil }
                }
                #expect(try await write("x", .unchanged(since: 1)) == nil)
                #expect(try await write("x", .leading) == nil)
                let first = try #require(try await write("{}", .absent))
                #expect(try await write("x", .absent) == nil)
                let second = try #require(try await write(#"{"ttl":20}"#, .unchanged(since: first)))
                #expect(try await write("x", .unchanged(since: first)) == nil)
                let config = try #require(try await store.load(deadline: soon()).config)
                #expect(config.revision == second && config.data == ["ttl": 20])
                #expect(try await store.delete(.config, if: .unchanged(since: first), deadline: soon()) == .refused)
                #expect(try await store.delete(.config, if: .unchanged(since: second), deadline: soon()) != .refused)
                #expect(try await store.load(deadline: soon()).config == nil)
            }
        }
    }

    @Test func oneHoldsTheLeaderKey() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1") { first in
                try await cluster.withStore("n2") { second in
                    let before = BootClock.now()
                    guard
                        case .held(let since, let ttl, let session) = try await first.acquireLeader(deadline: soon())
                    else { throw Unexpected() }
                    #expect(since >= before && since <= BootClock.now())
                    #expect(ttl == .seconds(30))
                    #expect(try await second.acquireLeader(deadline: soon()) == .refused)
                    #expect(try await second.renewLeader(nil, replacingGone: true, deadline: soon()) == .refused)
                    let seen = try await second.load(deadline: soon()).leader
                    #expect(seen?.name == "n1" && seen?.session == session)
                    // Asked again it is still ours, and proven anew.
                    guard case .held(let again, _, session) = try await first.acquireLeader(deadline: soon()) else {
                        throw Unexpected()
                    }
                    #expect(again > since)
                    guard
                        case .held(let renewed, _, session) = try await first.renewLeader(
                            seen, replacingGone: true, deadline: soon())
                    else { throw Unexpected() }
                    #expect(renewed > again)
                    #expect(try await first.load(deadline: soon()).leader?.revision == seen?.revision)

                    #expect(try await first.write(.status, "{}", if: .leading, deadline: soon()) != .refused)
                    #expect(try await second.write(.status, "{}", if: .leading, deadline: soon()) == .refused)
                    #expect(try await second.releaseLeader(status: nil, deadline: soon()) == false)
                    #expect(try await first.releaseLeader(status: nil, deadline: soon()))
                    #expect(try await first.write(.status, "{}", if: .leading, deadline: soon()) == .refused)
                    #expect(try await second.acquireLeader(deadline: soon()) != .refused)
                }
            }
        }
    }

    @Test func aSecondDaemonWithOurNameMayNotWriteAsLeader() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1") { old in
                #expect(try await old.acquireLeader(deadline: soon()) != .refused)
                try await cluster.withStore("n1") { new in
                    let seen = try await new.load(deadline: soon()).leader
                    // A restarted daemon has a new lease: the key is put again under it.
                    guard
                        case .held(_, _, let session) = try await new.renewLeader(
                            seen, replacingGone: true, deadline: soon())
                    else {
                        throw Unexpected()
                    }
                    let now = try await new.load(deadline: soon()).leader
                    #expect(now?.session == session && now?.session != seen?.session)
                    #expect(try await old.write(.status, "{}", if: .leading, deadline: soon()) == .refused)
                    #expect(try await !old.releaseLeader(status: nil, deadline: soon()))
                    #expect(try await new.write(.status, "{}", if: .leading, deadline: soon()) != .refused)
                }
            }
        }
    }

    /// Two that start at once see no member key of their name, either of them.
    @Test func theMemberKeyOfANodeElsewhereIsNotReplaced() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1") { one in
                try await cluster.withStore("n1") { other in
                    try await one.touchMember(["api_url": "http://a:1"], seen: nil, deadline: soon())
                    await #expect(throws: DCSError.self) {
                        try await other.touchMember(["api_url": "http://b:1"], seen: nil, deadline: soon())
                    }
                    #expect(try await one.load(deadline: soon()).member("n1")?.data == ["api_url": "http://a:1"])
                    // One that has the same address is the next life of this node.
                    try await other.touchMember(["api_url": "http://a:1", "state": "x"], seen: nil, deadline: soon())
                    #expect(try await one.load(deadline: soon()).member("n1")?.data["state"] == "x")
                }
            }
        }
    }

    @Test func theKeysGoWithTheLease() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1", { $0.ttl = .seconds(6) }) { first in
                try await cluster.withStore("n2") { second in
                    guard case .held(_, let ttl, let session) = try await first.acquireLeader(deadline: soon()) else {
                        throw Unexpected()
                    }
                    #expect(ttl == .seconds(6))
                    try await first.touchMember(["state": "running"], seen: nil, deadline: soon())
                    let seen = try await first.load(deadline: soon())
                    #expect(seen.members.map(\.session) == [session])
                    try await eventually("the lease expires") {
                        try await second.acquireLeader(deadline: soon()) != .refused
                    }
                    #expect(try await first.renewLeader(seen.leader, replacingGone: true, deadline: soon()) == .refused)
                    #expect(try await second.load(deadline: soon()).members.isEmpty)
                    // The refused one has a new session all the same.
                    try await first.touchMember(["state": "running"], seen: nil, deadline: soon())
                    #expect(try await second.load(deadline: soon()).members.map(\.name) == ["n1"])
                }
            }
        }
    }

    @Test func aLeaseThatIsGoneIsReplaced() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                func revoke() async throws {
                    let id = try #require(await store.lease?.id)
                    _ = try await store.transport.call("/lease/revoke", ["ID": .string(id)], deadline: soon())
                }
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                let leader = try await store.load(deadline: soon()).leader
                try await revoke()
                #expect(try await store.load(deadline: soon()).leader == nil)
                // The keep-alive tells; the key is gone and is put again, but only by one whose claim has not ended.
                #expect(try await store.renewLeader(leader, replacingGone: false, deadline: soon()) == .refused)
                guard
                    case .held(_, _, let session) = try await store.renewLeader(
                        leader, replacingGone: true, deadline: soon())
                else {
                    throw Unexpected()
                }
                #expect(session != leader?.session)
                #expect(try await store.load(deadline: soon()).leader?.session == session)
                // Proven a moment ago, so no keep-alive is sent: the write itself finds out (LeaseNotFound).
                try await revoke()
                try await store.touchMember(["a": 1], seen: nil, deadline: soon())
                let member = try await store.load(deadline: soon()).member("n1")
                #expect(member?.session == (await store.lease?.id) && member?.session != session)
            }
        }
    }

    @Test func theMemberKeyIsWrittenOnlyWhenItChanges() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                func member() async throws -> Member? { try await store.load(deadline: soon()).member("n1") }
                try await store.touchMember(["a": 1, "b": "x"], seen: nil, deadline: soon())
                let first = try #require(try await member())
                try await store.touchMember(["b": "x", "a": 1], seen: first, deadline: soon())
                #expect(try await member() == first)
                try await store.touchMember(["a": 2], seen: first, deadline: soon())
                // The caller's view is old now, ours is not.
                try await store.touchMember(["a": 3], seen: first, deadline: soon())
                try await store.touchMember(["a": 3], seen: first, deadline: soon())
                let third = try #require(try await member())
                #expect(third.data == ["a": 3])
                // Seen as absent, or deleted behind our back: it is ours all the same.
                try await store.touchMember(["a": 4], seen: nil, deadline: soon())
                let fourth = try #require(try await member())
                #expect(fourth.data == ["a": 4])
                let key = EtcdOperation.delete("/service/test/members/n1")
                _ = try await store.transaction(EtcdMessages.transaction([], then: [key]), soon())
                try await store.touchMember(["a": 5], seen: fourth, deadline: soon())
                #expect(try await member()?.data == ["a": 5])
            }
        }
    }

    @Test func anotherTTLIsAnotherSession() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                let seen = try await store.load(deadline: soon()).leader
                await store.adopt(ttl: .seconds(20), loopWait: .seconds(5), retryTimeout: .seconds(5))
                // Until the renewal the key hangs on the old session, and is ours to write under.
                #expect(try await store.write(.status, "{}", if: .leading, deadline: soon()) != .refused)
                guard
                    case .held(_, let ttl, let session) = try await store.renewLeader(
                        seen, replacingGone: true, deadline: soon())
                else {
                    throw Unexpected()
                }
                #expect(ttl == .seconds(20) && session != seen?.session)
                #expect(try await store.write(.status, "{}", if: .leading, deadline: soon()) != .refused)
            }
        }
    }

    @Test func aScopeInTheVersion2StoreIsRefused() async throws {
        try await EtcdCluster.run(arguments: ["--enable-v2"]) { cluster in
            try await cluster.withStore("n1", { $0.mayHoldVersionTwo = true }) { store in
                #expect(try await store.obstacle(deadline: soon()) == nil)
                let put = try await cluster.client.send(
                    .init(
                        method: "PUT", url: cluster.endpoints[0].url + "/v2/keys/service/test/leader",
                        headers: [("Content-Type", "application/x-www-form-urlencoded")], body: Array("value=n1".utf8)),
                    deadline: soon())
                #expect(put.status == 201)
                let found = try await store.obstacle(deadline: soon())
                #expect(found?.contains("/service/test in its v2 store") == true)
            }
            // Who names the v3 API means it.
            try await cluster.withStore { store in
                let found = try await store.obstacle(deadline: soon())
                #expect(found == nil)
            }
        }
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1", { $0.mayHoldVersionTwo = true }) { store in
                let found = try await store.obstacle(deadline: soon())
                #expect(found == nil)
            }
        }
    }
}

/// A value of an enum was not the case that the test is about.
struct Unexpected: Error {}
