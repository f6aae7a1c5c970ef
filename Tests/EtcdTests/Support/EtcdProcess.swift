import CPlatform
import ClusterModel
import Glibc
import HTTPClient
import JSON
import Logging
import Ports
import Posix
import Synchronization
import TestSupport

@testable import Etcd

/// Starts a program that is nobody's child and dies with the tests, whatever ends them.
func spawnGuarded(_ arguments: [String], log: String = "/dev/null") throws -> pid_t {
    let output = try FileDescriptor.open(log, O_WRONLY | O_CREAT | O_APPEND)
    let pid = try spawn(arguments, output.number)
    let guardian = "while kill -0 \(getpid()) && kill -0 \(pid); do sleep 1; done; kill -9 \(pid)"
    _ = try spawn(["/bin/sh", "-c", guardian], -1)
    return pid
}

private func spawn(_ arguments: [String], _ output: Int32) throws -> pid_t {
    var pid = pid_t()
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    argv.append(nil)
    defer { argv.forEach { free($0) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), strdup("HOME=/tmp"), nil]
    defer { environment.forEach { free($0) } }
    let code = ms_spawn_detached(arguments[0], &argv, &environment, nil, [-1, output, output], &pid)
    guard code == 0 else { throw SystemError(call: "spawn", subject: arguments[0], code: code) }
    return pid
}

/// One real etcd server.
final class EtcdMember: Sendable {
    let endpoint: EtcdEndpoint
    private let arguments: [String]
    private let log: String
    private let pid = Mutex<pid_t?>(nil)

    init(endpoint: EtcdEndpoint, arguments: [String], log: String) {
        self.endpoint = endpoint
        self.arguments = arguments
        self.log = log
    }

    func start() throws {
        let started = try spawnGuarded(["/usr/bin/etcd"] + arguments, log: log)
        pid.withLock { $0 = started }
    }

    /// Ends it, and starts it anew upon nothing; with another token its cluster has another id.
    func forget(token: String? = nil) async throws {
        try await kill()
        var changed = arguments
        for (option, value) in zip(arguments.indices, arguments.indices.dropFirst()) {
            if arguments[option] == "--data-dir" { try Files.removeTree(arguments[value]) }
            if arguments[option] == "--initial-cluster-token", let token { changed[value] = token }
        }
        let started = try spawnGuarded(["/usr/bin/etcd"] + changed, log: log)
        pid.withLock { $0 = started }
    }

    /// Stops it, and returns when each of its threads stands still: until then one may still answer.
    func pause() async throws {
        guard let number = pid.withLock({ $0 }) else { return }
        signal(SIGSTOP)
        try await eventually("etcd \(number) stands still") {
            let tasks = "/proc/\(number)/task"
            return try Files.list(tasks).allSatisfy { task in
                guard let line = try? Files.read("\(tasks)/\(task)/stat") else { return true }
                // The state follows the name, which stands in brackets (proc(5)).
                return String(decoding: line, as: UTF8.self).split(separator: ")").last?.hasPrefix(" T") == true
            }
        }
    }

    func resume() { signal(SIGCONT) }

    /// Ends it as a crash would, and returns when it is gone.
    func kill() async throws {
        guard let number = pid.withLock({ $0 }) else { return }
        signal(SIGKILL)
        try await eventually("etcd \(number) is gone") { Glibc.kill(number, 0) != 0 }
        pid.withLock { $0 = nil }
    }

    func signal(_ number: Int32) { if let pid = pid.withLock({ $0 }) { Glibc.kill(pid, number) } }
}

/// Real etcd servers with their own ports and directory.
struct EtcdCluster: Sendable {
    let members: [EtcdMember]
    let directory: String
    let client: HTTPClient

    var endpoints: [EtcdEndpoint] { members.map(\.endpoint) }

