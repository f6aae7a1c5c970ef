import ClusterModel
import HTTPClient
import JSON
import Logging
import Ports
import Posix

/// Follows every change below the cluster's prefix (dcs.md §5.6), over any number of connections: an event is told
/// once, in its order, and none is left out; where that cannot be kept the reader is told to read everything.
actor EtcdWatch {
    private let transport: EtcdTransport
    private let watched: WatchedStream
    private let keys: EtcdKeys
    private let queue: EventQueue
    private let changes: WatchedChanges
    private let logger: Logger
    private var position = WatchPosition()
    private var lag = WatchLag()
    private var retryTimeout: Duration
    private var loopWait: Duration
    /// Streams in a row that could not be opened or did not last.
    private var failures = 0
    private var openedAt: BootInstant?
    /// The last stream did not live and another was opened at once all the same: not twice in a row.
    private var hasHurried = false
    private var jitter = JitterSource(seed: UInt64(bitPattern: BootClock.now().nanoseconds))

    init(
        _ configuration: EtcdConfiguration, _ keys: EtcdKeys, transport: EtcdTransport, watched: WatchedStream,
        queue: EventQueue, changes: WatchedChanges, logger: Logger
    ) {
        self.transport = transport
        self.watched = watched
        self.keys = keys
        self.queue = queue
        self.changes = changes
        self.logger = logger
        retryTimeout = configuration.retryTimeout
        loopWait = configuration.loopWait
    }

    func adopt(loopWait: Duration, retryTimeout: Duration) {
        self.loopWait = loopWait
        self.retryTimeout = retryTimeout
    }

    /// A read has seen a key of revision `newest`. A watch that does not bring it within loop_wait is opened again.
    func noteLoaded(newest: Revision) {
        if lag.observe(newest: newest, told: position.told, at: BootClock.now(), limit: loopWait) {
            logger.warning("the watch on etcd is behind revision \(newest); it is opened again")
            watched.leave(allBut: nil)
        }
    }

    /// Until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do throws(EtcdError) {
                try await settle()
                try await follow()
            } catch {
                if Task.isCancelled { break }
                await recover(from: error)
            }
        }
        queue.finish()
    }

    /// How long opening may take. Short at first, so that an outage is told soon; a server that is slow gets more.
    private var patience: Duration { failures < 3 ? max(retryTimeout / 3, .milliseconds(300)) : retryTimeout }

    /// Makes sure that there is a place to follow from.
    private func settle() async throws(EtcdError) {
        position.enter(await transport.life)
        if position.told != nil { return }
        changes.lose()
        let body = EtcdMessages.range(prefix: keys.prefix, countOnly: true)
        let answer = try await transport.call(
            EtcdTransport.rangePath, body, deadline: BootClock.now() + patience
        ) { EtcdRange($0) }
        position.start(at: answer.value.header.revision, life: answer.life)
        changes.begin(after: answer.value.header.revision, life: answer.life)
        queue.push(.resynchronized)
    }

    private func loseTrack() {
        position.lose()
        changes.lose()
    }

    /// Reads one stream to its end, which is always an error.
    private func follow() async throws(EtcdError) {
        guard let next = position.next else { return }
        let body = EtcdMessages.watch(prefix: keys.prefix, from: next)
        let stream = try await transport.openWatch(body, deadline: BootClock.now() + patience)
        defer { stream.cancel() }
        let source = watched.source
        var splitter = JSONDocumentSplitter(limit: EtcdTransport.bodyLimit)
        while true {
            let bytes: [UInt8]?
            do throws(HTTPClientError) {
                bytes = try await stream.next()
            } catch {
                throw .transport(error, endpoint: source)
            }
            guard let bytes else { throw .transport(.interrupted("the server ended the watch"), endpoint: source) }
            let documents: [[UInt8]]
            do throws(JSONDocumentSplitter.Failure) {
                documents = try splitter.push(bytes)
            } catch {
                throw .malformed("\(source): \(error)")
            }
            for document in documents { try await take(document, from: source) }
        }
    }

    private func take(_ document: [UInt8], from source: String) async throws(EtcdError) {
        guard let object = (try? JSON.parse(bytes: document))?.object else {
            throw .malformed("\(source): a document of the watch is not JSON")
        }
        if object["error"] != nil, let error = GatewayError(object) { throw .gateway(error) }
        guard let reply = EtcdWatchReply(object) else {
            throw .malformed("\(source): a document of the watch is neither a result nor an error")
        }
        if try await transport.learn(reply.header, of: source) != position.life {
            throw .unusable("\(source): the store's memory is another")
        }
        switch reply.content {
        case .created: openedAt = BootClock.now()
        case .progress(let revision): position.progress(to: revision)
        case .events(let events):
            let news = position.take(events)
            changes.note(news)
            if !news.isEmpty { failures = 0 }
            tell(news)
        case .compacted(let revision):
            loseTrack()
            throw .unusable("the changes up to revision \(revision) have been compacted away")
        case .cancelled(let reason): throw .gateway(GatewayError(cancelReason: reason))
        }
    }

    private func tell(_ events: [EtcdEvent]) {
        for event in events {
            guard let leaf = keys.leaf(event.key) else { continue }
            let value = event.value.map { DCSValue($0, of: leaf) }
            queue.push(.changed(leaf: leaf, value: value, revision: event.revision))
        }
    }

    /// The first failure after a stream that lived is answered by opening another at once; only one that follows upon
    /// it is an outage worth telling.
    private func recover(from error: EtcdError) async {
        let hasLived = openedAt.map { BootClock.now() - $0 > .seconds(1) } ?? false
        if hasLived { failures = 0 }
        openedAt = nil
        failures += 1
        if error.discreditsEndpoint { await transport.avoid(watched.source) }
        if error.recovery == .reauthenticate { await transport.forgetToken() }
        logger.debug("the watch on etcd ended: \(error)")
        if failures == 1, hasLived || !hasHurried {
            hasHurried = !hasLived
            return
        }
        hasHurried = false
        if failures == 2 { queue.push(.disconnected(error.description)) }
        // The only error here is cancellation, which the loop sees by itself.
        try? await Task.sleep(
            for: RetryPause.length(round: max(0, failures - 2), jitter: jitter.next(), retryTimeout: retryTimeout))
    }
}
