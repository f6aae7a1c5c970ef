import ClusterModel
import HTTPClient
import JSON
import Logging
import Posix

/// Calls to etcd: which endpoint, under which prefix, with which token, how often and how long (dcs.md §5.1, 5.2, 5.7,
/// 5.8). Every call goes on to other endpoints until its deadline.
actor EtcdTransport {
    private enum Authorization: Sendable, Hashable {
        /// No token yet, or one that was refused. Goes to `token` or `notEnabled`.
        case unknown
        /// The server wants no users. Goes to `unknown` when it does.
        case notEnabled
        case token(String)
    }

    /// The largest answer and the largest unread part of a watch, in bytes.
    static let bodyLimit = 64 << 20

    let client: HTTPClient
    private var configuration: EtcdConfiguration
    let keys: EtcdKeys
    let watched: WatchedStream
    let logger: Logger
    private var endpoints: EndpointList
    var storeLife: StoreLife
    /// When what is known of it is kept for the next daemon.
    var markPace: StoreMarkPace
    let marks: StoreMarkFile?
    /// The endpoint whose last answer was of the life that is known. Only there is anything written: elsewhere it would
    /// be done before the answer tells to whom.
    private var proven: EtcdEndpoint?
    /// Endpoints that answered what is no answer, and until when no connection to them is used twice: by then those
    /// that lead to whoever answered so are too old to be used.
    private var distrusted: [EtcdEndpoint: BootInstant] = [:]
    private var authorization = Authorization.unknown
    private var jitter: JitterSource
    private var refresh: Task<Void, Never>?
    private(set) var ttl: Duration
    private var retryTimeout: Duration
    private var topologyLifetime: Duration
    private(set) var version: EtcdVersion?
    /// No endpoint has answered under the version's prefix: it is read anew.
    private var isVersionDoubted = false

    /// `marks` is where what is known of the store outlives the daemon, and holds what an earlier one has left.
    init(
        _ configuration: EtcdConfiguration, client: HTTPClient, watched: WatchedStream, marks: StoreMarkFile? = nil,
        logger: Logger
    ) {
        keys = EtcdKeys(namespace: configuration.namespace, scope: configuration.scope, name: configuration.name)
        storeLife = StoreLife(marks?.found?.telling(of: keys.prefix))
        markPace = StoreMarkPace(found: marks?.found)
        self.marks = marks
        self.configuration = configuration
        ttl = configuration.ttl
        topologyLifetime = LeaseArithmetic.topologyLifetime(ttl: configuration.ttl)
        retryTimeout = configuration.retryTimeout
        self.client = client
        self.watched = watched
        self.logger = logger
        endpoints = EndpointList(configuration.endpoints, node: configuration.name)
        jitter = JitterSource(seed: UInt64(bitPattern: BootClock.now().nanoseconds))
    }

    var current: EtcdEndpoint? { endpoints.current }

    /// Calls the gateway: a POST of `body` to the API's prefix and `path`. `read` takes the first JSON document of the
    /// answer and gives nil for what no etcd says: then the next endpoint is asked.
    func call<Value: Sendable>(
        _ path: String, _ body: JSONObject, deadline: BootInstant, read: @Sendable (JSONObject) -> Value?
    ) async throws(EtcdError) -> Answer<Value> {
        let isReading = path == Self.rangePath || path == Self.memberListPath
        let answer = try await walk(deadline) { (endpoint, limit) async throws(EtcdError) in
            try await self.authorized(endpoint, limit) { (headers, limit) async throws(EtcdError) in
                if !isReading { try await self.prove(endpoint, headers, limit) }
                return try await self.post(endpoint, path, body, headers, limit, read)
            }
        }
        let reply = answer.value
        return Answer(
            value: reply.value, sentAt: answer.sentAt, isRepeated: answer.isRepeated || reply.wasResent,
            term: reply.term, termBefore: reply.termBefore, life: reply.life)
    }

    /// The same where any answer with a header is one.
    func call(_ path: String, _ body: JSONObject, deadline: BootInstant) async throws(EtcdError) -> Answer<JSONObject> {
        try await call(path, body, deadline: deadline) { StoreHeader($0).map(\.clusterID)?.isEmpty == false ? $0 : nil }
    }

    /// Opens a watch. Its stream is known to `watched`, which ends it when the endpoint is given up.
    func openWatch(_ body: JSONObject, deadline: BootInstant) async throws(EtcdError) -> HTTPClientStream {
        let answer = try await walk(deadline) { (endpoint, limit) async throws(EtcdError) in
            try await self.authorized(endpoint, limit) { (headers, limit) async throws(EtcdError) in
                let stream = try await self.open(endpoint, body, headers, limit)
                self.watched.attach(stream, to: endpoint)
                return stream
            }
        }
        return answer.value
    }

    /// A GET outside the v3 API, with basic authentication: the v2 API knows no tokens.
    func get(_ path: String, deadline: BootInstant) async throws(EtcdError) -> HTTPClientResponse {
        try await walk(deadline) { (endpoint, limit) async throws(EtcdError) in
            var request = HTTPClientRequest(url: endpoint.url + path, bodyLimit: Self.bodyLimit)
            if let username = self.configuration.username, let password = self.configuration.password {
                request.credentials = BasicCredentials(username: username, password: password)
            }
            let response = try await self.send(request, endpoint, limit)
            guard response.status == 200 || (400..<500).contains(response.status) else {
                throw self.error(response, endpoint)
            }
            return response
        }.value
    }

    /// Asks for the members' addresses and uses them from now on.
    func discover(deadline: BootInstant) async throws(EtcdError) {
        if configuration.useProxies { return }
        if version?.prefix != "/v3" { isVersionDoubted = true }
        let members = try await call(Self.memberListPath, [:], deadline: deadline) { reply in
            reply["members"]?.array.flatMap { $0.isEmpty ? nil : $0 }
        }.value
        let urls = members.flatMap { $0["clientURLs"]?.array ?? [] }.compactMap(\.string)
        let before = endpoints
        endpoints.discovered(urls, at: BootClock.now())
        if endpoints.known != before.known { logger.info("etcd endpoints: \(endpoints.known)") }
    }

    /// Starts `discover` beside the calls when the list has become old.
    func refreshTopologyIfStale() {
        guard !configuration.useProxies, refresh == nil,
            endpoints.isStale(at: BootClock.now(), lifetime: topologyLifetime)
        else { return }
        refresh = Task {
            do throws(EtcdError) {
                try await discover(deadline: BootClock.now() + configuration.retryTimeout)
            } catch {
                logger.warning("the list of etcd members could not be read: \(error)")
            }
            refresh = nil
        }
    }

    func adopt(ttl: Duration, retryTimeout: Duration) {
        self.ttl = ttl
        topologyLifetime = LeaseArithmetic.topologyLifetime(ttl: ttl)
        self.retryTimeout = retryTimeout
    }

    /// Who we are from the next call on. What is open goes on under the token that it was opened with.
    func adopt(username: String?, password: String?) {
        if (configuration.username, configuration.password) == (username, password) { return }
        (configuration.username, configuration.password, authorization) = (username, password, .unknown)
    }

    /// The token is not valid any more; the next call gets another.
    func forgetToken() { authorization = .unknown }

    func close() {
        refresh?.cancel()
        client.shutdown()
    }

    /// The endpoint is alive but not to be relied upon: the next call goes to another.
    func avoid(_ url: String) {
        if proven?.url == url { proven = nil }
        if let endpoint = endpoints.known.first(where: { $0.url == url }) { distrust(endpoint) }
        if endpoints.current?.url == url { endpoints.allFailed(tried: 1) }
    }

    private func distrust(_ endpoint: EtcdEndpoint) {
        let now = BootClock.now()
        distrusted = distrusted.filter { $0.value > now }
        distrusted[endpoint] = now + HTTPClientOptions.idleConnectionLimit + .seconds(1)
    }

    func isDistrusted(_ endpoint: EtcdEndpoint) -> Bool {
        distrusted[endpoint].map { BootClock.now() < $0 } ?? false
    }

    // MARK: Endpoints

    /// Tries one endpoint after the other, round by round, until one succeeds, fails for good, or time is up.
    private func walk<Value: Sendable>(
        _ deadline: BootInstant, _ attempt: (EtcdEndpoint, BootInstant) async throws(EtcdError) -> Value
    ) async throws(EtcdError) -> (value: Value, sentAt: BootInstant, isRepeated: Bool) {
        var walk = EndpointWalk(deadline: deadline, retryTimeout: retryTimeout)
        var isRepeated = false
        var last: EtcdError?
        while true {
            switch walk.next(&endpoints, at: BootClock.now(), jitter: &jitter) {
            case .ask(let endpoint, let limit):
                let sentAt = BootClock.now()
                do throws(EtcdError) {
                    let value = try await attempt(endpoint, limit)
                    use(endpoint)
                    return (value, sentAt, isRepeated)
                } catch {
                    last = error
                    if Task.isCancelled { throw .cancelled }
                    if error.mayHaveBeenApplied { isRepeated = true }
                    if error.isFinal { throw error }
                    if proven == endpoint { proven = nil }
                    if error.discreditsEndpoint { distrust(endpoint) }
                    logger.debug("etcd \(endpoint): \(error)")
                }
            case .pause(let pause):
                endRound(last)
                do { try await Task.sleep(for: pause) } catch { throw .cancelled }
            case .exhausted:
                guard let last else { throw .exhausted("no time left to ask any endpoint") }
                endRound(last)
                throw .exhausted(exhaustion(last))
            }
        }
    }

    private func use(_ endpoint: EtcdEndpoint) {
        let before = endpoints.current
        if endpoints.succeeded(endpoint) {
            logger.info("selected etcd endpoint \(endpoint) in place of \(before?.url ?? "none")")
            watched.leave(allBut: endpoint)
        }
    }

    /// None of a round has answered.
    private func endRound(_ last: EtcdError?) {
        isVersionDoubted = true
        // A server that hangs keeps its connections open: the watch would not notice.
        watched.leave(allBut: nil)
        if let last { logger.debug("no etcd endpoint of \(endpoints.known) answers: \(exhaustion(last))") }
    }

    private func exhaustion(_ error: EtcdError) -> String {
        "no endpoint answered in time; the last error: \(error)"
    }

    // MARK: Version and token

    private func authorized<Value: Sendable>(
        _ endpoint: EtcdEndpoint, _ limit: BootInstant,
        _ attempt: ([(name: String, value: String)], BootInstant) async throws(EtcdError) -> Value
    ) async throws(EtcdError) -> Value {
        if version == nil || isVersionDoubted { try await readVersion(endpoint, limit) }
        let used = try await token(endpoint, limit)
        do throws(EtcdError) {
            return try await attempt(header(used), limit)
        } catch {
            guard error.recovery == .reauthenticate, configuration.username != nil,
                limit - BootClock.now() > .milliseconds(100)
            else { throw error }
            // Somebody else may have got a new one in the meantime.
            if authorization == used { authorization = .unknown }
            logger.debug("etcd wants a new token: \(error)")
            return try await attempt(header(try await token(endpoint, limit)), limit)
        }
    }

    private func header(_ authorization: Authorization) -> [(name: String, value: String)] {
        switch authorization {
        case .unknown, .notEnabled: []
        case .token(let token): [("authorization", token)]
        }
    }

    private func token(_ endpoint: EtcdEndpoint, _ limit: BootInstant) async throws(EtcdError) -> Authorization {
        guard authorization == .unknown, let username = configuration.username, let password = configuration.password
        else { return authorization }
        guard let version, version.canAuthenticate else {
            throw .unsupportedVersion("etcd before 3.3 has no authentication through its gateway")
        }
        do throws(EtcdError) {
            let body = EtcdMessages.authenticate(username, password)
            authorization = .token(
                try await post(endpoint, Self.authenticatePath, body, [], limit) { $0["token"]?.string }.value)
        } catch {
            guard case .gateway(let gateway) = error, gateway.kind == .authNotEnabled else { throw error }
            authorization = .notEnabled
        }
        return authorization
    }

    private func readVersion(_ endpoint: EtcdEndpoint, _ limit: BootInstant) async throws(EtcdError) {
        let request = HTTPClientRequest(url: endpoint.url + "/version")
        let reply = try decode(try await send(request, endpoint, limit), endpoint)
        version = try EtcdVersion(reply)
        isVersionDoubted = false
    }

    /// Makes sure that the endpoint is of the life that is known, before anything is written there.
    private func prove(
        _ endpoint: EtcdEndpoint, _ headers: [(name: String, value: String)], _ limit: BootInstant
    ) async throws(EtcdError) {
        if proven == endpoint { return }
        let body = EtcdMessages.range(prefix: keys.prefix, countOnly: true)
        _ = try await post(endpoint, Self.rangePath, body, headers, limit) { EtcdRange($0) }
    }

    // MARK: One request

    static let rangePath = "/kv/range"
    static let transactionPath = "/kv/txn"
    static let memberListPath = "/cluster/member/list"
    static let authenticatePath = "/auth/authenticate"

    /// What one request brought.
    private struct Reply<Value: Sendable>: Sendable {
        var value: Value
        var wasResent: Bool
        var term: UInt64
        var termBefore: UInt64
        var life: Int
    }

    private func post<Value: Sendable>(
        _ endpoint: EtcdEndpoint, _ path: String, _ body: JSONObject, _ headers: [(name: String, value: String)],
        _ limit: BootInstant, _ read: @Sendable (JSONObject) -> Value?
    ) async throws(EtcdError) -> Reply<Value> {
        let termBefore = storeLife.highestTerm
        // What goes by the log is answered by a quorum, and by no state older than any seen before.
        let floor = path == Self.rangePath || path == Self.transactionPath ? storeLife.floor : nil
        let response = try await send(request(endpoint, path, body, headers), endpoint, limit)
        let document = try decode(response, endpoint)
        let header = StoreHeader(document)
        // Who gives tokens is judged by what is asked with them: a floor goes with that, and only such an answer lets a
        // store of another life be taken in the end.
        if let header, path != Self.authenticatePath { try learn(header, of: endpoint.url, floor: floor) }
        guard let value = read(document), floor == nil || header?.clusterID.isEmpty == false else {
            throw .malformed("\(endpoint) answers \(path) with what no etcd says")
        }
        if floor != nil { proven = endpoint }
        return Reply(
            value: value, wasResent: response.wasResent, term: header?.raftTerm ?? 0, termBefore: termBefore,
            life: storeLife.number)
    }

    private func open(
        _ endpoint: EtcdEndpoint, _ body: JSONObject, _ headers: [(name: String, value: String)], _ limit: BootInstant
    ) async throws(EtcdError) -> HTTPClientStream {
        let request = timed(request(endpoint, "/watch", body, headers), endpoint, limit)
        let stream: HTTPClientStream
        let refusal: [UInt8]
        do throws(HTTPClientError) {
            stream = try await client.stream(request, deadline: limit)
            if stream.status == 200 { return stream }
            refusal = try await stream.next() ?? []
        } catch {
            throw .transport(error, endpoint: endpoint.url)
        }
        throw error(HTTPClientResponse(status: stream.status, body: refusal), endpoint)
    }
}
