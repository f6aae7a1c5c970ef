import ClusterModel
import HighAvailability
import Node

/// A leader's host dies, and with it the disk of a member that `/sync` names, which is filled from a backup: what comes
/// back is that member by its name, and lacks what it has acknowledged since.
extension World {
    /// Only where the leader's host has all of it and comes back: who loses both copies has lost what was acknowledged.
    mutating func loseVoter() {
        let sync = sync
        guard let leader = nodes.firstIndex(where: { $0.commits }), sync.leader == name(leader),
            nodes[leader].heldDown == 0
        else { return }
        let voters = nodes.indices.filter { index in
            index != leader && sync.isVoter(name(index)) && isStreaming(index) && source(of: index) == leader
                && nodes[index].operation == nil && nodes[index].orphan == nil && nodes[index].machine != nil
        }
        guard let voter = voters.first else { return }
        coverage.count(.voterLost)
        killNode(leader)
        lostLeaders.append(leader)
        let mine = nodes[voter].postgreSQL
        if mine.process != .down { crash(voter) }
        nodes[voter].postgreSQL.isInitialized = false
        nodes[voter].postgreSQL.isHalfMade = false
        nodes[voter].postgreSQL.unfinished = nil
        nodes[voter].records.restoresAlone = true
        reply(.postmasterExited(mine.pid), to: voter, nodes[voter].incarnation, after: 0...2)
    }

    /// The leader's host is there again.
    mutating func bringLeaderBack() {
        guard let leader = lostLeaders.first else { return }
        lostLeaders.removeFirst()
        nodes[leader].heldDown -= 1
        startDaemon(leader)
    }
}
