import ClusterModel
import HighAvailability
import Node
import Ports

/// What a cluster stands on, and how it gives way: files, guardians, keys, processors, and requests that come late.
extension World {
    mutating func beginGround(_ fault: Fault.Kind) {
        switch fault {
        case .starveDaemon(let node, let milliseconds): nodes[node].starvation.append(.milliseconds(milliseconds))
        case .removeDirectory(let node, let sessionsGoOn): removeDirectory(node, sessionsGoOn)
        case .failStarts(let node): nodes[node].failsStarts += 1
        case .crashPromotions(let node): nodes[node].crashesPromotions += 1
        case .killGuardian(let node): killGuardian(node)
        case .deafenGuardian(let node): if setup.guardian { nodes[node].deaf += 1 }
        case .lateRequests(let node, let milliseconds): nodes[node].lateness.append(.milliseconds(milliseconds))
        case .spoilKey(let leaf, let how): spoil(leaf, how)
        case .refusePromotions(let node, let hangs): nodes[node].refusals.append(hangs)
        case .failCopies(let node): nodes[node].failsCopies += 1
        case .freezeGuardian(let node): freezeGuardian(node)
        case .moveDirectory(let node): moveDirectory(node)
        case .refuseRewinds(let node): nodes[node].records.refusesRewinds = nodes[node].postgreSQL.isInitialized
        case .fillConnections(let node): nodes[node].records.full += 1
        case .killNode, .killPostgreSQL, .killDaemon, .freezeDaemon, .suspendHost, .hangPostgreSQL, .stallDisk,
            .hangCheckpointer, .slowOperations, .blockOperations, .stepClock, .isolateFromStore, .loseAnswers,
            .partition, .isolate,
            .slowReplication,
            .slowReplay, .storeOutage, .storeElection, .fillStore,
            .slowStore, .slowPeers, .lossyStore, .staleReads, .muteWatch,
            .repeatWatch,
            .compactWatch, .switchover, .failover, .pause, .editTTL, .editMaximumLag, .editSynchronous,
            .restartPostgreSQL,
            .restartDaemon, .reinitialise, .rollingRestart, .followElsewhere, .loseSite, .loseVoter, .spoilEndpoint,
            .restoreStore,
            .forgetStore:
            break
        }
    }

    mutating func healGround(_ fault: Fault.Kind) {
        switch fault {
        case .starveDaemon(let node, let milliseconds): nodes[node].starvation.forget(.milliseconds(milliseconds))
        case .failStarts(let node): nodes[node].failsStarts -= 1
        case .crashPromotions(let node): nodes[node].crashesPromotions -= 1
        case .killGuardian(let node), .deafenGuardian(let node): nodes[node].deaf = max(0, nodes[node].deaf - 1)
        case .lateRequests(let node, let milliseconds): nodes[node].lateness.forget(.milliseconds(milliseconds))
        case .spoilKey(let leaf, let how): unspoil(leaf, how)
        case .refusePromotions(let node, let hangs): nodes[node].refusals.forget(hangs)
        case .failCopies(let node): nodes[node].failsCopies -= 1
        case .freezeGuardian(let node): thawGuardian(node)
        case .fillConnections(let node): nodes[node].records.full -= 1
        case .hangCheckpointer(let node, _): letCheckpointerGo(node)
        case .slowPeers(let milliseconds): slowPeers.forget(.milliseconds(milliseconds))
        case .removeDirectory, .moveDirectory, .refuseRewinds, .killNode, .killPostgreSQL, .killDaemon, .freezeDaemon,
            .suspendHost, .hangPostgreSQL,
            .stallDisk, .slowOperations, .blockOperations, .stepClock, .isolateFromStore,
            .loseAnswers, .partition,
            .isolate,
            .slowReplication, .slowReplay, .storeOutage, .storeElection, .fillStore,
            .slowStore, .lossyStore,
            .staleReads,
            .muteWatch, .repeatWatch, .compactWatch, .switchover, .failover, .pause, .editTTL, .editMaximumLag,
            .editSynchronous,
            .restartPostgreSQL, .restartDaemon, .reinitialise, .rollingRestart, .followElsewhere, .loseSite, .loseVoter,
            .spoilEndpoint, .restoreStore, .forgetStore:
            break
        }
    }

