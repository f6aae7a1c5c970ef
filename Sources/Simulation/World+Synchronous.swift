import ClusterModel
import HighAvailability
import Node
import Ports

/// Synchronous commit. The rule that names the standbys is a later issue's; until then the world does what the peer's
/// leader does (ha-loop.md §17): a standby is named to PostgreSQL first and in `/sync` when it has everything, and it
/// leaves `/sync` before PostgreSQL forgets it. So the races of the nodes are tried in a cluster whose leader is a
/// peer.
extension World {
    /// Clients hear of their commits as soon as the standby has them that they wait for.
    mutating func acknowledge(_ index: Int) {
        let log = nodes[index].postgreSQL.log
        guard setup.isSynchronous else { return acknowledged[log.branch] = log.count }
        // Until `/sync` names this leader somebody else could lead without these commits.
        let sync = store.view(now).sync
        guard sync.leader == name(index) else { return }
        guard let standby = nodes[index].postgreSQL.synchronousStandby else {
            // A peer that is promoted has taken its standbys out of `/sync` before.
            guard sync.voters.isEmpty else { return }
            return acknowledged[log.branch] = log.count
        }
        let theirs = nodes[standby].postgreSQL.log
        let received = theirs.isBeginning(of: log) ? theirs.count : theirs.shared(with: log)
        if received > acknowledged[log.branch] {
            acknowledged[log.branch] = received
        } else if log.count > acknowledged[log.branch] {
            coverage.count(.commitWaited)
        }
    }

    /// The leader's part, about twice a second, where its daemon lives and reaches the store.
    mutating func keepSynchronous() {
        guard setup.isSynchronous, storeIsDown == 0, let leader = store.leader.flatMap({ index(of: $0.text) }),
            nodes[leader].commits, nodes[leader].machine != nil, !nodes[leader].isFrozen,
            nodes[leader].cutFromStore == 0
        else { return }
        let sync = store.view(now).sync
        guard sync.leader == name(leader) else { return writeSync(leader, nil) }
        let named = sync.voters.first.flatMap { index(of: $0) }
        let waits = nodes[leader].postgreSQL.synchronousStandby
        if let standby = named ?? waits, !isSynchronousCandidate(standby, leader) {
            if named != nil { writeSync(leader, nil) }
            nodes[leader].postgreSQL.synchronousStandby = nil
        } else if let standby = waits {
            let hasAll = nodes[standby].postgreSQL.log.count >= acknowledged[nodes[leader].postgreSQL.log.branch]
            if named == nil, hasAll { writeSync(leader, standby) }
        } else {
            nodes[leader].postgreSQL.synchronousStandby =
                named ?? nodes.indices.first { isSynchronousCandidate($0, leader) }
        }
    }

    private func isSynchronousCandidate(_ standby: Int, _ leader: Int) -> Bool {
        source(of: standby) == leader && isStreaming(standby) && nodes[standby].machine != nil
    }

    private mutating func writeSync(_ leader: Int, _ standby: Int?) {
        let names = standby.map { JSONValue.string(name($0)) } ?? .null
        store.put("sync", Self.text(["leader": .string(name(leader)), "sync_standby": names]))
        note("/sync: \(name(leader)), \(standby.map { name($0) } ?? "no standby")")
        tellWatchers()
    }

    // MARK: Checks

    /// S6: who takes the key in synchronous mode is named by `/sync`.
    mutating func checkSynchronousElection(_ index: Int) {
        if isOutsideSync(index) {
            violate(.S6, "\(name(index)) takes the key, /sync is \(store.keys["sync"]?.text ?? "absent")")
        }
    }

    /// Whether synchronous mode keeps a node from leading.
    func isOutsideSync(_ index: Int) -> Bool {
        guard setup.isSynchronous, let text = store.keys["sync"]?.text else { return false }
        return !text.contains("\"\(name(index))\"")
    }

    /// S2: every commit that was acknowledged is on the next primary.
    mutating func checkAcknowledged(_ index: Int) {
        guard setup.isSynchronous else { return }
        coverage.count(.synchronousFailover)
        let log = nodes[index].postgreSQL.log
        for branch in acknowledged.indices where writers[branch] >= 0 {
            let kept = log.end(of: branch) ?? 0
            if acknowledged[branch] > kept {
                violate(
                    .S2,
                    "\(name(index)) is promoted with \(kept) of \(acknowledged[branch]) acknowledged records of branch "
                        + "\(branch)")
            }
        }
    }
}
