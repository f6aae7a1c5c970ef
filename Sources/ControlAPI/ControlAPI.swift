import ClusterModel
public import HTTPServer
import HighAvailability
import JSON
public import Logging
public import Ports
import Synchronization

/// The REST API of one node (rest-api.md): routes, and what each answers, from the published snapshot or by a command.
public struct ControlAPI: HTTPHandler {
    let node: any NodeControl
    let store: any DistributedConfigurationStore
    let peers: any PeerClient
    let clock: any Clock
    let logger: Logger
    private let access: AccessControl
    private let names: HostAddresses
    private let logQueue: @Sendable () -> LogQueue
    private let renderings = Renderings()
    private let refresher = Refresher()
    let views: SharedViews
    let clusters = ClusterRendering()
    private let members = MemberNetworks()

    /// PostgreSQL's facts in an answer are at most this old; concurrent requests share one observation.
    static let freshness = Duration.milliseconds(250)
    /// How old a view of the store may be for `/cluster`; then many requests share one read and need no task each.
    static let viewFreshness = Duration.milliseconds(10)
    /// How long the addresses of a member's name count, and how long a request waits for them.
    private static let (nameFreshness, namePatience) = (Duration.seconds(5), Duration.seconds(2))

    /// `resolve` gives the addresses of a host's name, and must not wait for the resolver on the cooperative pool.
    public init(
        node: any NodeControl, store: any DistributedConfigurationStore, peers: any PeerClient, clock: any Clock,
        access: AccessRules, logger: Logger, resolve: @escaping @Sendable (String) async -> [String] = { _ in [] },
        logQueue: @escaping @Sendable () -> LogQueue = { LogQueue() }
    ) {
        self.node = node
        self.store = store
        views = SharedViews(store, clock)
        self.peers = peers
        self.clock = clock
        self.access = AccessControl(access)
        names = HostAddresses(
            clock: clock, freshness: Self.nameFreshness, patience: Self.namePatience, resolve: resolve)
        self.logQueue = logQueue
        self.logger = logger
    }

    /// What becomes of a request. Health checks and the status document are answered at once while the facts are fresh:
    /// no waiting, no SQL. A probe is worked on however many switchovers wait for their end; where an observation hangs
    /// and many probes wait for it, the next one is told what was last seen, as long as that may be trusted at all.
    public func reply(to request: HTTPRequest) -> HTTPReply {
        switch Route(request) {
        case .probe(let probe):
            if let snapshot = recentSnapshot() { return .ready(answer(probe, from: snapshot), .urgent) }
            return .later(
                .urgent, otherwise: { answer(probe, from: node.snapshot()) },
                work: { answer(probe, from: await node.freshSnapshot(Self.freshness)) })
        case .document(let document):
            if let ready = answerNow(document) { return .ready(ready) }
            return .later(.reading) { await read(document) }
        case .change(let change): return .later(.changing) { await carryOutIfAllowed(change, request) }
        case .unsupported: return .ready(Self.unsupported(request.method))
        }
    }

    /// The snapshot, if its facts are fresh; where they soon will not be, they are observed again meanwhile.
    private func recentSnapshot() -> NodeSnapshot? {
        let snapshot = node.snapshot()
        let age = clock.now() - snapshot.local.observedAt
        guard age <= Self.freshness else { return nil }
        if age > Self.freshness / 2 { refresher.refresh(node) }
        return snapshot
    }

    private func answerNow(_ document: Route.Document) -> HTTPResponse? {
        switch document {
        case .cluster: views.recent(within: Self.viewFreshness).map(cluster)
        case .metrics: recentSnapshot().map(metrics)
        case .contract: Self.contract
        case .history, .configuration, .failsafe, .events: nil
        }
    }

    private func carryOutIfAllowed(_ change: Route.Change, _ request: HTTPRequest) async -> HTTPResponse {
        let rules = access.rules
        let members = change.isForMembers ? memberAddresses : nil
        if let refusal = await rules.refusal(request, members: members) { return refusal }
        return await carryOut(change, request)
    }

    /// Has other rules hold from the next request on.
    public func adopt(_ rules: AccessRules) { access.replace(rules) }

    /// Health checks keep their connections, and so do members: by their addresses, or, where names stand for these,
    /// by what they ask of a peer, which is a health check, too.
    public func hasShare(peer: String) -> Bool {
        guard let view = node.snapshot().cachedView(at: clock.now()) else { return false }
        return members.networks(of: view) { Self.hosts(of: $0) }.contains { $0.contains(peer) }
    }

    /// The hosts in the members' `api_url`s, from the cached view; none without one.
    private var memberHosts: [String] {
        node.snapshot().cachedView(at: clock.now()).map(Self.hosts) ?? []
    }

    private static func hosts(of view: ClusterView) -> [String] {
        view.members.compactMap { $0.apiURL.flatMap { HostPort(url: $0, defaultPort: 8008) }?.host }
    }

    /// The addresses that `memberHosts` are or stand for (rest-api.md §3).
    private func memberAddresses() async -> [String] {
        let hosts = memberHosts
        let unresolved = hosts.filter { IPNetwork(address: $0) == nil && Self.isName($0) }
        if unresolved.isEmpty { return hosts }
        return await hosts + names.addresses(of: unresolved).values.joined()
    }

