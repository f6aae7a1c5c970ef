import ClusterModel
import HighAvailability
import Node

extension World {
    mutating func violate(_ rule: String, _ text: String) {
        violations.append(Violation(rule: rule, text: text, at: now - began))
        note("VIOLATION of \(rule): \(text)")
    }

    /// After every event.
    mutating func check() {
        let writable = nodes.filter { $0.postgreSQL.acceptsWrites }
        if writable.count > 1 {
            // A cluster's first primary takes its key a moment after it is up; nobody else can be writable then.
            violate("S1", "\(writable.map(\.name).joined(separator: " and ")) accept commits at once")
        }
        for node in nodes {
            guard let lease = node.machine?.snapshot().lease, lease.isValid(at: now) else { continue }
            // S4: who calls itself leader is the one whose key stands in the store.
            if let holder = store.leader?.text, holder != node.name {
                violate("S4", "\(node.name) counts its lease as valid while \(holder) holds the key")
            }
        }
        let history = store.view().history.lines
        if history.count < lastHistory.count && !history.isEmpty { violate("S10", "the history lost a line") }
        lastHistory = history
    }

    /// S5, S3: who may be promoted, and with what.
    mutating func checkPromotion(_ index: Int) {
        let name = nodes[index].name
        guard let machine = nodes[index].machine else { return }
        guard let lease = machine.snapshot().lease, lease.isValid(at: now) else {
            return violate("S5", "\(name) is promoted without a valid lease")
        }
        if store.leader?.text != name {
            violate("S5", "\(name) is promoted while \(store.leader?.text ?? "nobody") holds the key")
        }
        let timeline = nodes[index].postgreSQL.timeline + 1
        if timeline < lastPromoted {
            violate("S10", "\(name) is promoted to timeline \(timeline) after \(lastPromoted)")
        }
        lastPromoted = max(lastPromoted, timeline)
    }

    /// S7: nothing is rewound whose timeline has not parted.
    mutating func checkRewind(_ index: Int, _ source: Int) {
        let mine = nodes[index].postgreSQL
        if mine.canStream(from: nodes[source].postgreSQL) {
            violate("S7", "\(nodes[index].name) is rewound although it could stream from \(nodes[source].name)")
        }
    }

    /// After the faults have healed and there was time enough.
    mutating func checkAtEnd() {
        let primaries = nodes.indices.filter { nodes[$0].postgreSQL.acceptsWrites }
        guard primaries.count == 1, let primary = primaries.first else {
            return violate("L1", "\(primaries.count) primaries after all faults have healed")
        }
        if store.leader?.text != nodes[primary].name {
            violate("L1", "the primary \(nodes[primary].name) does not hold the leader key")
        }
        for index in nodes.indices where index != primary && !isStreaming(index) {
            violate("L2", "\(nodes[index].name) does not stream from the primary")
        }
        checkLoss(primary)
    }

    /// S3: what a standby had when it was acknowledged is lost only within the allowed lag.
    private mutating func checkLoss(_ primary: Int) {
        let kept = Set(nodes[primary].postgreSQL.log.map(\.commit))
        let lost = acknowledged.filter { !kept.contains($0.commit) }
        if !lost.isEmpty { count(.unreplicatedLoss) }
    }
}