    // MARK: Files

    /// Every other node has room for an old directory and its copy.
    func staysUntilCopied(_ replaced: PostgreSQLOperation.Replaced, _ index: Int) -> Bool {
        replaced == .last && index.isMultiple(of: 2)
    }

    /// Only where somebody else has all that may not be lost: who loses the only copy has lost it.
    private mutating func removeDirectory(_ index: Int, _ sessionsGoOn: Bool) {
        guard nodes[index].postgreSQL.isInitialized, nodes[index].operation == nil, !setup.isSynchronous,
            isStoreOfOneLife
        else { return }
        let mine = nodes[index].postgreSQL
        let isBacked = nodes.indices.contains { other in
            let theirs = nodes[other].postgreSQL
            if other == index || !theirs.isInitialized { return false }
            if !mine.acceptsWrites { return nodes[other].commits && store.leader?.text == name(other) }
            return isStreaming(other) && theirs.upstream == index && !setup.nofailover.contains(other)
        }
        // What is written until it ends is lost with it.
        guard isBacked, !mine.acceptsWrites || configuration.maximumLag >= 1_000_000 else { return }
        if mine.process != .down { coverage.count(.directoryLost) }
        nodes[index].postgreSQL.isInitialized = false
        nodes[index].postgreSQL.isHalfMade = false
        nodes[index].postgreSQL.unfinished = nil
        nodes[index].postgreSQL.sessionsGoOn = sessionsGoOn
        if mine.process == .down { nodes[index].postgreSQL.crash() }
    }

    mutating func failStart(_ index: Int, _ era: Int) {
        guard nodes[index].postgreSQL.era == era, nodes[index].postgreSQL.process == .starting else { return }
        coverage.count(.startRefused)
        let pid = nodes[index].postgreSQL.pid
        crash(index)
        reply(.postmasterExited(pid), to: index, nodes[index].incarnation, after: 0...2)
    }

    /// A server that somebody else has started meanwhile is started by nobody else: it goes on as it was told before.
    mutating func refuseStart(_ index: Int) {
        nodes[index].operation?.failed = true
        finish(after: 1...20, index)
    }

    /// What keeps PostgreSQL from starting (a full disk, WAL that does not come) keeps recovery from ending, too.
    mutating func failsPromotion(_ index: Int) -> Bool {
        guard nodes[index].failsStarts > 0 || nodes[index].crashesPromotions > 0 else { return false }
        nodes[index].failedPromotions += 1
        checkFailedPromotions(index)
        if nodes[index].crashesPromotions > 0 {
            let end = now + generator.milliseconds(in: 50...3000)
            queue.add(.promotionCrashes(node: index, era: nodes[index].postgreSQL.era), at: end)
            return true
        }
        coverage.count(.promotionFailed)
        nodes[index].operation?.failed = true
        finish(after: 500...8000, index)
        // What it was asked for it may do all the same, when nobody waits for it any more.
        if generator.oneIn(2) {
            let late = now + generator.milliseconds(in: 8000...60_000)
            queue.add(.promoted(node: index, era: nodes[index].postgreSQL.era), at: late)
        }
        return true
    }

    /// What is run at the end of recovery ends the server: the new timeline has its first record by then.
    mutating func crashPromoting(_ index: Int, _ era: Int) {
        guard nodes[index].postgreSQL.era == era, nodes[index].postgreSQL.isPromoting else { return }
        receive(index)
        coverage.count(.promotionCrashed)
        let branch = newBranch(index)
        promotedInVain.insert(branch)
        nodes[index].postgreSQL.log.begin(branch: branch, timeline: nodes[index].postgreSQL.log.timeline + 1)
        nodes[index].postgreSQL.log.append(1)
        let pid = nodes[index].postgreSQL.pid
        crash(index)
        reply(.postmasterExited(pid), to: index, nodes[index].incarnation, after: 0...2)
    }

    mutating func breakOff(_ index: Int) {
        coverage.count(.brokenOff)
        if nodes[index].postgreSQL.process != .down { nodes[index].postgreSQL.crash() }
        nodes[index].hung = 0
        nodes[index].operation?.isBrokenOff = true
        cancelOperation(index)
    }

