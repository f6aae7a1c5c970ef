import ClusterModel
import HTTPClient
import Ports
import Posix
import Synchronization
import Testing

@testable import Etcd

/// What is no etcd's answer, whoever gives it: the next endpoint is asked, and the present one is forgotten.
enum Nonsense: String, CaseIterable, Sendable {
    case notFound, forbidden, page, internalError, foreignGateway, redirect, otherObject, notHTTP

    var answer: String {
        switch self {
        case .notFound: Self.http("404 Not Found", "404 page not found")
        case .forbidden: Self.http("403 Forbidden", "<html>no</html>")
        case .page: Self.http("200 OK", "<html>welcome</html>")
        case .internalError: Self.http("500 Internal Server Error", #"{"error":"internal error","code":13}"#)
        case .foreignGateway: Self.http("403 Forbidden", #"{"error":"RBAC: access denied","code":7}"#)
        case .redirect:
            "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
        case .otherObject: Self.http("200 OK", #"{"status":"ok","etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#)
        case .notHTTP: "SSH-2.0-OpenSSH_9.2\r\n"
        }
    }

    private static func http(_ status: String, _ body: String) -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
    }
}

@Suite(.timeLimit(.minutes(5)), .serialized)
struct EndpointFaultServerTests {
    /// A store whose first endpoint, which it uses, is a proxy before etcd, and whose second is etcd.
    private func withProxy(_ body: (EtcdStore, CuttingProxy, EtcdCluster) async throws -> Void) async throws {
        try await EtcdCluster.run { cluster in
            let proxy = try CuttingProxy(to: cluster.endpoints[0].port)
            defer { proxy.stop() }
            let way = EtcdEndpoint(host: "127.0.0.1", port: proxy.port)
            try await cluster.withStore(
                "n1",
                {
                    $0.endpoints = [way, cluster.endpoints[0]]
                    $0.useProxies = true
                }
            ) { store in
                #expect(await store.transport.current == way)
                try await body(store, proxy, cluster)
            }
        }
    }

    @Test(arguments: Nonsense.allCases)
    func nonsenseLeadsToTheNextEndpoint(_ nonsense: Nonsense) async throws {
        try await withProxy { (store, proxy, cluster) async throws -> Void in
            let events = Mutex<[DCSEvent]>([])
            let reader = Task { for await event in store.events { events.withLock { $0.append(event) } } }
            defer { reader.cancel() }
            try await eventually("the watch has begun") { events.withLock { $0.contains(.resynchronized) } }
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            let seen = try await store.load(deadline: soon()).leader
            proxy.garble("", nonsense.answer)
            proxy.cut()
            #expect(try await store.renewLeader(seen, replacingGone: true, deadline: soon()) != .refused)
            try await store.touchMember(["state": "running"], seen: nil, deadline: soon())
            #expect(try await store.load(deadline: soon()).leader?.session == seen?.session)
            #expect(await store.transport.current == cluster.endpoints[0])
            guard case .written(let revision) = try await store.write(.config, "{}", if: .absent, deadline: soon())
            else { throw Unexpected() }
            let change = DCSEvent.changed(leaf: "config", value: "{}", revision: revision)
            try await eventually("the watch follows") { events.withLock { $0.contains(change) } }
        }
    }

    /// The answer is lost after etcd has done it, and the call goes on to the other endpoint: every write is a
    /// compare-and-swap, so what is there already is found and not done again.
    @Test func aWriteWhoseAnswerWasGarbledCountsOnce() async throws {
        let page = Nonsense.page.answer
        try await withProxy { (store, proxy, cluster) async throws -> Void in
            proxy.garble("response_put", page)
            guard case .held(_, _, let session) = try await store.acquireLeader(deadline: soon()) else {
                throw Unexpected()
            }
            let leader = try #require(try await store.load(deadline: soon()).leader)
            #expect(leader.session == session)
            #expect(await store.transport.current == cluster.endpoints[0])
        }
        try await withProxy { (store, proxy, _) async throws -> Void in
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            proxy.garble("response_put", page)
            let outcome = try await store.write(.config, #"{"ttl":20}"#, if: .absent, deadline: soon())
            let config = try #require(try await store.load(deadline: soon()).config)
            #expect(outcome == .written(config.revision))
        }
        try await withProxy { (store, proxy, _) async throws -> Void in
            proxy.garble("response_put", page)
            // Whose an empty value is cannot be told: nobody may take it for a won race.
            #expect(try await store.write(.initialize, "", if: .absent, deadline: soon()) == .refused)
        }
        try await withProxy { (store, proxy, _) async throws -> Void in
            #expect(try await store.acquireLeader(deadline: soon()) != .refused)
            proxy.garble("response_delete_range", page)
            #expect(try await store.releaseLeader(status: nil, deadline: soon()))
            #expect(try await store.load(deadline: soon()).leader == nil)
        }
    }

    /// A watch that dies at once again and again, on an endpoint that serves everything else.
    @Test(arguments: [Nonsense.page, .internalError, .otherObject])
    func aWatchOfNonsenseIsLeft(_ nonsense: Nonsense) async throws {
        try await withProxy { (store, proxy, cluster) async throws -> Void in
            proxy.garble(#""created":true"#, nonsense.answer)
            proxy.cut()
            let leaf = DCSKey.config
            let writer = store
            _ = try await writer.write(leaf, "{}", if: .absent, deadline: soon())
            for await event in store.events {
                if case .changed(leaf: "config", value: "{}", _) = event { break }
                if event == .resynchronized, try await store.load(deadline: soon()).config != nil { break }
            }
            try await eventually("the endpoint is left") { await store.transport.current == cluster.endpoints[0] }
        }
    }

    @Test(arguments: Nonsense.allCases)
    func whereNothingElseAnswersTheStoreIsUnreachable(_ nonsense: Nonsense) async throws {
        let asked = Mutex(0)
        let server = try StubServer { connection in
            while connection.readRequest() != nil {
                asked.withLock { $0 += 1 }
                connection.write(nonsense.answer)
                return
            }
        }
        defer { server.stop() }
        let store = try EtcdStore(
            EtcdConfiguration(
                endpoints: [EtcdEndpoint(host: "127.0.0.1", port: server.port)], scope: "test", name: "n1"))
        let error = await #expect(throws: DCSError.self) { try await store.start(deadline: soon(.seconds(1))) }
        guard case .unreachable? = error else { throw Unexpected() }
        // One second has room for no more than a few rounds.
        #expect(asked.withLock { $0 } < 40)
        await store.close()
    }

    /// A balancer that has sent a connection to the wrong place leaves it there: a kept connection is not the address.
    @Test func aConnectionThatLedToNonsenseIsNotUsedAgain() async throws {
        let isFirst = Mutex(true)
        let server = try StubServer { connection in
            let isWrong = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            while let request = connection.readRequest() {
                if isWrong {
                    connection.respond(404, "404 page not found")
                } else if request.hasPrefix("GET /version") {
                    connection.respond(200, #"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#)
                } else {
                    connection.respond(200, #"{"header":{"cluster_id":"1","raft_term":"2","revision":"5"}}"#)
                }
            }
        }
        defer { server.stop() }
        let endpoint = EtcdEndpoint(host: "127.0.0.1", port: server.port)
        let store = try EtcdStore(
            EtcdConfiguration(endpoints: [endpoint], useProxies: true, scope: "test", name: "n1"))
        #expect(try await store.load(deadline: soon()).revision == 5)
        #expect(try await store.load(deadline: soon()).revision == 5)
        await store.close()
    }

    @Test func whatEtcdItselfRefusesIsFinal() async throws {
        let second = Mutex(0)
        let version = #"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#
        let text = "etcdserver: mvcc: database space exceeded"
        let full = try StubServer { connection in
            while let request = connection.readRequest() {
                if request.hasPrefix("GET /version") {
                    connection.respond(200, version)
                } else if request.contains("/kv/range") {
                    connection.respond(200, #"{"header":{"cluster_id":"1","raft_term":"2","revision":"5"}}"#)
                } else {
                    connection.respond(429, #"{"error":"\#(text)","code":8,"message":"\#(text)"}"#)
                }
            }
        }
        let other = try StubServer { connection in
            while connection.readRequest() != nil { second.withLock { $0 += 1 } }
        }
        defer {
            full.stop()
            other.stop()
        }
        let endpoints = [full, other].map { EtcdEndpoint(host: "127.0.0.1", port: $0.port) }
        let store = try EtcdStore(
            EtcdConfiguration(endpoints: endpoints, useProxies: true, scope: "test", name: "n1"))
        await #expect(throws: DCSError.failed(text)) {
            try await store.write(.config, "{}", if: .absent, deadline: soon())
        }
        #expect(second.withLock { $0 } == 0)
        await store.close()
    }
}
