import ClusterModel
import HighAvailability
import Node
import Ports

/// The liveness rules L1 and L2; L3 is in World+Checks.swift, L4 in World+Synchronous.swift.
extension World {
    /// How long a cluster may take until it has a primary again: the longest lease, a cycle, the slowest start.
    static let primaryBound = Duration.seconds(60 + 20 + 50)
    /// How long until every node follows: rewinds and new copies come one after another.
    static let wholeBound = Duration.seconds(300)

    /// Twice a second: has the story's next chapter begun?
    mutating func look() {
        queue.add(.look, at: now + .milliseconds(500))
        if setup.faults.isEmpty && isWhole { coverage.count(.healed) }
        keepSynchronous()
        switch chapter {
        case .making:
            if isWhole { beginFaults() }
            if now - Self.began > .seconds(180) { violate(.L1, "no cluster was made") }
        case .faults(let until): if now >= until { chapter = .healing(since: now) }
        case .healing(let since): lookForHealing(since)
        case .done: break
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

    private mutating func lookForHealing(_ since: BootInstant) {
        let primary = nodes.firstIndex { $0.commits }
        if primarySince == nil, primary != nil { primarySince = now }
        if primarySince == nil, now - since > Self.primaryBound {
            return violate(.L1, "no primary although everything has healed")
        }
        if isWhole {
            guard let wholeSince else { return self.wholeSince = now }
            if now - wholeSince >= .seconds(2) {
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
        guard let leader = store.leader.flatMap({ index(of: $0.text) }), nodes[leader].commits else { return false }
        return nodes.indices.allSatisfy { index in
            nodes[index].machine != nil
                && (index == leader || nodes[index].postgreSQL.upstream == leader && isStreaming(index))
        }
    }

    private var whatIsMissing: String {
        guard let leader = store.leader.flatMap({ index(of: $0.text) }) else { return "nobody holds the leader key" }
        if !nodes[leader].commits { return "\(name(leader)) holds the leader key and accepts no commits" }
        let missing = nodes.indices.filter { $0 != leader && !isStreaming($0) }.map { name($0) }
        return "\(missing.joined(separator: ", ")) did not rejoin \(name(leader))"
    }

    /// L4: with failsafe mode on, losing the store alone demotes nobody.
    mutating func checkFailsafe(_ index: Int) {
        guard setup.isFailsafe, nodes[index].machine?.snapshot().running?.plan.kind == .demoteOffline else { return }
        let allSeeEachOther = cuts.isEmpty && nodes.allSatisfy { $0.machine != nil && !$0.isFrozen && $0.heldDown == 0 }
        if allSeeEachOther { violate(.L4, "\(name(index)) steps down although all members see each other") }
    }
}
