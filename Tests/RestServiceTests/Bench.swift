import ClusterModel
import Configuration
import ControlAPI
import Glibc
import HTTPClient
import HTTPServer
import Logging
import Posix
import RestService
import Synchronization

/// A REST server as configured, with a handler that greets, and all that it said and let in.
struct Bench {
    let server: RestServer
    let rules: Mutexed<[AccessRules]>
    let log: Mutexed<[String]>

    init(
        _ settings: RestAPISettings, resolve: @escaping @Sendable (String) async -> [String] = { _ in [] }
    ) async throws {
        let (rules, log) = (Mutexed<[AccessRules]>([]), Mutexed<[String]>([]))
        (self.rules, self.log) = (rules, log)
        var logger = Logger(label: "test") { _ in Recorder(lines: log) }
        logger.logLevel = .info
        server = try await RestServer(settings, handler: Greeter(), logger: logger, resolve: resolve) { fresh in
            rules.change { $0.append(fresh) }
        }
    }

    /// The settings of a `restapi` section.
    static func settings(_ section: String) throws -> RestAPISettings {
        let text = """
            scope: lab
            name: n1
            restapi: \(section)
            etcd3: {hosts: ["127.0.0.1:2379"]}
            postgresql:
              listen: 127.0.0.1:5432
              data_dir: /data
              authentication:
                superuser: {username: postgres, password: secret}
                replication: {username: replicator, password: rep}
            """
        return try EffectiveConfiguration.effective(local: .parse(text), dynamic: nil).restAPI
    }

    /// Waits for a line in the log.
    func untilLogged(_ text: String) async throws -> Bool {
        let deadline = BootClock.now() + .seconds(300)
        while !log.value.contains(where: { $0.contains(text) }) {
            guard BootClock.now() < deadline else { return false }
            try await Task.sleep(for: .milliseconds(10))
        }
        return true
    }
}

/// The status of `GET /`, nil where nobody answers, or not with a certificate that `trusted` has signed.
func status(_ port: Int, trusted: String? = nil) async throws -> Int? {
    let client = try HTTPClient(options: HTTPClientOptions(tls: TLSOptions(cacert: trusted)))
    defer { client.shutdown() }
    let scheme = trusted == nil ? "http" : "https"
    let request = HTTPClientRequest(url: "\(scheme)://127.0.0.1:\(port)/")
    return try? await client.send(request, deadline: BootClock.now() + .seconds(10)).status
}

/// A port of loopback that is taken as long as this lives.
final class Occupied: Sendable {
    private let descriptor: Int32
    let port: Int

    init(_ wanted: Int = 0) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(wanted).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let number = descriptor
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(number, pointer, length) == 0 && listen(number, 1) == 0
                    ? getsockname(number, pointer, &length) : -1
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        guard code == 0 else { throw SystemError(call: "bind") }
    }

    deinit { close(descriptor) }
}

/// A value behind a lock.
final class Mutexed<Value: Sendable>: Sendable {
    private let state: Mutex<Value>
    init(_ value: Value) { state = Mutex(value) }
    var value: Value { state.withLock { $0 } }
    func change(_ body: (inout Value) -> Void) { state.withLock { body(&$0) } }
}

private struct Greeter: HTTPHandler {
    func reply(to request: HTTPRequest) -> HTTPReply { .ready(.text(200, "hello")) }
}

private struct Recorder: LogHandler {
    let lines: Mutexed<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.change { $0.append("\(event.level): \(event.message)") } }
}
