import ClusterModel
import HighAvailability
import Node
import Ports

/// Guardians that hang, and servers that are left behind under theirs (docs/guardian.md).
extension World {
    /// What happens later and concerns one node alone.
    enum Trouble {
        /// The server that was left behind is to be ended by now.
        case elderEnds
        /// A directory is empty, by the operation of that number; what it is filled with comes then.
        case emptied(Int)
        /// The daemon that makes the first cluster dies.
        case bootstrapCut
        case daemonReturns
    }

    /// A primary in a directory where no daemon looks any more.
    struct Elder {
        /// What its guardian enforces.
        var lease: Lease
    }

    mutating func handle(_ trouble: Trouble, _ index: Int) {
        switch trouble {
        case .elderEnds: endElder(index)
        case .emptied(let number): endEmptying(number, index)
        case .bootstrapCut: cutBootstrap(index)
        case .daemonReturns:
            nodes[index].heldDown -= 1
            startDaemon(index)
        }
    }

    // MARK: A guardian that hangs

    /// It neither answers nor guards. What the kernel does is its own (time.md, case 7).
    mutating func freezeGuardian(_ index: Int) {
        guard setup.guardian else { return }
        nodes[index].records.frozenGuardian += 1
        guard nodes[index].enforced != nil else { return }
        nodes[index].guardianLooksAt = nil
        setGuardian(index, at: now)
    }

    /// What it finds in its socket comes before its timer, unless it is old.
    mutating func thawGuardian(_ index: Int) {
        guard nodes[index].records.frozenGuardian > 0 else { return }
        nodes[index].records.frozenGuardian -= 1
        guard nodes[index].records.frozenGuardian == 0 else { return }
        if let unread = nodes[index].records.unread, now - unread.at <= .seconds(5) { take(unread.order, index) }
        nodes[index].records.unread = nil
        guardianLooks(index)
    }

    mutating func leaveUnread(_ order: GuardOrder, _ index: Int, _ incarnation: Int) {
        nodes[index].records.unread = (order, now)
        nodes[index].records.hasMissedOrders = true
        let error = GuardianError("no answer")
        queue.add(
            .deliver(node: index, incarnation: incarnation, .guardian(order, .failure(error))),
            at: now + LeaseArithmetic.guardianPatience(ttl: .seconds(configuration.ttl)))
    }

    /// A timer of the kernel's ends a guardian that does not come round, and with it its server.
    mutating func strike(_ index: Int, _ lease: Lease) {
        let due = lease.deadline - lease.margin / 4
        if now < due { return setGuardian(index, at: due) }
        if setup.bug == .deadManForgotten { return }
        coverage.count(.guardianStruck)
        note("\(name(index)): the kernel ends the guardian, and PostgreSQL with it")
        checkStrike(index)
        nodes[index].enforced = nil
        nodes[index].records.frozenGuardian = 0
        nodes[index].records.unread = nil
        guard nodes[index].postgreSQL.process != .down else { return }
        let pid = nodes[index].postgreSQL.pid
        crash(index)
        reply(.postmasterExited(pid), to: index, nodes[index].incarnation, after: 0...2)
    }

    /// A daemon that renews, and hears that no order is taken, gives PostgreSQL another guardian in good time.
    private mutating func checkStrike(_ index: Int) {
        guard let snapshot = nodes[index].machine?.snapshot(), let lease = snapshot.lease,
            let known = nodes[index].enforced, lease.since > known.since, lease.isValid(at: now),
            snapshot.running == nil,
            nodes[index].postgreSQL.acceptsWrites, isUndisturbed(index, for: .seconds(15)), nodes[index].deaf == 0,
            nodes[index].blocked == 0, !isExcusedByPause(index), storeDelay == .zero
        else { return }
        violate(.guardian, "the guardian of \(name(index)) hangs, and its daemon has left PostgreSQL to it")
    }

    // MARK: A directory that is moved

    /// Where a standby has all that may not be lost; what clients commit afterwards is lost with the directory.
    mutating func moveDirectory(_ index: Int) {
        let node = nodes[index]
        guard setup.guardian, node.records.isPlain, let lease = node.enforced, node.commits, node.machine != nil,
            lease.isValid(at: now), otherSite == nil, !setup.isSynchronous, node.operation == nil, hasTwin(index),
            // Who is shown an empty directory beside a store that knows of no cluster begins another one.
            store.keys["initialize"] != nil, isStoreOfOneLife
        else { return }
        coverage.count(.directoryMoved)
        endDaemon(index)
        nodes[index].records.elder = Elder(lease: lease)
        nodes[index].records.forgetRewinds()
        queue.add(.trouble(index, .elderEnds), at: max(now, LeaseArithmetic.haltBy(lease)))
        var empty = SimulatedPostgreSQL()
        empty.era = node.postgreSQL.era + 1
        nodes[index].postgreSQL = empty
        // It stood beside the other directory.
        nodes[index].storeMark = nil
        nodes[index].enforced = nil
        nodes[index].operation = nil
        nodes[index].orphan = nil
        nodes[index].heldDown += 1
        queue.add(.trouble(index, .daemonReturns), at: now + generator.milliseconds(in: 200...5000))
    }

