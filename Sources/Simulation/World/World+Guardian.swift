import ClusterModel
import HighAvailability
import Node
import Ports

/// The guardian of architecture.md §4: it holds PostgreSQL and the end of the lease, and outlives the daemon.
extension World {
    /// An order of the daemon's, which hears that it was taken.
    mutating func takeOrder(_ order: GuardOrder, _ index: Int, _ incarnation: Int) {
        nodes[index].standingOrder = order
        let isFrozen = nodes[index].records.frozenGuardian > 0
        let patience = LeaseArithmetic.guardianPatience(ttl: .seconds(configuration.ttl))
        nodes[index].unheardUntil = nodes[index].deaf > 0 || isFrozen ? now + patience : nil
        if isFrozen { return leaveUnread(order, index, incarnation) }
        if nodes[index].deaf > 0 {
            // Whether it was taken is not known.
            coverage.count(.guardianSilent)
            let error = GuardianError("no answer")
            queue.add(
                .deliver(node: index, incarnation: incarnation, .guardian(order, .failure(error))),
                at: now + patience)
            if generator.oneIn(2) { return }
        }
        take(order, index)
        if nodes[index].deaf > 0 { return }
        let status = GuardianStatus(pid: 1, postmaster: nodes[index].postgreSQL.pid)
        reply(.guardian(order, .success(status)), to: index, incarnation, after: 0...2)
    }

    mutating func take(_ order: GuardOrder, _ index: Int) {
        nodes[index].records.hasMissedOrders = false
        switch order {
        case .disarm: if setup.bug != .disarmingForgotten { nodes[index].enforced = nil }
        case .enforce(let lease, _):
            if !lease.isOfSession, setup.bug == .newClusterUnguarded { return }
            nodes[index].enforced = lease
            // A lease of a shorter ttl may end before the one that it replaces.
            setGuardian(index, at: max(now, LeaseArithmetic.haltBy(lease)))
        }
    }

    /// A guardian that launches a server has heard the standing order first (docs/guardian.md); a standby's launch lets
    /// every lease go.
    mutating func hearBeforeLaunch(_ index: Int, asStandby: Bool) {
        nodes[index].deaf = 0
        nodes[index].records.frozenGuardian = 0
        nodes[index].records.unread = nil
        switch nodes[index].standingOrder {
        case .enforce(let lease, _)
        where setup.guardian && !asStandby && (lease.isOfSession || setup.bug != .newClusterUnguarded):
            nodes[index].enforced = lease
            setGuardian(index, at: max(now, LeaseArithmetic.haltBy(lease)))
        case .enforce, .disarm, nil: if asStandby { nodes[index].enforced = nil }
        }
    }

    mutating func setGuardian(_ index: Int, at instant: BootInstant) {
        if let known = nodes[index].guardianLooksAt, known <= instant { return }
        nodes[index].guardianLooksAt = instant
        queue.add(.guardian(node: index), at: instant)
    }

    mutating func guardianLooks(_ index: Int) {
        nodes[index].guardianLooksAt = nil
        // It stands still with its host, and is the first to go on.
        if nodes[index].suspended > 0 { return }
        guard let lease = nodes[index].enforced else { return }
        if nodes[index].records.frozenGuardian > 0 { return strike(index, lease) }
        enforce(index)
        setGuardian(index, at: max(now + .milliseconds(100), LeaseArithmetic.haltBy(lease)))
    }

    /// Kills a PostgreSQL that accepts writes, or is about to, when the lease that it enforces comes to its end.
    mutating func enforce(_ index: Int) {
        guard nodes[index].records.frozenGuardian == 0, let lease = nodes[index].enforced,
            now >= LeaseArithmetic.haltBy(lease)
        else { return }
        let server = nodes[index].postgreSQL
        guard server.process != .down, !server.isStandby || server.isPromoting else { return }
        note("\(name(index)): the guardian kills PostgreSQL")
        coverage.count(.guardianKilled)
        checkFailsafeKill(index)
        checkPausedKill(index)
        if server.process == .stopping { coverage.count(.lostWhileStopping) }
        crash(index)
        reply(.postmasterExited(server.pid), to: index, nodes[index].incarnation, after: 0...2)
    }
}
