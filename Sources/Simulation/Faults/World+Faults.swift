import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    mutating func begin(_ fault: Fault.Kind) {
        // Fault and all are spelled by reflection.
        if setup.traces { note("FAULT: \(fault)") }
        disturb(fault)
        switch fault {
        case .killNode(let node): killNode(node)
        case .loseSite, .loseVoter: fault == .loseSite ? loseSite() : loseVoter()
        case .killPostgreSQL(let node): killPostgreSQL(node)
        case .killDaemon(let node):
            nodes[node].heldDown += 1
            endDaemon(node)
        case .freezeDaemon(let node): nodes[node].frozen += 1
        case .suspendHost(let node): nodes[node].suspended += 1
        case .hangPostgreSQL(let node):
            if nodes[node].postgreSQL.process == .running { nodes[node].hung += 1 }
        case .hangCheckpointer(let node, let inKernel): hangCheckpointer(node, inKernel: inKernel)
        case .stallDisk(let node):
            nodes[node].stalled += 1
            nodes[node].stalledSince = nodes[node].stalledSince ?? now
        case .slowOperations(let node): nodes[node].slow += 1
        case .blockOperations(let node): nodes[node].blocked += 1
        case .starveDaemon, .removeDirectory, .failStarts, .killGuardian, .deafenGuardian, .lateRequests, .spoilKey,
            .refusePromotions, .failCopies, .crashPromotions, .freezeGuardian, .moveDirectory, .refuseRewinds,
            .fillConnections:
            beginGround(fault)
        case .stepClock(let node, let seconds): nodes[node].wallOffset += Int64(seconds) * 1_000_000_000
        case .isolateFromStore(let node): nodes[node].cutFromStore += 1
        case .loseAnswers(let node): nodes[node].losesAnswers += 1
        case .partition(let left, let right): cuts.append([left, right])
        case .isolate(let node):
            nodes[node].cutFromStore += 1
            for other in nodes.indices where other != node { cuts.append([node, other]) }
        case .slowReplication(let node, let milliseconds):
            nodes[node].replicationFaults.append(.milliseconds(milliseconds))
        case .slowReplay(let node, let milliseconds): nodes[node].replayFaults.append(.milliseconds(milliseconds))
        case .storeOutage, .storeElection: storeIsDown += 1
        case .fillStore: storeIsFull += 1
        case .slowStore(let milliseconds): storeDelays.append(.milliseconds(milliseconds))
        case .slowPeers(let milliseconds): slowPeers.append(.milliseconds(milliseconds))
        case .lossyStore(let oneIn): lossyStore.append(oneIn)
        case .staleReads(let node, let milliseconds): nodes[node].staleness.append(.milliseconds(milliseconds))
        case .spoilEndpoint, .restoreStore, .forgetStore: beginTrouble(fault)
        case .muteWatch(let node): nodes[node].muted += 1
        case .repeatWatch(let node): nodes[node].repeats += 1
        case .compactWatch(let node): nodes[node].compacted += 1
        case .switchover, .failover, .pause, .editTTL, .editMaximumLag, .editSynchronous, .restartPostgreSQL,
            .restartDaemon, .reinitialise, .rollingRestart, .followElsewhere:
            operate(fault)
        }
    }

    mutating func heal(_ fault: Fault) {
        disturb(fault.kind)
        switch fault.kind {
        case .killNode(let node), .killDaemon(let node):
            nodes[node].heldDown -= 1
            startDaemon(node)
        case .freezeDaemon(let node):
            nodes[node].frozen -= 1
            thaw(node)
        case .suspendHost(let node):
            nodes[node].suspended -= 1
            // What is due for the guardian comes before any session's next commit.
            if nodes[node].suspended == 0 {
                endElder(node)
                guardianLooks(node)
            }
            thaw(node)
        case .loseSite: bringSiteBack()
        case .loseVoter: bringLeaderBack()
        case .hangPostgreSQL(let node): letGo(node)
        case .stallDisk(let node): unstall(node)
        case .slowOperations(let node): nodes[node].slow -= 1
        case .blockOperations(let node): nodes[node].blocked -= 1
        case .starveDaemon, .failStarts, .killGuardian, .deafenGuardian, .lateRequests, .spoilKey, .refusePromotions,
            .failCopies, .crashPromotions, .slowPeers, .hangCheckpointer, .freezeGuardian, .fillConnections:
            healGround(fault.kind)
        case .isolateFromStore, .loseAnswers, .staleReads, .muteWatch, .repeatWatch, .compactWatch:
            healSight(fault.kind)
        case .partition(let left, let right): mend([left, right])
        case .isolate(let node): rejoin(node)
        case .slowReplication(let node, let milliseconds):
            nodes[node].replicationFaults.forget(.milliseconds(milliseconds))
        case .slowReplay(let node, let milliseconds): nodes[node].replayFaults.forget(.milliseconds(milliseconds))
        case .storeOutage, .storeElection: restoreStore(after: fault.lasts)
        case .fillStore: storeIsFull -= 1
        case .spoilEndpoint, .restoreStore: endTrouble(fault.kind)
        case .slowStore(let milliseconds): storeDelays.forget(.milliseconds(milliseconds))
        case .lossyStore(let oneIn): lossyStore.forget(oneIn)
        case .pause: endPause()
        case .followElsewhere: followNobody()
        case .reinitialise(let node): endReinitialisation(node)
        case .forgetStore, .killPostgreSQL, .stepClock, .removeDirectory, .moveDirectory, .refuseRewinds, .switchover,
            .failover,
            .editTTL, .editMaximumLag, .editSynchronous, .restartPostgreSQL, .restartDaemon, .rollingRestart:
            return
        }
        if setup.traces { note("HEALED: \(fault.kind)") }
    }

    /// What a node sees of the store.
    private mutating func healSight(_ fault: Fault.Kind) {
        if case .isolateFromStore(let node) = fault { reconnect(node) }
        if case .loseAnswers(let node) = fault { nodes[node].losesAnswers -= 1 }
        if case .staleReads(let node, let milliseconds) = fault {
            nodes[node].staleness.forget(.milliseconds(milliseconds))
        }
        if case .repeatWatch(let node) = fault { nodes[node].repeats -= 1 }
        if case .muteWatch(let node) = fault {
            nodes[node].muted -= 1
            resumeWatch(node)
        }
        if case .compactWatch(let node) = fault {
            nodes[node].compacted -= 1
            resumeWatch(node)
        }
    }

    /// While something is wrong with a node, or just was, the rules that speak of undisturbed ones say nothing of it.
    private mutating func disturb(_ fault: Fault.Kind) {
        for index in nodes.indices { nodes[index].leftAloneUntil = nil }
        switch fault {
        case .slowReplication, .slowReplay, .fillConnections: break
        // Also what was said meanwhile is on its way for a while.
        case .isolate, .spoilKey, .slowPeers, .loseSite, .loseVoter:
            for index in nodes.indices { nodes[index].disturbedAt = now }
        case .killNode, .killPostgreSQL, .killDaemon, .freezeDaemon, .suspendHost, .hangPostgreSQL, .stallDisk,
            .hangCheckpointer,
            .slowOperations, .blockOperations, .stepClock, .starveDaemon, .removeDirectory, .failStarts, .killGuardian,
            .deafenGuardian, .freezeGuardian, .moveDirectory, .refuseRewinds, .refusePromotions,
            .failCopies, .crashPromotions,
            .lateRequests, .isolateFromStore, .loseAnswers, .partition, .storeOutage, .storeElection,
            .fillStore, .slowStore, .lossyStore, .staleReads, .muteWatch, .repeatWatch, .compactWatch, .switchover,
            .spoilEndpoint, .restoreStore, .forgetStore, .failover, .pause, .editTTL, .editMaximumLag, .editSynchronous,
            .restartPostgreSQL, .restartDaemon,
            .reinitialise, .rollingRestart, .followElsewhere:
            for index in fault.nodes { nodes[index].disturbedAt = now }
        }
    }

    /// A server that was killed while it hung ends now.
    private mutating func letGo(_ index: Int) {
        nodes[index].hung = max(0, nodes[index].hung - 1)
        if nodes[index].isDoomed, nodes[index].hung == 0 { killPostgreSQL(index) }
    }

    private mutating func unstall(_ index: Int) {
        nodes[index].stalled -= 1
        if nodes[index].stalled == 0 { nodes[index].stalledSince = nil }
    }

    private mutating func reconnect(_ index: Int) {
        nodes[index].cutFromStore -= 1
        resumeWatch(index)
    }

    private mutating func mend(_ pair: Set<Int>) { cuts.forget(pair) }

    private mutating func rejoin(_ index: Int) {
        for other in nodes.indices where other != index { mend([index, other]) }
        reconnect(index)
    }

    private mutating func thaw(_ index: Int) {
        if nodes[index].isFrozen { return }
        let waiting = nodes[index].deferred
        nodes[index].deferred = []
        for event in waiting { queue.add(event, at: now) }
    }

    private mutating func restoreStore(after lasted: Duration) {
        storeIsDown -= 1
        guard storeIsDown == 0 else { return }
        storeCameBack = now
        store.elect(now)
        if lasted > .seconds(5), nodes.contains(where: { $0.commits }) { coverage.count(.outageSurvived) }
    }

    mutating func killNode(_ index: Int) {
        noteCandidate(index)
        nodes[index].heldDown += 1
        endDaemon(index)
        killServer(index)
    }

    /// The process and what was being done to it.
    private mutating func killServer(_ index: Int) {
        if let operation = nodes[index].operation?.operation, case .clone(_, let replaced, _) = operation,
            !staysUntilCopied(replaced, index)
        {
            nodes[index].postgreSQL.isInitialized = false
        }
        nodes[index].operation = nil
        nodes[index].orphan = nil
        nodes[index].records.elder = nil
        if nodes[index].postgreSQL.process != .down { nodes[index].postgreSQL.crash() }
        nodes[index].hung = 0
    }

    private mutating func noteCandidate(_ index: Int) {
        let isHandingOver = nodes.indices.contains { other in
            other != index && nodes[other].published?.snapshot.running?.plan.kind == .handOver
        }
        if isHandingOver || store.failover?["member"]?.string == name(index) {
            coverage.count(.candidateDied)
        }
    }

    private mutating func killPostgreSQL(_ index: Int) {
        guard nodes[index].postgreSQL.process != .down else { return }
        let pid = nodes[index].postgreSQL.pid
        crash(index)
        reply(.postmasterExited(pid), to: index, nodes[index].incarnation, after: 0...2)
    }
}

extension Array where Element: Equatable {
    mutating func forget(_ element: Element) {
        if let index = firstIndex(of: element) { remove(at: index) }
    }
}
