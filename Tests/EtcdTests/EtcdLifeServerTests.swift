import ClusterModel
import HTTPClient
import JSON
import Ports
import Posix
import Synchronization
import TestSupport
import Testing

@testable import Etcd

/// An etcd that has lost its memory, and leases that one member alone has prolonged.
@Suite(.timeLimit(.minutes(5)), .serialized)
struct EtcdLifeServerTests {
    /// etcd begins anew upon an empty directory, with the same cluster id or with another.
    @Test(arguments: [true, false])
    func aStoreThatLostItsMemoryIsTakenAfterATtlAndNotWrittenToBefore(_ isSameCluster: Bool) async throws {
        let ttl = Duration.seconds(3)
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1", { $0.ttl = ttl }) { store in
                let events = Mutex<[DCSEvent]>([])
                let reader = Task { for await event in store.events { events.withLock { $0.append(event) } } }
                defer { reader.cancel() }
                try await eventually("the watch has begun") { events.withLock { $0.contains(.resynchronized) } }
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                for number in 0..<20 {
                    _ = try? await store.write(.status, "\(number)", if: .leading, deadline: soon())
                }
                let seen = try await store.load(deadline: soon())
                // The watch may meet the other life before anybody else does.
                let begun = BootClock.now()
                try await cluster.members[0].forget(token: isSameCluster ? nil : "another")
                try await cluster.waitUntilReady(cluster.members[0])
                // A second client that knows of nothing sees what is there.
                try await cluster.withStore("observer", { $0.scope = "other" }) { observer in
                    events.withLock { $0 = [] }
                    while true {
                        let outcome = try? await store.load(deadline: soon(.milliseconds(300)))
                        if outcome != nil { break }
                        _ = try? await store.acquireLeader(deadline: soon(.milliseconds(200)))
                        _ = try? await store.renewLeader(
                            seen.leader, replacingGone: true, deadline: soon(.milliseconds(200)))
                        try? await store.touchMember(["a": 1], seen: nil, deadline: soon(.milliseconds(200)))
                        _ = try? await store.write(.config, "{}", if: .absent, deadline: soon(.milliseconds(200)))
                        let found = try await self.keys(observer)
                        // In the middle of a turn the ttl may be over.
                        if BootClock.now() - begun < ttl { #expect(found == []) }
                        try #require(BootClock.now() - begun < .seconds(60), "it is never taken")
                    }
                    #expect(BootClock.now() - begun > ttl - .milliseconds(500))
                }
                try await eventually("the watch begins anew") { events.withLock { $0.contains(.resynchronized) } }
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                guard
                    case .written(let revision) = try await store.write(.status, "new", if: .leading, deadline: soon())
                else { throw Unexpected() }
                let change = DCSEvent.changed(leaf: "status", value: "new", revision: revision)
                try await eventually("the watch tells of the new life") { events.withLock { $0.contains(change) } }
                #expect(revision < seen.revision)
            }
        }
    }

    /// Whoever led when etcd lost its memory may do so still when this daemon begins.
    @Test(arguments: [true, false])
    func aDaemonThatBeginsGoesByTheStoreThatTheOneBeforeKnew(_ isSameCluster: Bool) async throws {
        let ttl = Duration.seconds(3)
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try await EtcdCluster.run { cluster in
            let before = await StoreMarkFile.open(path, within: .seconds(30))
            try await cluster.withStore("n1", marks: before, { $0.ttl = ttl }) { store in
                // A slow machine may need more than a ttl for this, and the key has gone meanwhile.
                for number in 0..<20 {
                    _ = try await store.acquireLeader(deadline: soon())
                    _ = try await store.write(.status, "\(number)", if: .leading, deadline: soon())
                }
                var found: LeaderRecord?
                try await eventually("it leads") {
                    _ = try await store.acquireLeader(deadline: soon())
                    found = try await store.load(deadline: soon()).leader
                    return found != nil
                }
                let leader = try #require(found)
                try await eventually("the leader is kept in mind") {
                    (try? Files.readText(path)).flatMap { StoreMark($0) }?.leader == leader.revision
                }
            }
            try await cluster.members[0].forget(token: isSameCluster ? nil : "another")
            try await cluster.waitUntilReady(cluster.members[0])
            let marks = await StoreMarkFile.open(path, within: .seconds(30))
            let begun = BootClock.now()
            try await cluster.withStore("n1", marks: marks, { $0.ttl = ttl }) { store in
                #expect(BootClock.now() - begun > ttl - .milliseconds(500))
                let view = try await store.load(deadline: soon())
                #expect(view.isUnlocked)
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            }
        }
    }

    /// The token comes first, and an answer to that proves nothing of the store.
    @Test(arguments: [true, false])
    func whoLogsInIsNotLockedOutOfAStoreThatWasBuiltAnew(_ isSameCluster: Bool) async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try await EtcdCluster.run { cluster in
            var id = "7"
            try await cluster.withStore("observer") { store in
                if isSameCluster { id = try #require(await store.transport.storeLife.mark).clusterID }
            }
            try await cluster.enableAuthentication()
            let mark = StoreMark(clusterID: id, term: 9000, revision: 1, ttl: .seconds(2))
            try Files.replace(path, with: mark.text.utf8, mode: 0o600)
            let marks = await StoreMarkFile.open(path, within: .seconds(30))
            #expect(marks.found == mark)
            func logsIn(_ configuration: inout EtcdConfiguration) {
                (configuration.username, configuration.password) = ("ours", "secret")
                configuration.ttl = .seconds(2)
            }
            try await cluster.withStore("n1", marks: marks, logsIn) { store in
                #expect(await store.transport.life == 1)
                let claim = try await store.acquireLeader(deadline: soon())
                #expect(claim != .refused)
            }
        }
    }

    /// The daemon before waited for whoever led in the store's former life; the lease may be one of its own.
    @Test func nothingIsClaimedWithoutAValidLeaseWhileSomebodyMayLeadStill() async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/mark"
        try await EtcdCluster.run { cluster in
            var mark = StoreMark(clusterID: "", term: 1, revision: 1, ttl: .seconds(3600), isUnsettled: true)
            try await cluster.withStore { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                mark.clusterID = try #require(await store.transport.storeLife.mark).clusterID
            }
            try Files.replace(path, with: mark.text.utf8, mode: 0o600)
            let marks = await StoreMarkFile.open(path, within: .seconds(30))
            try await cluster.withStore(marks: marks) { store in
                let seen = try #require(try await store.load(deadline: soon()).leader)
                #expect(try await store.renewLeader(seen, replacingGone: false, deadline: soon()) == .refused)
                #expect(try await store.acquireLeader(deadline: soon()) == .refused)
                #expect(try await store.renewLeader(seen, replacingGone: true, deadline: soon()) != .refused)
                // It had the key: the lease may have run out since.
                #expect(try await store.renewLeader(seen, replacingGone: false, deadline: soon()) == .refused)
            }
        }
    }

    private func keys(_ observer: EtcdStore) async throws -> [String] {
        try await observer.transport.call(
            EtcdTransport.rangePath, EtcdMessages.range(prefix: "/service/test/"), deadline: soon()
        ) { EtcdRange($0) }.value.pairs.map(\.key)
    }

    // MARK: Leases that are prolonged without a quorum

    /// Between the load and the keep-alive this daemon stood still, and the key went.
    @Test(arguments: [true, false])
    func aKeyThatWentSinceItWasSeenIsNotHeld(_ isTakenByAnother: Bool) async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore("n1") { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                let seen = try await store.load(deadline: soon()).leader
                try await cluster.withStore("n2") { second in
                    let delete = EtcdOperation.delete(second.keys.leader)
                    _ = try await second.transaction(EtcdMessages.transaction([], then: [delete]), soon())
                    if isTakenByAnother { #expect(try await second.acquireLeader(deadline: soon()) != .refused) }
                }
                #expect(try await store.renewLeader(seen, replacingGone: false, deadline: soon()) == .refused)
                let claim = try await store.renewLeader(seen, replacingGone: true, deadline: soon())
                #expect((claim == .refused) == isTakenByAnother)
                let now = try await store.load(deadline: soon()).leader
                #expect(now?.name == (isTakenByAnother ? "n2" : "n1"))
            }
        }
    }

    /// What an etcd of three says whose leader changes: the first keep-alive was answered by one that had been deposed.
    @Test func aKeepaliveFromADeposedLeaderProvesNothing() async throws {
        let script = Mutex((term: 5, keepalives: [BootInstant]()))
        let server = try StubServer { connection in
            while let request = connection.readRequest() {
                let answer: String = script.withLock { state in
                    func header(_ term: Int) -> String {
                        #""header":{"cluster_id":"1","raft_term":"\#(term)","revision":"9"}"#
                    }
                    if request.contains("/version") { return #"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"# }
                    if request.contains("/lease/grant") { return "{\(header(state.term)),\"ID\":\"7\",\"TTL\":\"30\"}" }
                    if request.contains("/lease/keepalive") {
                        state.keepalives.append(BootClock.now())
                        // The deposed one answers in its own term; then the others are heard of.
                        defer { if state.keepalives.count == 1 { state.term = 6 } }
                        return "{\"result\":{\(header(state.term)),\"ID\":\"7\",\"TTL\":\"30\"}}"
                    }
                    if request.contains("/kv/txn") { return "{\(header(state.term)),\"succeeded\":true}" }
                    let key = Base64.encode("/service/test/leader")
                    let pair = #"{"key":"\#(key)","value":"\#(Base64.encode("n1"))","mod_revision":"9","lease":"7"}"#
                    return "{\(header(state.term)),\"kvs\":[\(pair)],\"count\":\"1\"}"
                }
                connection.respond(200, answer)
            }
        }
        defer { server.stop() }
        let store = try EtcdStore(
            EtcdConfiguration(
                endpoints: [EtcdEndpoint(host: "127.0.0.1", port: server.port)], useProxies: true, scope: "test",
                name: "n1"))
        #expect(try await store.acquireLeader(deadline: soon()) != .refused)
        let seen = LeaderRecord(name: "n1", session: "7", revision: 9)
        let claim = try await store.renewLeader(seen, replacingGone: true, deadline: soon())
        guard case .held(let since, _, _) = claim else { throw Unexpected() }
        let keepalives = script.withLock { $0.keepalives }
        #expect(keepalives.count >= 2)
        #expect(since > (try #require(keepalives.first)), "the lease counts from a keep-alive that nobody stood behind")
        await store.close()
    }
}