    /// Whether a resolver is to be asked for it: what stands in the store is a name, or nothing.
    private static func isName(_ host: String) -> Bool {
        host.utf8.count <= 253
            && host.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || ".-_".utf8.contains(byte)
            }
    }

    private func read(_ document: Route.Document) async -> HTTPResponse {
        switch document {
        case .cluster: await cluster()
        case .history: await history()
        case .configuration: await configuration()
        case .failsafe: failsafeMembers()
        case .metrics: metrics(await node.freshSnapshot(Self.freshness))
        case .events: events()
        case .contract: Self.contract
        }
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
        case .reload: await reload()
        case .reinitialize: await reinitialize(request)
        // The peer ends by it in its own tests on Windows only; it must answer, and must do nothing.
        case .shutDown: .text(202, "shutdown scheduled")
        case .failsafe: acceptPrimary()
        case .workerEvent: ignoredEvent(request)
        }
    }

    private func metrics(_ snapshot: NodeSnapshot) -> HTTPResponse {
        let now = clock.now()
        let snapshot = snapshot.withoutExpiredFacts(at: now)
        return renderings.answer(.metrics, snapshot, now: now) {
            .text(200, MetricsDocument(snapshot, now: now).text, type: "text/plain")
        }
    }

    /// `openapi/matriarch.yaml` as it was when this was built.
    private static let contract = HTTPResponse(
        status: 200, headers: ["Content-Type": "application/yaml"], body: PackageResources.matriarch_yaml)

    /// The peer's answer to a method without a handler: neither 404 nor 405 (rest-api.md §2).
    static func unsupported(_ method: String) -> HTTPResponse {
        .stockError(
            501, message: "Unsupported method ('\(method)')", explanation: "Server does not support this operation")
    }

    static func json(_ value: JSONValue, status: Int = 200) -> HTTPResponse {
        .text(status, JSON.text(value), type: "application/json")
    }

    // MARK: Probes

    private func answer(_ probe: Probe, from snapshot: NodeSnapshot) -> HTTPResponse {
        let now = clock.now()
        let snapshot = snapshot.withoutExpiredFacts(at: now)
        let check = HealthCheck(snapshot: snapshot, now: now)
        let code: Int
        switch probe {
        case .liveness: return .bare(check.liveness())
        case .readiness(let lag, let written): return .bare(check.readiness(lag: lag, written: written))
        case .status: code = 200
        case .health(let rule, let parameters, let isBare):
            code = check.code(rule, parameters)
            if isBare { return .bare(code) }
        }
        return renderings.answer(.status(code), snapshot, now: now) {
            Self.json(.object(StatusDocument.object(snapshot, now: now, log: logQueue())), status: code)
        }
    }
}

/// Has PostgreSQL observed again before the facts are too old: where probes come often, none of them waits for it.
private final class Refresher: Sendable {
    private let isUnderWay = Mutex(false)

    func refresh(_ node: any NodeControl) {
        let begins = isUnderWay.withLock { isUnderWay in
            defer { isUnderWay = true }
            return !isUnderWay
        }
        guard begins else { return }
        Task {
            _ = await node.freshSnapshot(ControlAPI.freshness / 2)
            isUnderWay.withLock { $0 = false }
        }
    }
}

/// The rules that hold now; they are replaced when the configuration is read again.
private final class AccessControl: Sendable {
    private let current: Mutex<AccessRules>

    init(_ rules: AccessRules) { current = Mutex(rules) }

    var rules: AccessRules { current.withLock { $0 } }

    func replace(_ rules: AccessRules) { current.withLock { $0 = rules } }
}

/// The addresses of the members: the same revision of the store holds the same members.
private final class MemberNetworks: Sendable {
    private let known = Mutex<(revision: Revision, networks: [IPNetwork])?>(nil)

    func networks(of view: ClusterView, hosts: (ClusterView) -> [String]) -> [IPNetwork] {
        if let networks = known.withLock({ $0?.revision == view.revision ? $0?.networks : nil }) { return networks }
        let networks = hosts(view).compactMap { IPNetwork(address: $0) }
        known.withLock { $0 = (view.revision, networks) }
        return networks
    }
}

/// The rendered body of `/cluster`: the same revision of the store holds the same cluster.
final class ClusterRendering: Sendable {
    private let known = Mutex<(revision: Revision, answer: HTTPResponse)?>(nil)

    func answer(_ view: ClusterView, render: () -> HTTPResponse) -> HTTPResponse {
        let rendered = known.withLock { known in
            // A store that has begun another life counts anew.
            if let before = known, view.revision < before.revision { known = nil }
            return known?.revision == view.revision ? known?.answer : nil
        }
        if let rendered { return rendered }
        let answer = render().prerendered()
        // Without a configuration of its own the view is judged by what the node last knew, which no revision tells.
        if let config = view.config, config.isValid, DynamicConfiguration(document: config.data) != nil {
            known.withLock { $0 = (view.revision, answer) }
        }
        return answer
    }
}

/// The rendered documents of the present snapshot. What time alone changes in them is part of what they go by.
private final class Renderings: Sendable {
    enum Document: Hashable {
        /// The status document, with this code.
        case status(Int)
        case metrics
    }

    private struct Moment: Equatable {
        var serial: UInt64
        var isFresh: Bool
        var isLeader: Bool
        var isExpired: Bool
    }

    private struct Cache {
        var moment = Moment(serial: 0, isFresh: false, isLeader: false, isExpired: false)
        var answers: [Document: HTTPResponse] = [:]
    }

    private let cache = Mutex(Cache())

    func answer(
        _ document: Document, _ snapshot: NodeSnapshot, now: BootInstant, render: () -> HTTPResponse
    ) -> HTTPResponse {
        let moment = Moment(
            serial: snapshot.serial, isFresh: snapshot.cachedView(at: now) != nil, isLeader: snapshot.isLeader(at: now),
            isExpired: snapshot.isExpired(at: now))
        let known = cache.withLock { cache in
            if cache.moment != moment { cache = Cache(moment: moment) }
            return cache.answers[document]
        }
        if let known { return known }
        let rendered = render().prerendered()
        cache.withLock { cache in
            if cache.moment == moment { cache.answers[document] = rendered }
        }
        return rendered
    }
}
