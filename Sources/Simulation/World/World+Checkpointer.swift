import ClusterModel
import HighAvailability
import Node
import Ports

/// A checkpointer that does nothing while all else works: commits go on, and no clean stop comes to its end.
extension World {
    /// How long an answer to `CHECKPOINT` is waited for in vain.
    private static let checkpointTakes = 20_000

    mutating func hangCheckpointer(_ index: Int, inKernel: Bool) {
        guard nodes[index].postgreSQL.process == .running, nodes[index].postgreSQL.isInitialized else { return }
        nodes[index].postgreSQL.checkpointer = Pulse.Checkpointer(since: now, isStopped: !inKernel)
        nodes[index].checkpointerHungAt = now
        // What it does now has another bound.
        nodes[index].uncheckpointedSince = nil
    }

    mutating func letCheckpointerGo(_ index: Int) { nodes[index].postgreSQL.checkpointer = nil }

    /// What is felt of a server beside its answers: sessions that wait for WAL which the disk does not take, what needs
    /// none being answered; and the checkpointer.
    mutating func feel(_ index: Int, _ incarnation: Int) {
        let server = nodes[index].postgreSQL
        let unflushed = server.acceptsWrites ? nodes[index].stalledSince.map { max($0, server.cameUpAt) } : nil
        guard server.process == .running, unflushed != nil || server.checkpointer != nil else { return }
        if server.checkpointer != nil { nodes[index].checkpointerHungAt = now }
        let pulse = Pulse(
            takenAt: now, postmaster: server.pid, unflushedSince: unflushed,
            processes: .init(total: 7, uninterruptible: unflushed == nil ? 0 : 2), checkpointer: server.checkpointer)
        queue.add(.deliver(node: index, incarnation: incarnation, .node(.felt(pulse))), at: now + .milliseconds(1))
    }

    mutating func checkpoint(_ index: Int, _ incarnation: Int) {
        if nodes[index].records.full > 0 {
            let error = PostgreSQLError.query(state: "53300", message: "sorry, too many clients already")
            return reply(.node(.checkpointed(.failure(error))), to: index, incarnation, after: 1...50)
        }
        if setup.tempers.checkpointsLate, nodes[index].postgreSQL.checkpointer == nil {
            return checkpointLate(index, incarnation)
        }
        if nodes[index].postgreSQL.checkpointer == nil {
            return reply(.node(.checkpointed(.success(()))), to: index, incarnation, after: 10...2000)
        }
        let error = PostgreSQLError.failed("no answer to CHECKPOINT")
        reply(
            .node(.checkpointed(.failure(error))), to: index, incarnation,
            after: Self.checkpointTakes...Self.checkpointTakes)
    }

    /// What a clean stop may take in vain before PostgreSQL is ended by force.
    var checkpointerPatience: Duration {
        let isRecent = nodes.contains { node in node.checkpointerHungAt.map { now - $0 < .seconds(150) } ?? false }
        return isRecent ? .seconds(60) : .zero
    }

    /// L1: a leader whose checkpointer hangs makes way where somebody else can lead.
    mutating func lookForHungCheckpointer() {
        let leader = store.leader.flatMap { index(of: $0.text) }
        for index in nodes.indices where index != leader || !isOnlyWithoutCheckpoints(index) {
            nodes[index].uncheckpointedSince = nil
        }
        guard let leader, isOnlyWithoutCheckpoints(leader), let hung = nodes[leader].postgreSQL.checkpointer else {
            return
        }
        guard let since = nodes[leader].uncheckpointedSince else { return nodes[leader].uncheckpointedSince = now }
        let timings = nodes[leader].published?.snapshot.settings.timings ?? ClusterTimings()
        let ttl = timings.ttl
        let bound = hung.isStopped ? SilenceArithmetic.hung(ttl: ttl) : SilenceArithmetic.kernel(ttl: ttl)
        if now - since > bound + ttl / 3 + timings.loopWait + .seconds(5) {
            violate(.L1, "\(name(leader)) writes no checkpoint and keeps the leader key")
        }
    }

    private mutating func isOnlyWithoutCheckpoints(_ index: Int) -> Bool {
        guard nodes[index].postgreSQL.checkpointer != nil, nodes[index].hung == 0, nodes[index].blocked == 0,
            nodes[index].postgreSQL.acceptsWrites, nodes[index].published?.snapshot.isSettled ?? false
        else { return false }
        return isAllWell(butFor: index) && hasHeir(index)
    }

    /// A daemon gives the key up for it.
    mutating func countCheckpointer(_ decision: Decision) {
        switch decision.action {
        case .carryOut, .breakOff: break
        case .wait, .ask, .acquireLeader, .releaseLeader, .initializeCluster, .write, .exit: return
        }
        for reason in decision.reasons {
            if case .hung(.silent(let silence)) = reason, silence.kind == .checkpoints {
                coverage.count(.checkpointerEnded)
            }
        }
    }
}