    /// Whoever `/failsafe` does not name may not lead, and would not for good where all that it names are lost.
    private mutating func hasTwin(_ index: Int) -> Bool {
        let view = store.view(now)
        for other in nodes.indices where nodes[other].postgreSQL.upstream == index {
            if setup.nofailover.contains(other) || isOutsideFailsafe(other, view) { continue }
            // Its directory may have gone under it.
            guard nodes[other].postgreSQL.isInitialized else { continue }
            receive(other)
            if isStreaming(other), nodes[other].postgreSQL.log.count == nodes[index].postgreSQL.log.count {
                return true
            }
        }
        return false
    }

    func hasElder(_ index: Int) -> Bool { nodes[index].records.elder != nil && nodes[index].suspended == 0 }

    /// Its guardian is the first to go on where the host stood still.
    mutating func endElder(_ index: Int) {
        guard let elder = nodes[index].records.elder, nodes[index].suspended == 0,
            now >= LeaseArithmetic.haltBy(elder.lease)
        else { return }
        note("\(name(index)): the guardian of the directory that was moved kills its PostgreSQL")
        nodes[index].records.elder = nil
    }

    // MARK: What is seen

    /// It has no login for replication on itself, and its files leave several timelines open (`ReplayTimeline`). In the
    /// end somebody reads its log, and lets it in: where it alone could lead nobody does before.
    func isBlind(_ index: Int) -> Bool {
        guard case .faults = chapter else { return false }
        return setup.tempers.blind.contains(index) && !isStreaming(index)
    }

    /// What a status lacks.
    mutating func noteTroubles(_ status: inout PostgreSQLStatus, _ index: Int) {
        if setup.bug == .rewindMarkIgnored, status.unfinished == .rewind { status.unfinished = nil }
        if setup.bug == .bootstrapMarkIgnored, status.unfinished == .bootstrap { status.unfinished = nil }
        guard status.facts != nil else { return }
        status.facts?.owesCheckpoint = owesCheckpoint(index)
        if status.facts?.inRecovery == true, isBlind(index) {
            coverage.count(.timelineUnknown)
            status.facts?.timeline = nil
        }
        if nodes[index].records.full > 0 {
            coverage.count(.connectionsFull)
            status.facts = nil
            status.unobservable = "FATAL: sorry, too many clients already"
        }
    }

    func owesCheckpoint(_ index: Int) -> Bool { self[server: index].owesCheckpointUntil.map { now < $0 } ?? false }

    mutating func checkpointLate(_ index: Int, _ incarnation: Int) {
        coverage.count(.checkpointLate)
        let done = now + generator.milliseconds(in: 200...10_000)
        nodes[index].postgreSQL.owesCheckpointUntil = done
        queue.add(.deliver(node: index, incarnation: incarnation, .node(.checkpointed(.success(())))), at: done)
    }

    // MARK: Checks

    /// A leader that says no word of itself, for lack of connections, and is otherwise well goes on.
    mutating func checkAlarm(_ what: String, _ index: Int) {
        let node = nodes[index]
        guard node.records.full > 0, node.postgreSQL.acceptsWrites, store.leader?.text == name(index),
            let snapshot = node.machine?.snapshot(), snapshot.lease?.isValid(at: now) == true,
            now - node.disturbedAt > .seconds(30), node.isUndisturbedButFull, node.blocked == 0, node.answers,
            node.postgreSQL.checkpointer == nil, storeIsDown == 0, storeDelays.isEmpty, isStoreFaithful,
            storeCameBack.map({ now - $0 > .seconds(30) }) ?? true, !configuration.isPaused, !mayFollow, !isRolling,
            store.failover == nil, askedAt.map({ now - $0 > .seconds(60) }) ?? true,
            store.keys["initialize"]?.value == .text(clusterIdentifier)
        else { return }
        violate(.alarm, "\(name(index)) leads, lacks nothing but connections, and does: \(what)")
    }
}

extension SimulatedNode {
    /// What its guardian tells a daemon that begins: one that hangs tells nothing.
    var toldLease: Lease? { records.frozenGuardian > 0 ? nil : enforced }

    /// Clients' commits succeed now.
    var commits: Bool { postgreSQL.acceptsWrites && hung == 0 && suspended == 0 && stalled == 0 && !isNobodys }

    /// Nobody but a daemon that has died knows of the cluster that stands here.
    var isNobodys: Bool { records.isCutOff && postgreSQL.unfinished == .bootstrap }

    fileprivate var isUndisturbedButFull: Bool {
        var node = self
        node.records.full = 0
        return node.isUndisturbed
    }
}

extension SimulatedNode.Records {
    /// What pg_rewind has said of another directory.
    mutating func forgetRewinds() {
        refusesRewinds = false
        rewindHasFailed = false
        isRewound = false
    }
}
