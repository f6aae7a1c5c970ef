import ClusterModel
import HTTPClient
import Logging
import Ports
import Posix
import TestSupport
import Testing

@testable import Etcd

/// Endpoints, deadlines, users and certificates upon a real etcd.
@Suite(.timeLimit(.minutes(5)), .serialized)
struct EtcdConnectionServerTests {
    @Test func nobodyThere() async throws {
        let endpoint = EtcdEndpoint(host: "127.0.0.1", port: try freePorts(1)[0])
        let store = try EtcdStore(EtcdConfiguration(endpoints: [endpoint], scope: "test", name: "n1"))
        let start = BootClock.now()
        let error = await #expect(throws: DCSError.self) { try await store.load(deadline: start + .seconds(1)) }
        guard case .unreachable? = error else { throw Unexpected() }
        #expect(BootClock.now() - start < .seconds(60))
        await store.close()
    }

    @Test func aHungServerCostsNoMoreThanTheDeadline() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                let seen = try await store.load(deadline: soon()).leader
                try await cluster.members[0].pause()
                let start = BootClock.now()
                async let load = outcome { () async throws(DCSError) in
                    try await store.load(deadline: start + .seconds(2))
                }
                async let renewal = outcome { () async throws(DCSError) in
                    try await store.renewLeader(seen, replacingGone: true, deadline: start + .seconds(2))
                }
                async let touch = outcome { () async throws(DCSError) in
                    try await store.touchMember(["a": 1], seen: nil, deadline: start + .seconds(2))
                }
                for (call, error) in [("load", await load), ("renewal", await renewal), ("touch", await touch)] {
                    guard case .unreachable? = error else {
                        Issue.record("\(call) of a server that hangs: \(error.map { "\($0)" } ?? "it was answered")")
                        return
                    }
                }
                #expect(BootClock.now() - start < .seconds(60))
                cluster.members[0].resume()
                #expect(try await store.load(deadline: soon()).leader == seen)
                let claim = try await store.renewLeader(seen, replacingGone: true, deadline: soon())
                guard case .held(let since, _, _) = claim else {
                    Issue.record("\(claim) when the server goes on")
                    return
                }
                #expect(since > start)
            }
        }
    }

    private func outcome<Value>(_ body: () async throws(DCSError) -> Value) async -> DCSError? {
        do throws(DCSError) {
            _ = try await body()
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [true, false])
    func oneOfThreeIsEnoughToAskAndIsForgottenWhenItFails(_ isHung: Bool) async throws {
        try await EtcdCluster.run(3) { cluster in
            // Only one is configured: the others are found.
            try await cluster.withStore("n1", { $0.endpoints = [cluster.endpoints[0]] }) { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                let current = try #require(await store.transport.current)
                let failed = try #require(cluster.members.first { $0.endpoint == current })
                if isHung { try await failed.pause() } else { try await failed.kill() }
                let seen = try await store.load(deadline: soon()).leader
                #expect(seen?.name == "n1")
                #expect(try await store.renewLeader(seen, replacingGone: true, deadline: soon()) != .refused)
                #expect(await store.transport.current != current)
                let start = BootClock.now()
                // A hung endpoint costs a third of the time: 100 s.
                _ = try await store.load(deadline: soon(.seconds(300)))
                #expect(BootClock.now() - start < .seconds(60), "the endpoint that failed is not asked first any more")
                failed.resume()
            }
        }
    }

    @Test func withoutAQuorumNothingIsAnswered() async throws {
        try await EtcdCluster.run(3) { cluster in
            try await cluster.withStore { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                for member in cluster.members.dropFirst() { try await member.kill() }
                await #expect(throws: DCSError.self) { try await store.load(deadline: soon(.seconds(3))) }
                for member in cluster.members.dropFirst() { try member.start() }
                try await eventually("the cluster is back") {
                    (try? await store.load(deadline: soon(.seconds(3))))?.leader?.name == "n1"
                }
            }
        }
    }

    @Test func aWriteWhoseAnswerWasLostCountsOnce() async throws {
        try await EtcdCluster.run { cluster in
            let proxy = try CuttingProxy(to: cluster.endpoints[0].port)
            defer { proxy.stop() }
            try await cluster.withStore(
                "n1",
                {
                    $0.endpoints = [EtcdEndpoint(host: "127.0.0.1", port: proxy.port)]
                    $0.useProxies = true
                }
            ) { store in
                proxy.loseAnswer(with: "response_put")
                guard case .held(_, _, let session) = try await store.acquireLeader(deadline: soon()) else {
                    throw Unexpected()
                }
                #expect(proxy.hasLost)
                proxy.loseAnswer(with: "response_put")
                let outcome = try await store.write(.config, #"{"ttl":20}"#, if: .absent, deadline: soon())
                #expect(proxy.hasLost)
                let view = try await store.load(deadline: soon())
                #expect(view.leader?.session == session)
                #expect(outcome == .written(try #require(view.config?.revision)))
                // Whose the empty value is cannot be told: nobody may take it for a won race.
                proxy.loseAnswer(with: "response_put")
                #expect(try await store.write(.initialize, "", if: .absent, deadline: soon()) == .refused)
                proxy.loseAnswer(with: "response_delete_range")
                let revision = try #require(view.config?.revision)
                #expect(try await store.delete(.config, if: .unchanged(since: revision), deadline: soon()) != .refused)
                proxy.loseAnswer(with: "response_delete_range")
                #expect(try await store.releaseLeader(status: nil, deadline: soon()))
                #expect(proxy.hasLost)
            }
        }
    }

    // MARK: Users

    @Test func usersAndTheirTokens() async throws {
        // A token lives 3 s without use: the watch and the calls outlive several.
        try await EtcdCluster.run(arguments: ["--auth-token-ttl", "3"]) { cluster in
            try await cluster.enableAuthentication()
            try await cluster.withStore(
                "n1",
                {
                    $0.username = "ours"
                    $0.password = "secret"
                }
            ) { store in
                let events = Task { () -> [DCSValue] in
                    var values: [DCSValue] = []
                    for await event in store.events {
                        if case .changed("config", let value?, _) = event { values.append(value) }
                        if values.last == "end" { break }
                    }
                    return values
                }
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                try await store.touchMember(["a": 1], seen: nil, deadline: soon())
                var revision: Revision?
                func write(_ value: String) async throws {
                    let outcome = try await store.write(.config, value, if: .asSeen(revision), deadline: soon())
                    guard case .written(let new) = outcome else { throw Unexpected() }
                    revision = new
                }
                try await write("one")
                // Every token is gone after a restart: each path has to get another.
                try await cluster.members[0].kill()
                try cluster.members[0].start()
                try await cluster.waitUntilReady(cluster.members[0])
                try await write("two")
                let seen = try await store.load(deadline: soon())
                #expect(try await store.renewLeader(seen.leader, replacingGone: true, deadline: soon()) != .refused)
                // And after its time.
                try await Task.sleep(for: .seconds(5))
                try await write("end")
                #expect(await events.value == ["one", "two", "end"])
            }
        }
    }

    /// A password that is changed in etcd and in the configuration, under a daemon that leads.
    @Test func aPasswordThatChanges() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.enableAuthentication()
            func own(_ configuration: inout EtcdConfiguration) {
                configuration.username = "ours"
                configuration.password = "secret"
            }
            try await cluster.withStore("n1", own) { store in
                #expect(try await store.acquireLeader(deadline: soon()) != .refused)
                try await cluster.withStore(
                    "admin",
                    {
                        $0.username = "root"
                        $0.password = "secret"
                    }
                ) { admin in
                    let body: JSONObject = ["name": "ours", "password": "other"]
                    _ = try await admin.transport.call("/auth/user/changepw", body, deadline: soon())
                }
                await store.adopt(username: "ours", password: "other")
                let seen = try await store.load(deadline: soon()).leader
                #expect(try await store.renewLeader(seen, replacingGone: false, deadline: soon()) != .refused)
                // The one that holds no more is told, and the right one helps at once.
                await store.adopt(username: "ours", password: "secret")
                await #expect(throws: DCSError.self) { try await store.load(deadline: soon(.seconds(3))) }
                await store.adopt(username: "ours", password: "other")
                #expect(try await store.load(deadline: soon()).leader?.name == "n1")
            }
        }
    }

    @Test func wrongCredentialsAreTold() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.enableAuthentication()
            for (username, password) in [("ours", "wrong"), ("nobody", "secret"), (nil, nil)] {
                let error = await #expect(throws: DCSError.self) {
                    try await cluster.withStore(
                        "n1",
                        {
                            $0.username = username
                            $0.password = password
                        }
                    ) { _ in }
                }
                guard case .unauthorized? = error else {
                    Issue.record("\(username ?? "no user"): \(String(describing: error))")
                    continue
                }
            }
            // A user without rights upon this scope.
            let error = await #expect(throws: DCSError.self) {
                try await cluster.withStore(
                    "n1",
                    {
                        $0.username = "ours"
                        $0.password = "secret"
                        $0.scope = "other"
                    }
                ) { _ in }
            }
            guard case .unauthorized? = error else { throw Unexpected() }
        }
    }

    @Test func credentialsThatTheServerDoesNotWant() async throws {
        try await EtcdCluster.run { cluster in
            try await cluster.withStore(
                "n1",
                {
                    $0.username = "ours"
                    $0.password = "secret"
                }
            ) { store in
                let claim = try await store.acquireLeader(deadline: soon())
                #expect(claim != .refused)
            }
        }
    }

    // MARK: Certificates

    @Test func clientCertificates() async throws {
        try await TestCertificates.with { files in
            try await EtcdCluster.run(tls: files) { cluster in
                for (cert, key) in [(files.cert("client"), files.key("client")), ("\(files.directory)/both.pem", nil)] {
                    try await cluster.withStore(
                        "n1",
                        {
                            $0.cacert = files.ca
                            $0.cert = cert
                            $0.key = key
                        }
                    ) { store in
                        #expect(try await store.write(.config, "{}", if: .absent, deadline: soon()) != .refused)
                        let view = try await store.load(deadline: soon())
                        let revision = try #require(view.config?.revision)
                        let gone = try await store.delete(.config, if: .unchanged(since: revision), deadline: soon())
                        #expect(gone != .refused)
                    }
                }
                // Without our certificate, and with another authority than the server's.
                for (cacert, cert) in [(files.ca, nil), ("\(files.directory)/other.crt", files.cert("client"))] {
                    var configuration = cluster.configuration("n1")
                    configuration.cacert = cacert
                    configuration.cert = cert
                    configuration.key = cert == nil ? nil : files.key("client")
                    let store = try EtcdStore(configuration)
                    let error = await #expect(throws: DCSError.self) {
                        try await store.start(deadline: soon(.seconds(2)))
                    }
                    guard case .unreachable(let reason)? = error else { throw Unexpected() }
                    #expect(cert == nil || reason.contains("TLS"))
                    await store.close()
                }
            }
        }
    }
}
