public import ClusterModel
import HTTPClient
import JSON
public import Logging
public import Ports
public import Posix

/// The cluster's keys in etcd, over the JSON gateway of its v3 API (dcs.md §5).
///
/// One lease carries the leader key and the member key; it is never revoked, so that a daemon that ends leaves its
/// member key to expiry as its peers do.
public actor EtcdStore: DistributedConfigurationStore {
    /// A lease as etcd last confirmed it.
    struct Lease: Sendable, Hashable {
        let id: String
        /// The length that was asked for.
        let requestedTTL: Duration
        /// What etcd gave, at most what was asked for.
        var ttl: Duration
        /// Before the request that etcd last confirmed it to was sent (S4).
        var provenAt: BootInstant
    }

    public nonisolated let events: AsyncStream<DCSEvent>

    nonisolated let transport: EtcdTransport
    nonisolated let keys: EtcdKeys
    let name: String
    let logger: Logger
    var lease: Lease?
    /// The lease under which we last held the leader key.
    var leaderLease: String?
    /// Sessions of which a claim to the leader key has gone out and was not answered: etcd may take it yet.
    var doubtful: Set<String> = []
    /// Sessions that are not used any more, so that a late claim under them leads nowhere; ended when our member key has
    /// moved to another.
    var retired: [String] = []
    /// Those of them that etcd has ended.
    var ended: Set<String> = []
    /// Our member key as we last wrote it: callers may have seen an older one.
    var ownMember: Member?
    private(set) var ttl: Duration
    private(set) var loopWait: Duration

    private let client: HTTPClient
    private let watch: EtcdWatch
    private let queue: EventQueue
    private let watched: WatchedStream
    private var watching: Task<Void, Never>?

    /// A store that has not yet connected. Throws where its thread cannot be started.
    public init(_ configuration: EtcdConfiguration, logger: Logger = Logger(label: "etcd")) throws(SystemError) {
        let keys = EtcdKeys(
            namespace: configuration.namespace, scope: configuration.scope, name: configuration.name)
        let options = HTTPClientOptions(
            userAgent: "Matriarch",
            tls: TLSOptions(
                cacert: configuration.cacert, cert: configuration.cert, key: configuration.key,
                keyPassword: configuration.keyPassword),
            keepalive: Self.keepalive(configuration.ttl, configuration.loopWait, configuration.retryTimeout))
        let client = try HTTPClient(name: "etcd-client", options: options)
        let watched = WatchedStream()
        let transport = EtcdTransport(configuration, client: client, watched: watched, logger: logger)
        let queue = EventQueue()
        self.keys = keys
        self.client = client
        self.watched = watched
        self.transport = transport
        self.queue = queue
        self.logger = logger
        events = queue.stream
        watch = EtcdWatch(
            configuration, keys, transport: transport, watched: watched, queue: queue, logger: logger)
        name = configuration.name
        ttl = configuration.ttl
        loopWait = configuration.loopWait
    }

    deinit {
        watching?.cancel()
        client.shutdown()
    }

    // MARK: Life

    /// Finds out version and members, logs in, and starts the watch. `.unauthorized` is final; after `.unreachable` the
    /// caller may try again.
    public func start(deadline: BootInstant) async throws(DCSError) {
        do throws(EtcdError) {
            try await transport.discover(deadline: deadline)
            // Asks for a permission that everything else needs; with proxies it is also the first call.
            _ = try await transport.call(
                "/kv/range", EtcdMessages.range(prefix: keys.prefix, countOnly: true), deadline: deadline)
        } catch {
            throw DCSError(error)
        }
        if watching == nil {
            let watch = watch
            watching = Task { await watch.run() }
        }
    }

    /// Refuses a scope that etcd still holds in its v2 store: for an `etcd` section, which once meant that store. One
    /// daemon on each would be two leaders.
    public func checkNoV2Data(deadline: BootInstant) async throws(DCSError) {
        let response: HTTPClientResponse
        do throws(EtcdError) {
            response = try await transport.get("/v2/keys" + keys.base, deadline: deadline)
        } catch {
            throw DCSError(error)
        }
        guard response.status == 200, let node = (try? JSON.parse(bytes: response.body))?["node"],
            node["nodes"]?.array?.isEmpty == false
        else { return }
        throw .failed(
            "etcd holds \(keys.base) in its v2 store, and the v3 API is all that is spoken here: stop every member "
                + "that uses the v2 store, remove the keys (etcdctl rm -r \(keys.base) with ETCDCTL_API=2), or choose "
                + "another scope or namespace, and start again")
    }

    public func adopt(ttl: Duration, loopWait: Duration, retryTimeout: Duration) async {
        if ttl != self.ttl { lease = nil }
        self.ttl = ttl
        self.loopWait = loopWait
        client.adopt(Self.keepalive(ttl, loopWait, retryTimeout))
        await transport.adopt(ttl: ttl, retryTimeout: retryTimeout)
        await watch.adopt(loopWait: loopWait, retryTimeout: retryTimeout)
    }

    public func close() async {
        watching?.cancel()
        watched.leave(allBut: nil)
        await transport.close()
        queue.finish()
    }

    /// The socket options of dcs.md §5.8.
    static func keepalive(_ ttl: Duration, _ loopWait: Duration, _ retryTimeout: Duration) -> KeepaliveOptions {
        let idle = loopWait + retryTimeout
        return KeepaliveOptions(
            idle: idle, interval: max(.seconds(1), (ttl - idle) / 3), count: 3, userTimeout: ttl)
    }

    // MARK: Reading

    public func load(deadline: BootInstant) async throws(DCSError) -> ClusterView {
        let range: EtcdRange
        do throws(EtcdError) {
            let answer = try await transport.call(
                "/kv/range", EtcdMessages.range(prefix: keys.prefix), deadline: deadline)
            guard let reply = EtcdRange(answer.value) else { throw .malformed("the answer to a range has no header") }
            range = reply
        } catch {
            throw DCSError(error)
        }
        await watch.noteLoaded(newest: range.pairs.map(\.revision).max() ?? 0)
        await transport.refreshTopologyIfStale()
        let entries = range.pairs.compactMap { pair in
            keys.leaf(pair.key).map {
                StoredEntry(leaf: $0, value: pair.value, revision: pair.revision, session: pair.lease)
            }
        }
        let view = ClusterView(entries: entries, revision: range.header.revision) { try? JSON.parse($0) }
        if view.leaderName != name { retireDoubtful() }
        return view
    }
}

extension DCSError {
    init(_ error: EtcdError) {
        switch error {
        case .gateway(let gateway):
            switch gateway.kind {
            case .authFailed, .permissionDenied, .invalidAuthToken, .userEmpty: self = .unauthorized(gateway.message)
            case .leaseNotFound, .authOldRevision, .authNotEnabled, .deadlineExceeded, .failedPrecondition,
                .unavailable, .other:
                self = .failed(gateway.message)
            }
        case .transport(.tooLarge, _), .malformed, .unsupportedVersion, .cancelled: self = .failed(error.description)
        case .transport, .staleNode, .exhausted: self = .unreachable(error.description)
        }
    }
}
