import ClusterModel
public import HTTPServer
import HighAvailability
import JSON
public import Logging
public import Ports

/// The REST API of one node (rest-api.md): routes, and what each answers, from the published snapshot or by a command.
public struct ControlAPI: HTTPHandler {
    let node: any NodeControl
    let store: any DistributedConfigurationStore
    let peers: any PeerClient
    let clock: any Clock
    let logger: Logger
    private let access: AccessControl
    private let logQueue: @Sendable () -> LogQueue
    let configurationRules: ConfigurationRules
    private let renderings = Renderings()
    private let refresher = Refresher()
    let views: SharedViews
    let rounds: PeerRounds
    let clusters = ClusterRendering()

    /// PostgreSQL's facts in an answer are at most this old; concurrent requests share one observation.
    static let freshness = Duration.milliseconds(250)
    /// How old a view of the store may be for `/cluster`; then many requests share one read and need no task each.
    static let viewFreshness = Duration.milliseconds(10)

    /// `resolve` gives the addresses of a host's name, and must not wait for the resolver on the cooperative pool.
    public init(
        node: any NodeControl, store: any DistributedConfigurationStore, peers: any PeerClient, clock: any Clock,
        access: AccessRules, logger: Logger, resolve: @escaping @Sendable (String) async -> [String] = { _ in [] },
        logQueue: @escaping @Sendable () -> LogQueue = { LogQueue() },
        configurationRules: ConfigurationRules = ConfigurationRules()
    ) {
        self.node = node
        self.store = store
        views = SharedViews(store, clock)
        self.peers = peers
        rounds = PeerRounds(peers, clock)
        self.clock = clock
        self.access = AccessControl(access, clock, resolve: resolve)
        self.logQueue = logQueue
        self.configurationRules = configurationRules
        self.logger = logger
    }

    /// What becomes of a request. Health checks and the status document are answered at once while the facts are fresh:
    /// no waiting, no SQL. A probe is worked on however many switchovers wait for their end; where an observation hangs
    /// and many probes wait for it, the next one is told what was last seen, as long as that may be trusted at all.
    ///
    /// Whatever an answer judges, what is fresh, whose lease holds, which time has passed, it judges at one instant: of
    /// the request, or of the observation that it waited for.
    public func reply(to request: HTTPRequest) -> HTTPReply {
        let now = clock.now()
        switch Route(request) {
        case .probe(let probe):
            if let recent = recentSnapshot(at: now) { return .ready(answer(probe, from: recent, at: now), .urgent) }
            return .later(
                .urgent, otherwise: { answer(probe, from: node.published(), at: now) },
                work: {
                    let snapshot = await node.freshSnapshot(Self.freshness)
                    return answer(probe, from: PublishedSnapshot(snapshot), at: clock.now())
                })
        case .document(let document): return reply(to: document, request, at: now)
        case .change(let change): return .later(.changing) { await carryOutIfAllowed(change, request, at: now) }
        case .unsupported: return .ready(Self.unsupported(request.method))
        }
    }

    /// The snapshot, if its facts are fresh; where they soon will not be, they are observed again meanwhile.
    private func recentSnapshot(at now: BootInstant) -> PublishedSnapshot? {
        let published = node.published()
        let age = now - published.snapshot.local.observedAt
        guard age <= Self.freshness else { return nil }
        if age > Self.freshness / 2 { refresher.refresh(node) }
        return published
    }

    /// Has other rules hold from the next request on.
    public func adopt(_ rules: AccessRules) { access.replace(rules) }

    /// Health checks keep their connections, and so do members: by their addresses, or, where names stand for these,
    /// by what they ask of a peer, which is a health check, too.
    public func hasShare(peer: String) -> Bool {
        node.snapshot().cachedView(at: clock.now()).map { access.isMember(peer, of: $0) } ?? false
    }

    // MARK: Documents

