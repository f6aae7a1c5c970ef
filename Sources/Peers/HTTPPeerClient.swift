public import ClusterModel
import HTTPClient
import JSON
public import Ports
public import Posix
import Synchronization

/// How peers are asked: who we say we are, and what we check (rest-api.md §19). What everybody may read is asked
/// without a password, as where it is asked stands in the store; only who is asked for a promise is told one.
public struct PeerClientOptions: Sendable, Hashable {
    public var userAgent: String
    /// From `ctl.cacert`, else `restapi.cafile`. With it, or with a certificate of ours, the servers' chains are
    /// verified; their names are not, since `connect_address` may be any.
    public var cacert: String?
    /// From `ctl`.
    public var certfile: String?
    public var keyfile: String?
    public var keyfilePassword: String?
    /// For `POST /failsafe` alone: from `ctl.authentication`, else `restapi.authentication`.
    public var username: String?
    public var password: String?

    public init(
        userAgent: String = "Matriarch", cacert: String? = nil, certfile: String? = nil, keyfile: String? = nil,
        keyfilePassword: String? = nil, username: String? = nil, password: String? = nil
    ) {
        self.userAgent = userAgent
        self.cacert = cacert
        self.certfile = certfile
        self.keyfile = keyfile
        self.keyfilePassword = keyfilePassword
        self.username = username
        self.password = password
    }

    var credentials: BasicCredentials? {
        guard let username, let password else { return nil }
        return BasicCredentials(username: username, password: password)
    }

    var tls: TLSOptions {
        TLSOptions(
            cacert: cacert, cert: certfile, key: keyfile, keyPassword: keyfilePassword,
            verifiesPeer: cacert != nil || certfile != nil, verifiesHost: false)
    }
}

/// The other nodes' REST APIs over HTTP.
public final class HTTPPeerClient: PeerClient {
    /// The longest that a peer may take to answer, whatever the deadline.
    static let patience = Duration.seconds(2)

    /// A connection made with one certificate is never used under another: other options are another client.
    private let client: Mutex<HTTPClient>
    private let credentials: Mutex<BasicCredentials?>

    private static func client(_ options: PeerClientOptions) throws(SystemError) -> HTTPClient {
        try HTTPClient(
            name: "peer-client", options: HTTPClientOptions(userAgent: options.userAgent, tls: options.tls))
    }

    /// Throws where its thread cannot be started. The owner calls `shutdown`.
    public init(_ options: PeerClientOptions = PeerClientOptions()) throws(SystemError) {
        client = Mutex(try Self.client(options))
        credentials = Mutex(options.credentials)
    }

    /// Asks with `options` from now on, over new connections and with the files as they are now. What is under way ends
    /// as it began. Throws where a thread cannot be started; then nothing changes.
    public func adopt(_ options: PeerClientOptions) throws(SystemError) {
        let fresh = try Self.client(options)
        client.withLock { $0 = fresh }
        credentials.withLock { $0 = options.credentials }
    }

    /// Ends every request that was begun since the last `adopt`, and the thread.
    public func shutdown() { client.withLock { $0 }.shutdown() }

    public func statuses(of members: [Member], deadline: BootInstant) async -> [String: PeerAnswer] {
        await withTaskGroup(of: (String, PeerAnswer).self) { group in
            for member in members {
                group.addTask { (member.name, await self.status(of: member, deadline: deadline)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private func status(of member: Member, deadline: BootInstant) async -> PeerAnswer {
        guard let apiURL = member.apiURL else { return .unreachable("its member key has no api_url") }
        guard let url = PeerURL.replacingPath(of: apiURL, with: "/patroni") else {
            return .unreachable("its api_url is no http address")
        }
        do throws(HTTPClientError) {
            let limit = min(deadline, BootClock.now() + Self.patience)
            let response = try await read(url, deadline: limit)
            return PeerAnswer(json: try? JSON.parse(bytes: response.body))
        } catch {
            return .unreachable(error.description)
        }
    }

    public func failsafe(
        _ ping: FailsafePing, to members: [Member], deadline: BootInstant
    ) async -> [String: FailsafeAnswer] {
        let body = Array(JSON.text(.object(ping.json)).utf8)
        return await withTaskGroup(of: (String, FailsafeAnswer).self) { group in
            for member in members {
                group.addTask { (member.name, await self.failsafe(body, to: member, deadline: deadline)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private func failsafe(_ body: [UInt8], to member: Member, deadline: BootInstant) async -> FailsafeAnswer {
        guard let url = member.apiURL.flatMap({ PeerURL.replacingPath(of: $0, with: "/failsafe") }) else {
            return .unreachable("its api_url is no http address")
        }
        var request = HTTPClientRequest(
            method: "POST", url: url, headers: [("Content-Type", "application/json")], body: body,
            credentials: credentials.withLock { $0 }, connectTimeout: Self.patience, bodyLimit: 1 << 16)
        request.wantedHeader = "lsn"
        do throws(HTTPClientError) {
            let client = client.withLock { $0 }
            let answer = try await client.send(request, deadline: deadline)
            let text = String(decoding: answer.body, as: UTF8.self)
            guard answer.status == 200, text == FailsafeAnswer.acceptance else {
                return .refused("status \(answer.status)" + (answer.status == 500 ? ", \(text.prefix(80))" : ""))
            }
            return .accepted(answer.header.flatMap { WALPosition(json: .string($0)) })
        } catch {
            return .unreachable(error.description)
        }
    }

    public func isAlive(apiURL: String, deadline: BootInstant) async -> Bool {
        guard let url = PeerURL.replacingPath(of: apiURL, with: "/liveness") else { return false }
        do throws(HTTPClientError) {
            _ = try await read(url, deadline: deadline)
            return true
        } catch {
            return false
        }
    }

    /// Whether a daemon with this name and scope answers at the address of `apiURL`: another program that does, or that
    /// the store has made up, says nothing of ours. A daemon that answers `/liveness` and then hangs counts.
    public func isTaken(_ name: String, scope: String, apiURL: String, deadline: BootInstant) async -> Bool {
        guard await isAlive(apiURL: apiURL, deadline: deadline),
            let url = PeerURL.replacingPath(of: apiURL, with: "/patroni")
        else { return false }
        do throws(HTTPClientError) {
            let body = try await read(url, deadline: deadline).body
            guard let daemon = (try? JSON.parse(bytes: body))?["patroni"] else { return false }
            // Old peers leave their name out.
            return daemon["scope"]?.string == scope && (daemon["name"] == nil || daemon["name"]?.string == name)
        } catch {
            return true
        }
    }

    /// Asks a peer for what everybody may read. A redirect is an answer like any other, and none that tells anything.
    func read(_ url: String, deadline: BootInstant) async throws(HTTPClientError) -> HTTPClientResponse {
        let client = client.withLock { $0 }
        return try await client.send(HTTPClientRequest(url: url, connectTimeout: Self.patience), deadline: deadline)
    }
}
