public import ClusterModel
public import HTTPClient
import JSON
public import Ports
public import Posix
import Synchronization

/// How peers are asked: who we say we are, and what we check (rest-api.md §19).
public struct PeerClientOptions: Sendable, Hashable {
    public var userAgent: String
    /// From `ctl.authentication`, else `restapi.authentication`.
    public var credentials: BasicCredentials?
    /// From `ctl.cacert`, else `restapi.cafile`.
    public var cacert: String?
    /// From `ctl`. Without a certificate of ours those of the servers are not verified; with one their chain is, but
    /// not their name.
    public var certfile: String?
    public var keyfile: String?
    public var keyfilePassword: String?

    public init(
        userAgent: String = "Matriarch", credentials: BasicCredentials? = nil, cacert: String? = nil,
        certfile: String? = nil, keyfile: String? = nil, keyfilePassword: String? = nil
    ) {
        self.userAgent = userAgent
        self.credentials = credentials
        self.cacert = cacert
        self.certfile = certfile
        self.keyfile = keyfile
        self.keyfilePassword = keyfilePassword
    }

    var tls: TLSOptions {
        TLSOptions(
            cacert: cacert, cert: certfile, key: keyfile, keyPassword: keyfilePassword, verifiesPeer: certfile != nil,
            verifiesHost: false)
    }
}

/// The other nodes' REST APIs over HTTP.
public final class HTTPPeerClient: PeerClient {
    /// The longest that a peer may take to answer, whatever the deadline.
    static let patience = Duration.seconds(2)

    /// What goes together: a connection made under one identity is never used under another.
    private struct Identity: Sendable {
        let client: HTTPClient
        let credentials: BasicCredentials?

        init(_ options: PeerClientOptions) throws(SystemError) {
            client = try HTTPClient(
                name: "peer-client", options: HTTPClientOptions(userAgent: options.userAgent, tls: options.tls))
            credentials = options.credentials
        }
    }

    private let identity: Mutex<Identity>

    /// Throws where its thread cannot be started. The owner calls `shutdown`.
    public init(_ options: PeerClientOptions = PeerClientOptions()) throws(SystemError) {
        identity = Mutex(try Identity(options))
    }

    /// Asks with `options` from now on, over new connections and with the files as they are now. What is under way ends
    /// as it began. Throws where a thread cannot be started; then nothing changes.
    public func adopt(_ options: PeerClientOptions) throws(SystemError) {
        let fresh = try Identity(options)
        identity.withLock { $0 = fresh }
    }

    /// Ends every request that was begun since the last `adopt`, and the thread.
    public func shutdown() { identity.withLock { $0.client }.shutdown() }

    public func statuses(of members: [Member], deadline: BootInstant) async -> [String: PeerAnswer] {
        await withTaskGroup(of: (String, PeerAnswer).self) { group in
            for member in members {
                group.addTask { (member.name, await self.status(of: member, deadline: deadline)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private func status(of member: Member, deadline: BootInstant) async -> PeerAnswer {
        guard let url = member.apiURL else { return .unreachable("its member key has no api_url") }
        do throws(HTTPClientError) {
            let limit = min(deadline, BootClock.now() + Self.patience)
            let response = try await request("GET", url, deadline: limit)
            return PeerAnswer(json: try? JSON.parse(bytes: response.body))
        } catch {
            return .unreachable(error.description)
        }
    }

    public func isAlive(apiURL: String, deadline: BootInstant) async -> Bool {
        guard let url = PeerURL.replacingPath(of: apiURL, with: "/liveness") else { return false }
        do throws(HTTPClientError) {
            _ = try await request("GET", url, deadline: deadline)
            return true
        } catch {
            return false
        }
    }

    /// Any request to a peer. A body is JSON text, sent without a content type as the peers do.
    public func request(_ method: String, _ url: String, body: String? = nil, deadline: BootInstant)
        async throws(HTTPClientError) -> HTTPClientResponse
    {
        let identity = identity.withLock { $0 }
        let request = HTTPClientRequest(
            method: method, url: url, body: body.map { Array($0.utf8) }, credentials: identity.credentials,
            connectTimeout: Self.patience)
        return try await identity.client.send(request, deadline: deadline)
    }
}