    private func reply(to document: Route.Document, _ request: HTTPRequest, at now: BootInstant) -> HTTPReply {
        switch document {
        case .cluster:
            if let revision = views.recentRevision(within: Self.viewFreshness, at: now),
                let answer = clusters.answer(of: revision)
            {
                return .ready(answer)
            }
            if let view = views.recent(within: Self.viewFreshness, at: now) { return .ready(cluster(view)) }
            return .later(.reading) { await cluster() }
        case .metrics:
            if let recent = recentSnapshot(at: now) { return .ready(metrics(recent, at: now)) }
            return .later(.reading) {
                metrics(PublishedSnapshot(await node.freshSnapshot(Self.freshness)), at: clock.now())
            }
        case .history: return .later(.reading) { await history(at: now) }
        case .configuration: return .later(.reading) { await configuration(at: now) }
        case .failsafe: return .later(.reading) { failsafeMembers() }
        case .events: return .later(.reading) { events() }
        case .explain: return .later(.reading) { await explain(request) }
        case .rollingRestart: return .later(.reading) { await rollingRestart() }
        case .contract: return .ready(Self.contract)
        }
    }

    private func metrics(_ published: PublishedSnapshot, at now: BootInstant) -> HTTPResponse {
        renderings.answer(.metrics, published.withoutExpiredFacts(at: now), now: now) {
            .text(200, MetricsDocument($0, now: now).text, type: "text/plain")
        }
    }

    /// `openapi/matriarch.yaml` as it was when this was built.
    private static let contract = HTTPResponse(
        status: 200, headers: ["Content-Type": "application/yaml"], body: PackageResources.matriarch_yaml)

    // MARK: Changes

    private func carryOutIfAllowed(
        _ change: Route.Change, _ request: HTTPRequest, at now: BootInstant
    ) async -> HTTPResponse {
        let members = node.snapshot().cachedView(at: now)
        if let refusal = await access.refusal(request, of: change, members) { return refusal }
        return await carryOut(change, request)
    }

    private func carryOut(_ change: Route.Change, _ request: HTTPRequest) async -> HTTPResponse {
        switch change {
        case .patchConfiguration: await patchConfiguration(request)
        case .putConfiguration: await putConfiguration(request)
        case .switchover: await switchover(request, .switchover)
        case .failover: await switchover(request, .failover)
        case .cancelSwitchover: await cancelSwitchover()
        case .restart: await restart(request)
        case .cancelRestart: await cancelRestart()
        case .beginRollingRestart: await beginRollingRestart(request)
        case .callOffRollingRestart: await callOffRollingRestart()
        case .reload: await reload()
        case .reinitialize: await reinitialize(request)
        // Patroni ends by it in its own tests on Windows only; it must answer, and must do nothing.
        case .shutDown: .text(202, "shutdown scheduled")
        case .failsafe: await promise(request)
        case .workerEvent: ignoredEvent(request)
        }
    }

    /// Patroni's answer to a method without a handler: neither 404 nor 405 (rest-api.md §2).
    static func unsupported(_ method: String) -> HTTPResponse {
        .stockError(
            501, message: "Unsupported method ('\(method)')", explanation: "Server does not support this operation")
    }

    static func json(_ value: JSONValue, status: Int = 200) -> HTTPResponse {
        .text(status, JSON.text(value), type: "application/json")
    }

    // MARK: Probes

    private func answer(_ probe: Probe, from published: PublishedSnapshot, at now: BootInstant) -> HTTPResponse {
        let published = published.withoutExpiredFacts(at: now)
        let check = HealthCheck(published, now: now)
        let code: Int
        switch probe {
        case .liveness: return .bare(check.liveness())
        case .readiness(let lag, let written): return .bare(check.readiness(lag: lag, written: written))
        case .status: code = 200
        case .health(let rule, let parameters, let isBare):
            code = check.code(rule, parameters)
            if isBare { return .bare(code) }
        }
        return renderings.answer(.status(code), published, now: now) {
            Self.json(.object(StatusDocument.object($0, now: now, log: logQueue())), status: code)
        }
    }
}
