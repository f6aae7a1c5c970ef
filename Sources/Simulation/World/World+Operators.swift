import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    /// What people do to a cluster.
    mutating func operate(_ action: Fault.Kind) {
        switch action {
        case .switchover(let target): requestSwitchover(to: target)
        case .failover(let target): requestFailover(to: target)
        case .pause:
            configuration.isPaused = true
            writeConfiguration()
        case .editTTL(let seconds):
            configuration.ttl = seconds
            writeConfiguration()
        case .editMaximumLag(let bytes):
            configuration.maximumLag = bytes
            writeConfiguration()
        case .editSynchronous(let synchronous):
            guard storeIsDown == 0 else { return }
            coverage.count(.modeChanged)
            if synchronous.mode == .off { promiseNothing() }
            configuration.synchronous = synchronous
            writeConfiguration()
        case .restartPostgreSQL(let node): restartByHand(node)
        case .restartDaemon(let node):
            guard nodes[node].machine != nil else { return }
            queue.add(.deliver(node: node, incarnation: nodes[node].incarnation, .shutdownRequested), at: now)
        case .reinitialise(let node): reinitialise(node)
        case .rollingRestart: requestRollingRestart()
        case .followElsewhere: followElsewhere()
        case .killNode, .killPostgreSQL, .killDaemon, .freezeDaemon, .suspendHost, .hangPostgreSQL, .stallDisk,
            .hangCheckpointer,
            .slowOperations, .blockOperations, .stepClock, .starveDaemon, .removeDirectory, .failStarts,
            .crashPromotions, .killGuardian, .deafenGuardian,
            .lateRequests, .spoilKey, .isolateFromStore, .loseAnswers, .partition, .isolate, .slowReplication,
            .slowReplay, .storeOutage, .storeElection, .fillStore,
            .slowStore, .slowPeers, .lossyStore, .staleReads, .muteWatch,
            .repeatWatch, .compactWatch, .refusePromotions, .failCopies, .loseSite, .loseVoter, .freezeGuardian,
            .moveDirectory,
            .refuseRewinds, .fillConnections, .spoilEndpoint, .restoreStore, .forgetStore:
            break
        }
    }

    mutating func writeConfiguration() {
        // A tool waits for the store; ours comes in any case.
        store.put("config", .object(document))
        tellWatchers()
    }

    mutating func endPause() {
        awaitedFailover = nil
        configuration.isPaused = false
        writeConfiguration()
    }

    private mutating func requestSwitchover(to target: Int?) {
        guard let leader = store.leader?.text else { return }
        let name = target.map { self.name($0) }
        if name == leader { return }
        ask(FailoverRequest(leader: leader, candidate: name))
    }

    /// In a pause it is asked for when nobody leads: somebody else has not seen to it.
    private mutating func requestFailover(to target: Int) {
        if configuration.isPaused { awaitedFailover = target } else { ask(.init(leader: nil, candidate: name(target))) }
    }

    /// Of a standby, whatever else is true of it.
    mutating func askWhereNobodyLeads() {
        guard let target = awaitedFailover, store.leader == nil, storeIsDown == 0 else { return }
        let standbys = nodes.indices.filter { nodes[$0].postgreSQL.isStandby }
        guard let candidate = standbys.first(where: { $0 >= target }) ?? standbys.first else { return }
        awaitedFailover = nil
        ask(FailoverRequest(leader: nil, candidate: name(candidate)))
    }

    mutating func ask(_ request: FailoverRequest) {
        guard storeIsDown == 0 else { return }
        store.put("failover", .object(request.json))
        tellWatchers()
    }

    /// `pg_ctl restart`, of a server whose daemon knows nothing of it.
    private mutating func restartByHand(_ index: Int) {
        guard nodes[index].postgreSQL.process == .running, nodes[index].operation == nil, nodes[index].answers,
            nodes[index].stalled == 0
        else { return }
        let pid = nodes[index].postgreSQL.pid
        if nodes[index].postgreSQL.acceptsWrites { nodes[index].postgreSQL.log.append(1) }
        nodes[index].postgreSQL.endCleanly()
        reply(.postmasterExited(pid), to: index, nodes[index].incarnation, after: 0...2)
        queue.add(
            .startedByHand(node: index, era: nodes[index].postgreSQL.era),
            at: now + generator.milliseconds(in: 20...500))
    }

    /// The other half of a restart, unless the daemon was faster. Somebody who restarts a server knows that it leads.
    mutating func startByHand(_ index: Int, _ era: Int) {
        let server = nodes[index].postgreSQL
        let mayStart =
            server.isStandby || store.leader?.text == name(index) && nodes[index].enforced?.isValid(at: now) == true
        guard server.era == era, server.process == .down, server.isInitialized, nodes[index].operation == nil, mayStart
        else { return }
        pids += 1
        nodes[index].postgreSQL.pid = pids
        nodes[index].postgreSQL.process = .starting
        queue.add(.up(node: index, era: era), at: now + generator.milliseconds(in: 100...1000))
    }

    /// A standby's data directory is removed while everything on the node is down, and a primary is there to copy.
    private mutating func reinitialise(_ index: Int) {
        let hasSource = nodes.indices.contains { $0 != index && nodes[$0].commits && store.leader?.text == name($0) }
        guard hasSource, nodes[index].postgreSQL.isStandby, !nodes[index].postgreSQL.isPromoting,
            store.leader?.text != name(index)
        else { return }
        coverage.count(.reinitialised)
        nodes[index].isBeingReinitialised = true
        nodes[index].heldDown += 1
        endDaemon(index)
        nodes[index].operation = nil
        nodes[index].orphan = nil
        nodes[index].postgreSQL.isHalfMade = false
        nodes[index].postgreSQL.unfinished = nil
        if nodes[index].postgreSQL.process != .down { nodes[index].postgreSQL.crash() }
        nodes[index].hung = 0
        nodes[index].postgreSQL.isInitialized = false
        nodes[index].postgreSQL.isStandby = false
        nodes[index].postgreSQL.log = WriteAheadLog()
    }

    mutating func endReinitialisation(_ index: Int) {
        guard nodes[index].isBeingReinitialised else { return }
        nodes[index].isBeingReinitialised = false
        nodes[index].heldDown -= 1
        startDaemon(index)
    }
}
