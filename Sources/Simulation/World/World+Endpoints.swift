import ClusterModel
import HighAvailability
import Node
import Ports
import StoreRules

/// The store behind three endpoints, each of which may go or be another's, and its lives: it loses its memory, or is
/// set back to what a snapshot knew.
extension World {
    /// A request to the store that is on its way.
    struct SentRequest {
        var node: Int
        var incarnation: Int
        var sent: BootInstant
        var session: String?
        var request: StoreRequest
        /// By when the node wants an answer.
        var deadline: BootInstant
        /// The store's life in which it was sent, and the lowest revision that its answer may have.
        var life: Int
        var floor: StoreLife.Floor
        /// Its way through the endpoints; nil where all are well, and the first that is asked answers.
        var walk: Walk?
    }

    /// Few requests have one, and events are copied often.
    indirect enum Walk {
        case at(EtcdEndpoint?, limit: BootInstant, EndpointWalk)

        var endpoint: EtcdEndpoint? { if case .at(let endpoint, _, _) = self { endpoint } else { nil } }
    }

    /// What is wrong with the store's ends, and what becomes of its lives.
    struct StoreTroubles {
        var endpoints: [(endpoint: EtcdEndpoint, ailment: Fault.Ailment)] = []
        /// Backups that will be restored.
        var snapshots: [SimulatedStore.Snapshot] = []
        /// When its present life began; nil for the first.
        var lifeBegan: BootInstant?
        /// For how long each node took leases to be granted then.
        var ttls: [Duration] = []

        /// Whoever asks comes soon to an endpoint of the store's, and nobody takes another's for it.
        var isSlight: Bool { endpoints.count < 2 && endpoints.allSatisfy { $0.ailment != .otherCluster } }
    }

    // MARK: Faults

    mutating func beginTrouble(_ fault: Fault.Kind) {
        if case .spoilEndpoint(let number, let ailment) = fault {
            troubles.endpoints.append((SimulatedClient.configured[number], ailment))
        }
        if case .restoreStore = fault { troubles.snapshots.append(store.snapshot) }
        if case .forgetStore(let isSameCluster) = fault { beginLife(nil, isSameCluster) }
    }

    mutating func endTrouble(_ fault: Fault.Kind) {
        if case .spoilEndpoint(let number, let ailment) = fault {
            let known = troubles.endpoints
            guard
                let place = known.firstIndex(where: { $0 == (SimulatedClient.configured[number], ailment) })
            else { return }
            troubles.endpoints.remove(at: place)
        }
        if case .restoreStore(let isSameCluster) = fault, !troubles.snapshots.isEmpty {
            beginLife(troubles.snapshots.removeFirst(), isSameCluster)
        }
    }

    /// Only where every directory is whole: who has none, and has not known the cluster, begins another one in a store
    /// that knows nothing.
    private mutating func beginLife(_ snapshot: SimulatedStore.Snapshot?, _ isSameCluster: Bool) {
        guard snapshot != nil || isEveryDirectoryWhole else { return }
        coverage.count(snapshot == nil ? .storeForgot : .storeRestored)
        store.begin(with: snapshot, isSameCluster: isSameCluster, now)
        // Whoever restores it knows how the cluster is configured.
        if snapshot != nil { store.put("config", .object(document)) }
        // And whose it is: a backup of a key that somebody has spoilt is no use.
        if store.keys["initialize"] != nil { store.put("initialize", .text(clusterIdentifier)) }
        _ = store.takeChanges()
        (troubles.lifeBegan, troubles.ttls) = (now, nodes.map(\.ttl))
        for index in nodes.indices { nodes[index].disturbedAt = now }
        // What stood in it nobody knows any more.
        handedOver = nil
        (history, historyRevision, checkedRevision) = ([], 0, 0)
        if store.keys["initialize"] == nil { lostSite = LostSite(isJudged: false) }
    }

    /// All daemons have gone on in the store's present life, and whoever led in the one before has ended.
    var isStoreOfOneLife: Bool {
        guard let began = troubles.lifeBegan else { return true }
        return now - began > .seconds(2 * configuration.ttl + 30)
            && nodes.indices.allSatisfy { nodes[$0].machine == nil || clients[$0].follows == store.life }
    }

    /// A daemon begins: its client knows what an earlier one has left of the store's last life.
    mutating func beginClient(_ index: Int) {
        let mark = setup.bug == .lifeForgottenAtRestart ? nil : nodes[index].storeMark
        if let mark, mark.life != store.life { coverage.count(.lifeRemembered) }
        clients[index] = SimulatedClient(name(index), number: index, mark)
        clients[index].bug = setup.bug
        clients[index].begin(at: store.revision)
    }

