import ClusterModel
import HighAvailability
import Node
import Ports

/// What becomes of data directories: S3 where a server is stopped, S7, S11 and S12.
extension World {
    /// S7: what has parted is somebody's, who says whether it goes.
    mutating func checkKept(_ index: Int, _ source: Upstream) {
        let mine = nodes[index].postgreSQL
        let allowed = mayRemove(index)
        guard !allowed.onDivergedTimelines, mine.isInitialized, let peer = self.index(of: source.name),
            !mine.log.isBeginning(of: self[server: peer].log)
        else { return }
        if allowed.onRewindFailure, nodes[index].records.rewindHasFailed { return }
        violate(.S7, "\(name(index)) removes a data directory that has parted, and nobody has allowed it")
    }

    /// S7: recovery writes a checkpoint, which parts a directory from the leader's; only a rewind mends that.
    mutating func checkRecovery(_ index: Int) {
        guard setup.rewindless.contains(index), let leader = store.leader.flatMap({ self.index(of: $0.text) }),
            leader != index, nodes[leader].commits,
            nodes[index].postgreSQL.log.isBeginning(of: nodes[leader].postgreSQL.log)
        else { return }
        violate(.S7, "\(name(index)) is recovered, parts from \(name(leader)), and cannot be rewound")
    }

    /// S11: half a copy never starts.
    mutating func checkMark(_ index: Int) {
        if nodes[index].postgreSQL.isHalfMade {
            violate(.S11, "\(name(index)) starts a directory whose copy was broken off")
        }
        guard let work = nodes[index].postgreSQL.unfinished else { return }
        violate(.S11, "\(name(index)) starts a directory with \(work.name)")
    }

    /// S12: one writes in a directory at a time.
    mutating func checkLock(_ operation: PostgreSQLOperation, _ index: Int) {
        guard let earlier = nodes[index].orphan?.operation.name else { return }
        violate(.S12, "\(name(index)) does \(operation.name) where the \(earlier) of an earlier daemon goes on")
    }

    /// S3: a leader that hands over has time to send what it has before it is ended by force.
    mutating func checkPatience(_ index: Int) {
        guard let began = nodes[index].records.stopBegan, now - began < .seconds(15),
            nodes[index].machine?.snapshot().running?.plan.kind == .handOver, !nodes[index].postgreSQL.isStandby
        else { return }
        let took = (now - began).inSeconds
        violate(.S3, "\(name(index)) hands over, and is ended by force \(took) s after it was told to stop")
    }
}
