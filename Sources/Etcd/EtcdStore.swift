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
        /// The raft term in which one member alone prolonged it; nil where a quorum has granted it.
        var term: UInt64?
        /// The store's revision and its life where the lease was last prolonged; nil where it was not yet.
        var seen: Seen?

        struct Seen: Sendable, Hashable {
            let revision: Revision
            let life: Int
        }
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
    /// Sessions that are not used any more, so that a late claim under them leads nowhere; ended when our member key
    /// has moved to another.
    var retired: [String] = []
    /// Those of them that etcd has ended.
    var ended: Set<String> = []
    /// Our member key as we last wrote it: callers may have seen an older one.
    var ownMember: Member?
    /// The life of the store that it was written in.
    private var life = 0
    /// Where a refresh has prolonged the lease: the renewal after it need not do so again, once.
    var refreshedAt: BootInstant?
    /// The cluster's keys as they were last read.
    private var known: KnownRange?
    private(set) var ttl: Duration
    private(set) var loopWait: Duration

    private let client: HTTPClient
    private let watch: EtcdWatch
    private let queue: EventQueue
    private let watched: WatchedStream
    private let changes: WatchedChanges
    private var watching: Task<Void, Never>?
    private let mayHoldVersionTwo: Bool

    /// A store that has not yet connected. Throws where its thread cannot be started.
    public init(
        _ configuration: EtcdConfiguration, marks: StoreMarkFile? = nil, logger: Logger = Logger(label: "etcd")
    ) throws(SystemError) {
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
        let transport = EtcdTransport(
            configuration, client: client, watched: watched, marks: marks, logger: logger)
        let queue = EventQueue()
        let changes = WatchedChanges()
        self.keys = keys
        self.client = client
        self.watched = watched
        self.transport = transport
        self.queue = queue
        self.changes = changes
        self.logger = logger
        events = queue.stream
        watch = EtcdWatch(
            configuration, keys, transport: transport, watched: watched, queue: queue, changes: changes, logger: logger)
        name = configuration.name
        ttl = configuration.ttl
        loopWait = configuration.loopWait
        mayHoldVersionTwo = configuration.mayHoldVersionTwo
    }

    deinit {
        watching?.cancel()
        client.shutdown()
    }

    // MARK: Life

    /// Finds out version and members, logs in, and starts the watch.
    public func start(deadline: BootInstant) async throws(DCSError) {
        do throws(EtcdError) {
            // Asks for a permission that everything else needs; and a quorum stands behind the answer, by which a store
            // of another life is known.
            _ = try await transport.call(
                EtcdTransport.rangePath, EtcdMessages.range(prefix: keys.prefix, countOnly: true), deadline: deadline
            ) { EtcdRange($0) }
            try await transport.discover(deadline: deadline)
        } catch {
            throw DCSError(error)
        }
        if watching == nil {
            let watch = watch
            watching = Task { await watch.run() }
        }
    }

    /// The scope in etcd's v2 store as well: one daemon on each would be two leaders.
    public func obstacle(deadline: BootInstant) async throws(DCSError) -> String? {
        mayHoldVersionTwo ? try await versionTwoData(deadline: deadline) : nil
    }

    private func versionTwoData(deadline: BootInstant) async throws(DCSError) -> String? {
        let response: HTTPClientResponse
        do throws(EtcdError) {
            response = try await transport.get("/v2/keys" + keys.base, deadline: deadline)
        } catch {
            throw DCSError(error)
        }
        guard response.status == 200, let node = (try? JSON.parse(bytes: response.body))?["node"],
            node["nodes"]?.array?.isEmpty == false
        else { return nil }
        return "etcd holds \(keys.base) in its v2 store, and the v3 API is all that is spoken here: stop every member "
            + "that uses the v2 store, remove the keys (etcdctl rm -r \(keys.base) with ETCDCTL_API=2), or choose "
            + "another scope or namespace, and start again"
    }

    public func adopt(ttl: Duration, loopWait: Duration, retryTimeout: Duration) async {
        if ttl != self.ttl { lease = nil }
        self.ttl = ttl
        self.loopWait = loopWait
        client.adopt(Self.keepalive(ttl, loopWait, retryTimeout))
        await transport.adopt(ttl: ttl, retryTimeout: retryTimeout)
        await watch.adopt(loopWait: loopWait, retryTimeout: retryTimeout)
    }

    /// The name and the password were read again; nil is none.
    public func adopt(username: String?, password: String?) async {
        await transport.adopt(username: username, password: password)
    }

    public func close() async {
        watching?.cancel()
        watched.leave(allBut: nil)
        await transport.close()
        queue.finish()
    }

    /// The socket options of dcs.md §5.8.
    static func keepalive(_ ttl: Duration, _ loopWait: Duration, _ retryTimeout: Duration) -> KeepaliveOptions {
        let limits = LeaseArithmetic.keepalive(
            ClusterTimings(ttl: ttl, loopWait: loopWait, retryTimeout: retryTimeout))
        return KeepaliveOptions(
            idle: limits.idle, interval: limits.interval, count: limits.count, userTimeout: limits.userTimeout)
    }

    // MARK: Reading

    public func load(deadline: BootInstant) async throws(DCSError) -> ClusterView {
        let range: KnownRange
        // What is claimed while this is on its way, it says nothing of.
        let suspects = doubtful
        do throws(EtcdError) {
            range = try await read(deadline)
        } catch {
            throw DCSError(error)
        }
        await watch.noteLoaded(newest: range.pairs.map(\.revision).max() ?? 0)
        await transport.refreshTopologyIfStale()
        let view = view(of: range)
        if let leader = view.leader {
            await transport.see(leader: leader.revision, in: view.revision, of: view.life)
        }
        if view.leaderName != name { retireDoubtful(suspects) }
        return view
    }

    private func view(of range: KnownRange) -> ClusterView {
        let entries = range.pairs.compactMap { pair in
            keys.leaf(pair.key).map {
                StoredEntry(leaf: $0, value: pair.value, revision: pair.revision, session: pair.lease)
            }
        }
        var view = ClusterView(entries: entries, revision: range.revision) { try? JSON.parse($0) }
        view.life = range.life
        return view
    }

    public func refresh(_ view: ClusterView, deadline: BootInstant) async throws(DCSError) -> ClusterView {
        let now = BootClock.now()
        guard let lease, let known, known.revision == view.revision, !known.isDue(at: now) else {
            return try await load(deadline: deadline)
        }
        // A store that answers nothing here is asked as ever, and there is time for that.
        let kept = try? await keptAlive(lease, now + (deadline - now) / 3)
        refreshedAt = kept?.provenAt
        guard let kept, let seen = kept.seen, seen.life == known.life else { return try await load(deadline: deadline) }
        if seen.revision == known.revision { return view }
        guard let told = told(since: known, upTo: seen.revision, kept) else {
            return try await load(deadline: deadline)
        }
        return self.view(of: keep(told))
    }

    /// `known` with what the watch has told since, where that is all that the store has seen up to `revision`.
    private func told(since known: KnownRange, upTo revision: Revision, _ kept: Lease) -> KnownRange? {
        guard revision > known.revision, kept.term == known.term else { return nil }
        return changes.events(after: known.revision, upTo: revision, life: known.life)
            .flatMap { known.with($0, upTo: revision, keys) }
    }

    /// The cluster's keys: what has changed since they were last read, or all of them.
    private func read(_ deadline: BootInstant) async throws(EtcdError) -> KnownRange {
        if let known, !known.isDue(at: BootClock.now()) {
            let body = EtcdMessages.changes(prefix: keys.prefix, after: known.revision)
            let answer = try await transport.call(EtcdTransport.rangePath, body, deadline: deadline) { EtcdRange($0) }
            if let range = known.with(answer.value, life: answer.life) { return keep(range) }
        }
        let answer = try await transport.call(
            EtcdTransport.rangePath, EtcdMessages.range(prefix: keys.prefix), deadline: deadline
        ) { EtcdRange($0) }
        return keep(KnownRange(answer.value, life: answer.life, at: BootClock.now()))
    }

    /// Of two reads at once the later is kept.
    private func keep(_ range: KnownRange) -> KnownRange {
        if range.life > life {
            // Revisions of the life before mean nothing; a lease of it is found to be gone by itself.
            life = range.life
            ownMember = nil
        }
        let isNewer = known.map { $0.life < life || $0.revision <= range.revision } ?? true
        if range.life == life, isNewer { known = range }
        return range
    }
}

extension DCSError {
    init(_ error: EtcdError) {
        switch error {
        case .gateway(let gateway):
            switch gateway.kind {
            case .authFailed, .permissionDenied, .invalidAuthToken, .userEmpty: self = .unauthorized(gateway.message)
            case .leaseNotFound, .authOldRevision, .authNotEnabled, .tooManyRequests, .deadlineExceeded,
                .failedPrecondition, .unavailable, .other:
                self = .failed(gateway.message)
            }
        case .unusable, .cancelled: self = .failed(error.description)
        case .transport, .staleNode, .malformed, .unsupportedVersion, .leaderChanged, .exhausted:
            self = .unreachable(error.description)
        }
    }
}
