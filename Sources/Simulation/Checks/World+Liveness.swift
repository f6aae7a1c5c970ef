import ClusterModel
import HighAvailability
import Node
import Ports

/// The liveness rules L1 and L2; L3 is in World+Checks.swift, L4 in World+Failsafe.swift.
extension World {
    /// How long a cluster may take until it has a primary again: the longest lease, a cycle, the slowest start.
    static let primaryBound = Duration.seconds(60 + 20 + 50)
    /// How long until every node follows: rewinds and new copies come one after another.
    static let wholeBound = Duration.seconds(300)

    /// Twice a second: has the story's next chapter begun?
    mutating func look() {
        queue.add(.look, at: now + .milliseconds(500))
        if setup.faults.isEmpty && isWhole { coverage.count(.healed) }
        lookForHungLeader()
        lookForStuckLeader()
        lookForHungCheckpointer()
        lookForPrimary()
        lookForWritesOfFollowers()
        lookAtLostSite()
        lookAtKept()
        lookForAbandonedSlots()
        switch chapter {
        case .making:
            lookAtDataWithoutCluster()
            if isWhole { beginFaults() }
            if now - Self.began > .seconds(180) { violate(.L1, "no cluster was made") }
        case .faults(let until): if now >= until { chapter = .healing(since: now) }
        case .healing(let since): lookForHealing(since)
        case .done: break
        }
    }

    /// L1 with something that stays broken: a leader whose server hangs makes way where somebody else can lead.
    private mutating func lookForHungLeader() {
        let leader = store.leader.flatMap { index(of: $0.text) }
        for index in nodes.indices where index != leader || !isOnlyHung(index) { nodes[index].hungLeaderSince = nil }
        guard let leader, isOnlyHung(leader) else { return }
        guard let since = nodes[leader].hungLeaderSince else { return nodes[leader].hungLeaderSince = now }
        let timings = nodes[leader].published?.snapshot.settings.timings ?? ClusterTimings()
        if now - since > timings.ttl + timings.loopWait + .seconds(5) {
            violate(.L1, "\(name(leader)) hangs and keeps the leader key")
        }
    }

    /// L1 where operations do not return, and where a server that hangs cannot be ended: the key is not kept for longer
    /// than its lease after that was seen, whatever else the node does meanwhile.
    private mutating func lookForStuckLeader() {
        let leader = store.leader.flatMap { index(of: $0.text) }
        for index in nodes.indices where index != leader || !isOnlyStuck(index) { nodes[index].stuckLeaderSince = nil }
        guard let leader, isOnlyStuck(leader) else { return }
        guard let since = nodes[leader].stuckLeaderSince else { return nodes[leader].stuckLeaderSince = now }
        let timings = nodes[leader].published?.snapshot.settings.timings ?? ClusterTimings()
        if now - since > timings.ttl * 2 + timings.loopWait + .seconds(15) {
            violate(.L1, "\(name(leader)) has operations that do not return and keeps the leader key")
        }
    }

    /// `index` leads without a primary, its operations do not return, and nothing else is wrong. A start has a time of
    /// its own, which operators have set.
    private mutating func isOnlyStuck(_ index: Int) -> Bool {
        let node = nodes[index]
        guard node.blocked > 0 || node.isDoomed, !node.commits, node.postgreSQL.process != .starting, !mayFollow else {
            return false
        }
        switch node.published?.snapshot.running?.plan.kind {
        case .startPrimary?, .startStandby?, .demoteOffline?, .bootstrap?: return false
        case .promote? where !hasOutlastedItsTime(node): return false
        case .clone?, .follow?, .resumeReplay?, .copySlots?, .promote?, .handOver?, .demote?, .demoteCluster?,
            .rewind?, .stopParted?, .reclone?, .reinitialize?, .restart?, .recoverSingleUser?, .shutdown?, nil:
            return isAllWell(butFor: index) && hasHeir(index)
        }
    }

    /// A promotion has primary_start_timeout, too, as recovery may have much to end; nothing tells one that hangs from
    /// one that is slow before that is over, and what a server that is slow may owe (`hungRule`).
    private func hasOutlastedItsTime(_ node: SimulatedNode) -> Bool {
        guard let snapshot = node.published?.snapshot, let running = snapshot.running else { return true }
        let settings = snapshot.settings
        return now - running.since > settings.startPatience + SilenceArithmetic.slow(ttl: settings.timings.ttl)
    }

