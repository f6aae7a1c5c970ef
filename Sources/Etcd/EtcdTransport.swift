import ClusterModel
import HTTPClient
import JSON
import Logging
import Posix

/// An answer and what the caller must know of how it came about.
struct Answer<Value: Sendable>: Sendable {
    let value: Value
    /// Before the attempt that succeeded was sent.
    let sentAt: BootInstant
    /// An earlier attempt failed in a way that leaves open whether etcd acted upon it.
    let isRepeated: Bool
}

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

    private let client: HTTPClient
    private let configuration: EtcdConfiguration
    private let watched: WatchedStream
    private let logger: Logger
    private var endpoints: EndpointList
    private var staleness = StaleNodeGuard()
    private var authorization = Authorization.unknown
    private var jitter: JitterSource
    private var refresh: Task<Void, Never>?
    private var retryTimeout: Duration
    private var topologyLifetime = Duration.seconds(300)
    private(set) var version: EtcdVersion?

    init(_ configuration: EtcdConfiguration, client: HTTPClient, watched: WatchedStream, logger: Logger) {
        self.configuration = configuration
        retryTimeout = configuration.retryTimeout
        self.client = client
        self.watched = watched
        self.logger = logger
        endpoints = EndpointList(configuration.endpoints, node: configuration.name)
        jitter = JitterSource(seed: UInt64(bitPattern: BootClock.now().nanoseconds))
    }

    var current: EtcdEndpoint? { endpoints.current }

    /// Calls the gateway: a POST of `body` to the API's prefix and `path`. The first JSON document of the answer.
    func call(_ path: String, _ body: JSONObject, deadline: BootInstant) async throws(EtcdError) -> Answer<JSONObject> {
        let answer = try await walk(deadline) { (endpoint, limit) async throws(EtcdError) in
            try await self.authorized(endpoint, limit) { (headers, limit) async throws(EtcdError) in
                try await self.post(endpoint, path, body, headers, limit)
            }
        }
        let (reply, wasResent) = answer.value
        return Answer(value: reply, sentAt: answer.sentAt, isRepeated: answer.isRepeated || wasResent)
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
            return try await self.send(request, endpoint, limit)
        }.value
    }

    /// Asks for the members' addresses and uses them from now on.
    func discover(deadline: BootInstant) async throws(EtcdError) {
        if configuration.useProxies { return }
        if version?.prefix != "/v3" { version = nil }
        let members = try await call("/cluster/member/list", [:], deadline: deadline).value["members"]?.array ?? []
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
        topologyLifetime = ttl * 10
        self.retryTimeout = retryTimeout
    }

    /// The token is not valid any more; the next call gets another.
    func forgetToken() { authorization = .unknown }

    func close() {
        refresh?.cancel()
        client.shutdown()
    }

    /// The endpoint is alive but not to be relied upon: the next call goes to another.
    func avoid(_ url: String) {
        if endpoints.current?.url == url { endpoints.allFailed(tried: 1) }
    }

    /// Judges what a reply, or a document of a watch, tells of its server. True if that is of another cluster than
    /// before.
    func judge(_ header: EtcdHeader, of endpoint: String) throws(EtcdError) -> Bool {
        switch staleness.judge(header) {
        case .fresh: return false
        case .stale: throw .staleNode("\(endpoint) lags behind its cluster: raft term \(header.raftTerm)")
        case .otherCluster:
            logger.warning("another etcd cluster answers at \(endpoint): its id is \(header.clusterID)")
            return true
        }
    }

    // MARK: Endpoints

    /// Tries one endpoint after the other, round by round, until one succeeds, fails for good, or time is up.
    private func walk<Value: Sendable>(
        _ deadline: BootInstant, _ attempt: (EtcdEndpoint, BootInstant) async throws(EtcdError) -> Value
    ) async throws(EtcdError) -> Answer<Value> {
        var isRepeated = false
        var last: EtcdError?
        var round = 0
        while true {
            let order = endpoints.order
            let plan = AttemptPlan.sharing(
                deadline - BootClock.now(), among: order.count, retryTimeout: retryTimeout)
            for endpoint in order.prefix(plan.nodes) {
                let sentAt = BootClock.now()
                let limit = min(deadline, sentAt + plan.timeout)
                if limit <= sentAt { break }
                do throws(EtcdError) {
                    let value = try await attempt(endpoint, limit)
                    use(endpoint)
                    return Answer(value: value, sentAt: sentAt, isRepeated: isRepeated)
                } catch {
                    last = error
                    if Task.isCancelled { throw .cancelled }
                    if error.mayHaveBeenApplied { isRepeated = true }
                    switch error.recovery {
                    case .nextEndpoint, .later: logger.debug("etcd \(endpoint): \(error)")
                    case .reauthenticate, .none: throw error
                    }
                }
            }
            guard let last else { throw .exhausted("no time left to ask any endpoint") }
            fail(last, order, tried: plan.nodes)
            let pause = RetryPause.length(round: round, jitter: jitter.next(), retryTimeout: retryTimeout)
            if BootClock.now() + pause >= deadline { throw .exhausted(exhaustion(last)) }
            do { try await Task.sleep(for: pause) } catch { throw .cancelled }
            round += 1
        }
    }

    private func use(_ endpoint: EtcdEndpoint) {
        let before = endpoints.current
        if endpoints.succeeded(endpoint) {
            logger.info("selected etcd endpoint \(endpoint) in place of \(before?.url ?? "none")")
            watched.leave(allBut: endpoint)
        }
    }

    private func fail(_ error: EtcdError, _ order: [EtcdEndpoint], tried: Int) {
        endpoints.allFailed(tried: tried)
        // A server that hangs keeps its connections open: the watch would not notice.
        watched.leave(allBut: nil)
        logger.debug("no etcd endpoint of \(order) answers: \(exhaustion(error))")
    }

    private func exhaustion(_ error: EtcdError) -> String {
        "no endpoint answered in time; the last error: \(error)"
    }

    // MARK: Version and token

    private func authorized<Value: Sendable>(
        _ endpoint: EtcdEndpoint, _ limit: BootInstant,
        _ attempt: ([(name: String, value: String)], BootInstant) async throws(EtcdError) -> Value
    ) async throws(EtcdError) -> Value {
        if version == nil { try await readVersion(endpoint, limit) }
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
            let reply = try await post(endpoint, "/auth/authenticate", body, [], limit).reply
            guard let token = reply["token"]?.string else {
                throw .malformed("\(endpoint): the answer to authenticate has no token")
            }
            authorization = .token(token)
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
    }

    // MARK: One request

    private func request(
        _ endpoint: EtcdEndpoint, _ path: String, _ body: JSONObject, _ headers: [(name: String, value: String)]
    ) -> HTTPClientRequest {
        HTTPClientRequest(
            method: "POST", url: endpoint.url + (version?.prefix ?? "/v3") + path,
            headers: headers + [("Content-Type", "application/json")], body: Array(JSON.text(body, .compact).utf8),
            bodyLimit: Self.bodyLimit)
    }

    private func post(
        _ endpoint: EtcdEndpoint, _ path: String, _ body: JSONObject, _ headers: [(name: String, value: String)],
        _ limit: BootInstant
    ) async throws(EtcdError) -> (reply: JSONObject, wasResent: Bool) {
        let response = try await send(request(endpoint, path, body, headers), endpoint, limit)
        let reply = try decode(response, endpoint)
        if let header = EtcdHeader(reply), try judge(header, of: endpoint.url) { watched.leave(allBut: nil) }
        return (reply, response.wasResent)
    }

    private func open(
        _ endpoint: EtcdEndpoint, _ body: JSONObject, _ headers: [(name: String, value: String)], _ limit: BootInstant
    ) async throws(EtcdError) -> HTTPClientStream {
        let request = timed(request(endpoint, "/watch", body, headers), limit)
        let stream: HTTPClientStream
        let refusal: [UInt8]
        do throws(HTTPClientError) {
            stream = try await client.stream(request, deadline: limit)
            if stream.status < 400 { return stream }
            refusal = try await stream.next() ?? []
        } catch {
            throw .transport(error, endpoint: endpoint.url)
        }
        throw error(HTTPClientResponse(status: stream.status, body: refusal), endpoint)
    }

    private func send(_ request: HTTPClientRequest, _ endpoint: EtcdEndpoint, _ limit: BootInstant)
        async throws(EtcdError) -> HTTPClientResponse
    {
        do throws(HTTPClientError) {
            return try await client.send(timed(request, limit), deadline: limit)
        } catch {
            throw .transport(error, endpoint: endpoint.url)
        }
    }

    /// Half of an attempt's time is for connecting, but a second at least.
    private func timed(_ request: HTTPClientRequest, _ limit: BootInstant) -> HTTPClientRequest {
        var request = request
        request.connectTimeout = max(.seconds(1), (limit - BootClock.now()) / 2)
        return request
    }

    private func decode(_ response: HTTPClientResponse, _ endpoint: EtcdEndpoint) throws(EtcdError) -> JSONObject {
        if response.status >= 400 { throw error(response, endpoint) }
        guard let reply = (try? JSON.parsePrefix(bytes: response.body))?.value.object else {
            throw .malformed("\(endpoint) answers with what is not a JSON object: status \(response.status)")
        }
        if reply["error"] != nil, let error = GatewayError(reply) { throw .gateway(error) }
        return reply
    }

    private func error(_ response: HTTPClientResponse, _ endpoint: EtcdEndpoint) -> EtcdError {
        if let reply = (try? JSON.parsePrefix(bytes: response.body))?.value.object, let error = GatewayError(reply) {
            return .gateway(error)
        }
        // A proxy between us, most likely: its own failure is no word of etcd's.
        let text = "\(endpoint) answers with status \(response.status)"
        return response.status >= 500 ? .gateway(GatewayError(.unavailable, text)) : .malformed(text)
    }
}