    /// What the next daemon is to know of the store is written beside the directory, where the disk lets it.
    mutating func keepMark(_ index: Int) {
        guard nodes[index].stalled == 0, let mark = clients[index].newMark(at: now) else { return }
        nodes[index].storeMark = mark
    }

    /// The client's own refusal: of a store that was set back, and has grown since, nobody takes the key before who led
    /// has ended.
    mutating func refusedUnsettled(_ sent: SentRequest) -> StoreAnswer? {
        let (hasValidLease, refusal): (Bool, StoreAnswer)
        switch sent.request {
        case .acquire: (hasValidLease, refusal) = (false, .acquired(.success(.refused)))
        case .renew(_, let replacingGone): (hasValidLease, refusal) = (replacingGone, .renewed(.success(.refused)))
        case .load, .refresh, .release, .write, .delete, .touch: return nil
        }
        guard clients[sent.node].holdsBackClaims(withValidLease: hasValidLease, at: now) else { return nil }
        coverage.count(.regrowthAwaited)
        return refusal
    }

    // MARK: The way of a request

    /// Where all is well the first endpoint answers; else the client goes its way.
    mutating func sendOff(_ sent: SentRequest) {
        if troubles.endpoints.isEmpty, clients[sent.node].expects(store.life) {
            return dispatch(sent)
        }
        var sent = sent
        let retryTimeout = nodes[sent.node].published?.snapshot.settings.timings.retryTimeout ?? .seconds(10)
        sent.walk = .at(
            nil, limit: sent.deadline, EndpointWalk(deadline: sent.deadline, retryTimeout: retryTimeout))
        goOn(sent)
    }

    /// The next endpoint, or the next round, or the end.
    mutating func goOn(_ sent: SentRequest) {
        var sent = sent
        guard case .at(let last, let limit, var way)? = sent.walk else {
            return fail(sent, "the connection was lost", at: sent.deadline)
        }
        switch clients[sent.node].next(&way, at: now) {
        case .ask(let endpoint, let limit):
            sent.walk = .at(endpoint, limit: limit, way)
            (sent.sent, sent.life, sent.floor) = (now, store.life, clients[sent.node].floor)
            ask(endpoint, sent, until: limit)
        case .pause(let pause):
            sent.walk = .at(last, limit: limit, way)
            queue.add(.attempt(sent, nil), at: now + pause)
        case .exhausted: endInVain(sent, "no endpoint answered in time")
        }
    }

    private mutating func ask(_ endpoint: EtcdEndpoint, _ sent: SentRequest, until limit: BootInstant) {
        guard !isUnreachable(sent.node),
            let ailment = troubles.endpoints.first(where: { $0.endpoint == endpoint })?.ailment
        else { return dispatch(sent) }
        switch ailment {
        case .silent: queue.add(.attempt(sent, .silence(mayHaveBeenSent: true)), at: limit)
        case .closed: fails(sent, .silence(mayHaveBeenSent: false))
        case .page: fails(sent, .nonsense)
        case .notFound: fails(sent, .error(GatewayError(message: "Not Found", code: 5)))
        case .internalError: fails(sent, .error(GatewayError(message: "internal error", code: 13)))
        case .otherCluster: askElsewhere(sent)
        }
    }

    private mutating func fails(_ sent: SentRequest, _ failure: AttemptFailure) {
        queue.add(.attempt(sent, failure), at: now + generator.milliseconds(in: 1...8))
    }

    /// An attempt has come to nothing, or a pause to its end.
    mutating func goOn(_ sent: SentRequest, after failure: AttemptFailure?) {
        let index = sent.node
        guard nodes[index].incarnation == sent.incarnation else { return }
        if nodes[index].isFrozen { return nodes[index].deferred.append(.attempt(sent, failure)) }
        if let failure {
            if clients[index].isFinal(failure) { return endInVain(sent, "the endpoint refuses") }
            count(failure)
        }
        goOn(sent)
    }

    private mutating func count(_ failure: AttemptFailure) {
        switch failure {
        case .silence: coverage.count(.endpointSilent)
        case .error, .nonsense, .tooOld: coverage.count(.nonsenseLeft)
        case .stale: break
        }
    }

    /// An empty cluster, which lets us read and not write.
    private mutating func askElsewhere(_ sent: SentRequest) {
        let header = StoreHeader(clusterID: "elsewhere", raftTerm: 9, revision: 7)
        if refuses(header, sent) {
            coverage.count(.foreignRefused)
            return fails(sent, .stale)
        }
        if clients[sent.node].follows != -1 { _ = clients[sent.node].follow(-1, at: 7) }
        clients[sent.node].succeeded(sent.walk?.endpoint)
        var nothing = ClusterView(revision: 7)
        nothing.life = clients[sent.node].livesSeen
        let answer: StoreAnswer =
            switch sent.request {
            case .load, .refresh: .loaded(.success(nothing))
            case .renew, .acquire, .release, .write, .delete, .touch:
                sent.request.failed(.unauthorized("etcdserver: permission denied"))
            }
        reply(.store(answer), to: sent.node, sent.incarnation, after: 2...8)
    }