    /// `index` hangs and leads, nothing else is wrong, and a standby has all that the leader told of.
    private mutating func isOnlyHung(_ index: Int) -> Bool {
        guard nodes[index].hung > 0, !nodes[index].isDoomed, nodes[index].blocked == 0,
            nodes[index].postgreSQL.acceptsWrites, nodes[index].published?.snapshot.isSettled ?? false
        else { return false }
        return isAllWell(butFor: index) && hasHeir(index)
    }

    func isAllWell(butFor index: Int) -> Bool {
        !setup.isSynchronous && storeIsDown == 0 && storeDelays.isEmpty && isStoreFaithful && cuts.isEmpty
            && nodes.indices.allSatisfy { other in
                nodes[other].isUndisturbed && !nodes[other].isPaused && (other == index || nodes[other].blocked == 0)
            }
    }

    mutating func hasHeir(_ index: Int) -> Bool {
        let told = store.view(now).status.optime
        let nodes = nodes
        return nodes.indices.contains { other in
            let server = nodes[other].postgreSQL
            return other != index && !setup.nofailover.contains(other) && nodes[other].answers
                && server.process == .running && server.isStandby
                && server.log.timeline == nodes[index].postgreSQL.log.timeline && server.position >= told
        }
    }

    private mutating func beginFaults() {
        note("the cluster is made")
        chapter = .faults(until: now + setup.span)
        for (index, fault) in setup.faults.enumerated() {
            queue.add(.begin(index), at: now + fault.at)
            queue.add(.heal(index), at: now + min(fault.at + fault.lasts, setup.span))
        }
    }

    private mutating func lookForHealing(_ healed: BootInstant) {
        let since = max(healed, namedAt ?? healed)
        let primary = nodes.firstIndex { $0.commits }
        if primarySince == nil, primary != nil { primarySince = now }
        if primarySince == nil, now - since > Self.primaryBound + backoffBound {
            if nameSomebody() { return }
            return violate(.L1, "no primary although everything has healed")
        }
        if isWhole {
            guard let wholeSince else { return self.wholeSince = now }
            if now - wholeSince >= .seconds(2) {
                if isRolling { return lookForRollingEnd(since) }
                coverage.count(.healed)
                chapter = .done
            }
        } else {
            wholeSince = nil
            guard now - since > Self.wholeBound else { return }
            // Whoever has parted on a timeline whose number is there twice cannot always be told from who has not.
            if coverage.reached[.timelineTwice] != nil { chapter = .done } else { violate(.L2, whatIsMissing) }
        }
    }

    /// One primary with the leader key, and everybody else streaming from it.
    var isWhole: Bool {
        guard let leader = store.leader.flatMap({ index(of: $0.text) }), nodes[leader].commits,
            isSynchronousWhole(leader)
        else { return false }
        return nodes.indices.allSatisfy { index in
            nodes[index].machine != nil
                && (index == leader
                    || nodes[index].postgreSQL.upstream == wantedSource(of: index, under: leader) && isStreaming(index))
        }
    }

    private var whatIsMissing: String {
        guard let leader = store.leader.flatMap({ index(of: $0.text) }) else { return "nobody holds the leader key" }
        if !nodes[leader].commits { return "\(name(leader)) holds the leader key and accepts no commits" }
        let missing = nodes.indices.filter { $0 != leader && !isStreaming($0) }.map { name($0) }
        for index in nodes.indices where index != leader && missing.isEmpty {
            let wanted = wantedSource(of: index, under: leader)
            if nodes[index].postgreSQL.upstream != wanted {
                return "\(name(index)) does not stream from \(name(wanted))"
            }
        }
        if missing.isEmpty {
            return
                "synchronous standbys are not as configured: \(sync), "
                + "names are '\(nodes[leader].postgreSQL.acting.text)'"
        }
        return "\(missing.joined(separator: ", ")) did not rejoin \(name(leader))"
    }
}

extension SimulatedNode {
    /// Nothing is wrong with it but, maybe, its PostgreSQL.
    var isUndisturbed: Bool {
        machine != nil && !isFrozen && heldDown == 0 && stalled == 0 && slow == 0 && cutFromStore == 0
            && losesAnswers == 0 && staleness.isEmpty && lateness.isEmpty && starvation.isEmpty && deaf == 0
            && failsStarts == 0 && crashesPromotions == 0 && failsCopies == 0 && refusals.isEmpty && records.isPlain
    }
}

extension NodeSnapshot {
    /// No plan runs, and nobody has asked for anything.
    var isSettled: Bool { running == nil && view?.failover == nil }
}
