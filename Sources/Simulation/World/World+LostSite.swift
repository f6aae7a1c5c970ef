import ClusterModel
import HighAvailability
import Node
import Ports

/// All hosts are lost at once, and the store begins anew with nothing in it.
extension World {
    /// What a world knows of a store that was emptied.
    struct LostSite {
        /// The hosts were lost with it: no daemon remembers a leader.
        var isJudged = true
        /// Since when all daemons have been there again, and none has said whose cluster it is.
        var waitingSince: BootInstant?
    }

    /// Only where every directory is whole: who has none would begin another cluster beside those that come later.
    mutating func loseSite() {
        guard isEveryDirectoryWhole, storeIsDown == 0, store.keys["history"] != nil || store.keys["status"] != nil
        else { return }
        coverage.count(.siteLost)
        for index in nodes.indices {
            killNode(index)
            nodes[index].enforced = nil
        }
        store.forget()
        handedOver = nil
        lostSite = LostSite()
        sitesLost += 1
    }

    var isEveryDirectoryWhole: Bool {
        nodes.allSatisfy { node in
            if case .clone? = node.operation?.operation { return false }
            return node.postgreSQL.isInitialized && node.postgreSQL.unfinished == nil
        }
    }

    /// One host after another.
    mutating func bringSiteBack() {
        guard sitesLost > 0 else { return }
        sitesLost -= 1
        for index in nodes.indices {
            nodes[index].heldDown -= 1
            queue.add(.startDaemon(index), at: now + generator.milliseconds(in: 0...15_000))
        }
    }

    /// S3: who says whose cluster it is goes on with what it has, and the others are rewound to that.
    mutating func checkDefinition(_ index: Int) {
        guard let site = lostSite else { return }
        lostSite = nil
        if !site.isJudged { return }
        let server = nodes[index].postgreSQL
        guard server.process == .down || server.isStandby else { return }
        switch server.control {
        case .shutDownInRecovery, .inArchiveRecovery:
            violate(.S3, "\(name(index)), a standby, begins a cluster in a store that has forgotten it")
        case .startingUp, .shutDown, .shuttingDown, .inCrashRecovery, .inProduction:
            guard server.log.timeline > 1 else { return }
            violate(.S3, "\(name(index)) begins a cluster in an empty store with timeline \(server.log.timeline)")
        }
    }

    /// When all is there again and waits for hands, somebody looks at every node, and starts the newest that led.
    mutating func lookAtLostSite() {
        // Put there by hand.
        if store.keys["initialize"]?.value == .text(clusterIdentifier) { lostSite = nil }
        guard lostSite != nil, case .healing = chapter else { return }
        // A node that knows of a pause which the store has forgotten leaves a server alone that is down.
        let waits = nodes.allSatisfy { node in
            node.machine != nil && node.operation == nil && node.published?.snapshot.running == nil
                && (node.needsOperator || node.published?.snapshot.settings.isPaused == true)
        }
        let since = waits ? lostSite?.waitingSince ?? now : nil
        lostSite?.waitingSince = since
        guard let since, now - since >= .seconds(10), nodes.contains(where: \.needsOperator) else { return }
        func isNewer(_ left: Int, _ right: Int) -> Bool {
            let (mine, theirs) = (nodes[left].postgreSQL, nodes[right].postgreSQL)
            let (a, b) = (mine.log.end(without: promotedInVain), theirs.log.end(without: promotedInVain))
            return (mine.log.timeline, a, mine.isStandby ? 0 : 1) < (theirs.log.timeline, b, theirs.isStandby ? 0 : 1)
        }
        guard let newest = nodes.indices.max(by: isNewer) else { return }
        lostSite?.waitingSince = nil
        goOnByHand(newest)
    }

    /// A cluster was to be made, and whoever made it has died, while another node had restored a backup already: whose
    /// data it is only its operator knows, who promotes it, as `needs_operator` says.
    mutating func lookAtDataWithoutCluster() {
        lookAtForeignData()
        func waits(_ node: SimulatedNode) -> Bool {
            node.published?.snapshot.decision?.needsOperator != nil && node.published?.snapshot.running == nil
                && node.postgreSQL.process == .running && node.postgreSQL.isStandby
        }
        let restored = store.keys["initialize"] == nil ? nodes.firstIndex(where: waits) : nil
        let since = restored == nil ? nil : dataWaitsSince ?? now
        dataWaitsSince = since
        guard let restored, let since, now - since >= .seconds(60) else { return }
        dataWaitsSince = nil
        goOnByHand(restored)
    }

    /// The backup was of another cluster than the one that somebody made meanwhile: its daemon says so and ends, and an
    /// operator takes it away.
    private mutating func lookAtForeignData() {
        guard case .text(let cluster)? = store.keys["initialize"]?.value,
            let index = nodes.firstIndex(where: { node in
                node.machine == nil && node.operation == nil && node.postgreSQL.isInitialized
                    && node.postgreSQL.systemIdentifier != cluster && now - Self.began > .seconds(90)
            })
        else { return }
        note("an operator takes away what \(name(index)) has of another cluster")
        var empty = SimulatedPostgreSQL()
        empty.era = nodes[index].postgreSQL.era + 1
        nodes[index].postgreSQL = empty
        nodes[index].enforced = nil
        nodes[index].orphan = nil
    }

    /// An operator makes a primary of what one node has, and says how the cluster is configured.
    private mutating func goOnByHand(_ newest: Int) {
        writeConfiguration()
        coverage.count(.siteBroughtBack)
        note("an operator goes on with \(name(newest))")
        let server = nodes[newest].postgreSQL
        if server.process == .running, server.isStandby {
            nodes[newest].postgreSQL.isPromoting = true
            return queue.add(.promoted(node: newest, era: server.era), at: now + .milliseconds(300))
        }
        guard server.process == .down else { return }
        pids += 1
        nodes[newest].postgreSQL.pid = pids
        nodes[newest].postgreSQL.isStandby = false
        nodes[newest].postgreSQL.process = .starting
        queue.add(.up(node: newest, era: server.era), at: now + .milliseconds(300))
    }
}

extension SimulatedNode {
    fileprivate var needsOperator: Bool { published?.snapshot.decision?.needsOperator != nil }
}