    /// Runs `body` beside `count` servers that are ready, and ends them in all cases.
    static func run(
        _ count: Int = 1, arguments: [String] = [], tls: TestCertificates? = nil,
        _ body: (EtcdCluster) async throws -> Void
    ) async throws {
        let directory = try makeTemporaryDirectory("etcd")
        let tlsOptions = tls.map { TLSOptions(cacert: $0.ca, cert: $0.cert("client"), key: $0.key("client")) }
        let client = try HTTPClient(name: "test", options: HTTPClientOptions(tls: tlsOptions ?? TLSOptions()))
        let cluster = EtcdCluster(
            members: try describe(count, directory, arguments, tls), directory: directory, client: client)
        do {
            for member in cluster.members { try member.start() }
            for member in cluster.members { try await cluster.waitUntilReady(member) }
            try await body(cluster)
        } catch {
            await cluster.end()
            throw error
        }
        await cluster.end()
    }

    private static func describe(_ count: Int, _ directory: String, _ arguments: [String], _ tls: TestCertificates?)
        throws -> [EtcdMember]
    {
        let ports = try freePorts(2 * count)
        let peers = (0..<count).map { "m\($0)=http://127.0.0.1:\(ports[count + $0])" }.joined(separator: ",")
        let scheme = tls == nil ? "http" : "https"
        let files = tls.map {
            [
                "--cert-file", $0.cert("server"), "--key-file", $0.key("server"), "--client-cert-auth",
                "--trusted-ca-file", $0.ca,
            ]
        }
        return (0..<count).map { index in
            let client = "\(scheme)://127.0.0.1:\(ports[index])"
            let peer = "http://127.0.0.1:\(ports[count + index])"
            let own = [
                "--name", "m\(index)", "--data-dir", "\(directory)/m\(index)", "--listen-client-urls", client,
                "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", peers, "--initial-cluster-token", directory, "--logger", "zap",
                "--heartbeat-interval", "100", "--election-timeout", "1000",
            ]
            return EtcdMember(
                endpoint: EtcdEndpoint(scheme: scheme, host: "127.0.0.1", port: ports[index]),
                arguments: own + (files ?? []) + arguments, log: "\(directory)/m\(index).log")
        }
    }

    func waitUntilReady(_ member: EtcdMember) async throws {
        try await eventually("\(member.endpoint) is healthy") {
            let request = HTTPClientRequest(url: member.endpoint.url + "/health")
            let answer = try? await client.send(request, deadline: BootClock.now() + .seconds(1))
            return answer?.status == 200
        }
    }

    private func end() async {
        for member in members { try? await member.kill() }
        client.shutdown()
        try? Files.removeTree(directory)
    }

    /// The configuration of a node that uses these servers.
    func configuration(_ name: String, endpoints: [EtcdEndpoint]? = nil, useProxies: Bool = false) -> EtcdConfiguration
    {
        EtcdConfiguration(
            endpoints: endpoints ?? self.endpoints, useProxies: useProxies, scope: "test", name: name)
    }

    /// Runs `body` with a store that is connected, and closes it in all cases.
    func withStore(
        _ name: String = "n1", marks: StoreMarkFile? = nil, _ change: (inout EtcdConfiguration) -> Void = { _ in },
        _ body: (EtcdStore) async throws -> Void
    ) async throws {
        var configuration = configuration(name)
        change(&configuration)
        let store = try EtcdStore(
            configuration, marks: marks, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await store.start(deadline: soon())
            try await body(store)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }
}

func soon(_ limit: Duration = .seconds(60)) -> BootInstant { BootClock.now() + limit }

extension EtcdCluster {
    /// With a user `ours`, who may read and write the keys of the scope, and whose password is `secret`.
    func enableAuthentication() async throws {
        try await withStore("admin") { store in
            func call(_ path: String, _ body: JSONObject) async throws {
                _ = try await store.transport.call(path, body, deadline: soon())
            }
            for user in ["root", "ours"] {
                try await call("/auth/user/add", ["name": .string(user), "password": "secret"])
            }
            try await call("/auth/role/add", ["name": "root"])
            try await call("/auth/user/grant", ["user": "root", "role": "root"])
            try await call("/auth/role/add", ["name": "cluster"])
            let span: JSONValue = [
                "permType": "READWRITE", "key": .string(Base64.encode(store.keys.prefix)),
                "range_end": .string(Base64.encode(EtcdKeys.end(ofPrefix: store.keys.prefix))),
            ]
            try await call("/auth/role/grant", ["name": "cluster", "perm": span])
            try await call("/auth/user/grant", ["user": "ours", "role": "cluster"])
            try await call("/auth/enable", [:])
        }
    }
}