    private mutating func refuses(_ header: StoreHeader, _ sent: SentRequest) -> Bool {
        let ttl = nodes[sent.node].ttl
        let verdict = clients[sent.node].learn(header, floor: sent.floor, at: now, ttl: ttl)
        return if case .stale = verdict { true } else { false }
    }

    /// The store is asked: false where it is not the one that the client knows, which goes on to the next endpoint.
    mutating func isKnown(_ sent: SentRequest) -> Bool {
        if refuses(store.header, sent) {
            coverage.count(.lifeRefused)
            fails(sent, .stale)
            return false
        }
        let index = sent.node
        clients[index].succeeded(sent.walk?.endpoint)
        defer { keepMark(index) }
        if clients[index].follows == store.life { return true }
        let isFirst = clients[index].follows == nil
        noteTrust(index)
        if clients[index].follow(store.life, at: store.revision) { resumeWatch(index) }
        if !isFirst {
            coverage.count(.lifeTaken)
            note("\(name(index)): this is the store from now on, whose memory is another")
        }
        return true
    }

    // MARK: Checks

    /// Who asks in vain although an endpoint is well does not lead, and does not follow.
    private mutating func endInVain(_ sent: SentRequest, _ why: String) {
        let index = sent.node
        fail(sent, why, at: now)
        guard !isUnreachable(index), storeDelays.isEmpty, isStoreFaithful, clients[index].follows == store.life
        else { return clients[index].unanswered = nil }
        // One call in vain tells nothing of how long: the daemon may have been frozen until it read the answer.
        let calls = (clients[index].unanswered?.calls ?? 0) + 1
        let since = clients[index].unanswered?.since ?? now
        clients[index].unanswered = (calls, since)
        if calls > 2, now - since > .seconds(40) {
            violate(.progress, "\(name(index)) has asked in vain for \((now - since).inSeconds) s: an endpoint is well")
        }
    }

    /// A watch that tells nothing of a store which answers is found out.
    mutating func checkWatch(_ index: Int) {
        guard let untold = clients[index].untold, clients[index].follows == store.life else { return }
        if untold.count >= 10, now - untold.since > .seconds(20) {
            violate(.progress, "the watch of \(name(index)) has told none of \(untold.count) changes")
        }
    }

    /// S4: a lease of the store's former life counts until it ends, and nobody leads beside it. A node that has been
    /// away since before what the store was set back to cannot know of it, and one that has not seen a ttl that was
    /// raised cannot wait for that; nor can one that `/failsafe` did not name know for how long its members let
    /// somebody lead, when the store has forgotten that, too: there the story ends.
    mutating func checkFormerLease(_ index: Int) {
        guard troubles.lifeBegan != nil else { return }
        for other in nodes.indices where other != index {
            guard let published = nodes[other].published, let lease = published.snapshot.lease, lease.isValid(at: now),
                isOfFormerLife(lease) || published.leadsByPromises(at: now)
            else { continue }
            let isOutside = published.leadsByPromises(at: now) && published.snapshot.names(name(index)) != true
            if nodes[index].records.couldNotTell == store.life || lease.ttl > troubles.ttls[index] || isOutside {
                coverage.count(.lifeUnknowable)
                chapter = .done
                return
            }
            if !isOfFormerLife(lease) { continue }
            violate(
                .S4, "\(name(index)) takes the key while \(name(other)) leads by the store's former life")
        }
    }

    /// Its client goes on in a life that is new to it. What stands on its disk is no older than that, or says nothing.
    private mutating func noteTrust(_ index: Int) {
        guard clients[index].livesSeen == 0, store.life > 0 else { return }
        let (mark, header) = (nodes[index].storeMark?.mark, store.header)
        let couldTell =
            mark.map { mark in
                mark.clusterID != header.clusterID || mark.term > header.raftTerm || mark.revision > header.revision
            } ?? false
        nodes[index].records.couldNotTell = couldTell ? nil : store.life
    }

    /// The store that has granted it has forgotten it.
    func isOfFormerLife(_ lease: Lease) -> Bool { troubles.lifeBegan.map { lease.since <= $0 } ?? false }
}

extension NodeSnapshot {
    /// Whether `/failsafe`, as this node knows it, names `member`; nil where it knows none.
    fileprivate func names(_ member: String) -> Bool? { view?.failsafe.map { $0.keys.contains(member) } }
}