    /// Of a bootstrap that failed, with its server.
    mutating func setAside(_ index: Int) {
        if nodes[index].postgreSQL.process != .down { crash(index) }
        finish(after: 1...10, index)
    }

    // MARK: The operator's commands

    /// `pre_promote`: it says yes, or no, or nothing at all until its time is over.
    mutating func askBeforePromotion(_ index: Int) {
        checkRefusal(index)
        guard let hangs = nodes[index].refusals.last else { return finish(after: 5...1500, index) }
        coverage.count(.promotionRefused)
        nodes[index].refusedAt = now
        nodes[index].operation?.failed = true
        let limit = Int(Self.prePromoteLimit.nanoseconds / 1_000_000)
        finish(after: hangs ? limit...limit : 5...1500, index)
    }

    // MARK: Guardians

    private mutating func killGuardian(_ index: Int) {
        guard setup.guardian else { return }
        nodes[index].deaf += 1
        nodes[index].records.frozenGuardian = 0
        let pid = nodes[index].postgreSQL.pid
        nodes[index].enforced = nil
        guard nodes[index].postgreSQL.process != .down else { return }
        crash(index)
        reply(.postmasterExited(pid), to: index, nodes[index].incarnation, after: 0...2)
    }

    // MARK: Processors

    /// A daemon that starves comes to its events one by one, and late.
    mutating func hasProcessor(_ index: Int, _ event: Event) -> Bool {
        if now < nodes[index].busyUntil {
            queue.add(event, at: nodes[index].busyUntil)
            return false
        }
        if let longest = nodes[index].starvation.max() {
            nodes[index].busyUntil =
                now + .milliseconds(1) + generator.milliseconds(in: 0...Int(longest.nanoseconds / 1_000_000))
        }
        return true
    }

    // MARK: Keys

    private func path(_ leaf: Fault.Leaf) -> String {
        switch leaf {
        case .config: "config"
        case .initialize: "initialize"
        case .status: "status"
        case .failover: "failover"
        case .member(let node): "members/\(name(node))"
        }
    }

    private mutating func spoil(_ leaf: Fault.Leaf, _ how: Fault.Spoiling) {
        guard storeIsDown == 0 else { return }
        coverage.count(.keySpoilt)
        // Without it nobody can know what was handed over.
        if leaf == .status { handedOver = nil }
        switch how {
        case .deleted: store.removeByHand(path(leaf))
        case .garbled: store.put(path(leaf), .text("{\"ttl\": \u{1}"))
        case .foreign: store.put(path(leaf), Self.foreign(leaf))
        }
        tellWatchers()
    }

    private static func foreign(_ leaf: Fault.Leaf) -> DCSValue {
        switch leaf {
        case .initialize: .text("7499999999999999999")
        case .config: .object(["ttl": 20, "loop_wait": "many"])
        case .status: .object(["optime": -1, "slots": 7])
        case .failover: .object(["leader": "other", "member": "another"])
        case .member: .object(["conn_url": "postgres://127.0.0.1:1/", "role": "primary", "state": "running"])
        }
    }

    private var storeKnowsNothing: Bool {
        ["initialize", "leader", "history", "status"].allSatisfy { store.keys[$0] == nil }
    }

    private mutating func unspoil(_ leaf: Fault.Leaf, _ how: Fault.Spoiling) {
        switch leaf {
        // From a store that keeps nothing else of the cluster a key that was deleted does not come back by itself:
        // whoever took it away is told so (needs_operator), and puts it back.
        case .initialize where how != .deleted || storeKnowsNothing:
            store.put(path(leaf), .text(clusterIdentifier))
        case .config: store.put(path(leaf), .object(document))
        case .failover: store.put(path(leaf), .object([:]))
        case .initialize, .status, .member: return
        }
        tellWatchers()
    }
}

extension SimulatedNode {
    /// What is being done to PostgreSQL.
    struct Operation {
        var number: Int
        var plan: Int
        var incarnation: Int
        var operation: PostgreSQLOperation
        /// PostgreSQL was killed, or the operation cancelled.
        var failed = false
        /// Its own daemon ended it.
        var isBrokenOff = false
    }
}
