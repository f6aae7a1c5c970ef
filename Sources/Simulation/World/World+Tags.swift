import ClusterModel
import HighAvailability
import Node
import Ports

/// Tags that operators set on nodes: who goes first, who never does, who streams from whom.
extension World {
    func tags(_ index: Int) -> Tags { Tags(setup.tags[index] ?? JSONObject()) }

    /// Whom a standby is to stream from while `leader` leads: the node of its tag, unless that leads back to it.
    func wantedSource(of index: Int, under leader: Int) -> Int {
        func named(by index: Int) -> Int? {
            guard let source = tags(index).replicatefrom.flatMap({ self.index(of: $0) }), source != index else {
                return nil
            }
            return source
        }
        guard index != leader, let first = named(by: index) else { return leader }
        var passed: Set<Int> = []
        var here: Int? = first
        while let next = here, next != leader, passed.insert(next).inserted {
            if next == index { return leader }
            here = named(by: next)
        }
        return first
    }

    /// The standbys that may be synchronous under `leader`.
    func maySynchronize(under leader: Int) -> [Int] {
        nodes.indices.filter { $0 != leader && !tags($0).nosync && wantedSource(of: $0, under: leader) == leader }
    }

    /// Of two that have the same, the one with the higher `failover_priority` leads, where it was there to be asked
    /// and could lead itself. The former leader's does not count, nor that of the key's last holder: who led a standby
    /// cluster has written nothing.
    mutating func checkPriority(_ index: Int, _ view: ClusterView) {
        guard !setup.isSynchronous, view.failover == nil, !configuration.isPaused, storeDelay == .zero,
            isStoreFaithful, nodes[index].losesAnswers == 0, isUndisturbed(index)
        else { return }
        // It is waited for for a ttl.
        let ttl = nodes[index].machine?.snapshot().settings.timings.ttl ?? .zero
        if let since = nodes[index].leaderKey.freeSince, now - since >= ttl { return }
        let server = nodes[index].postgreSQL
        let mine = tags(index).failoverPriority
        for other in nodes.indices where other != index && tags(other).failoverPriority > mine {
            let theirs = nodes[other].postgreSQL
            guard isUndisturbed(other), !standsBack(other), !isBlind(other), nodes[other].records.full == 0,
                !isOutsideFailsafe(other, view),
                !isCut(index, other), nodes[other].machine != nil,
                theirs.process == .running,
                theirs.isStandby, theirs.log == server.log, writers[server.log.branch] != other,
                nodes[index].leaderKey.lastHolder != name(other),
                nodes[other].replayFaults.isEmpty, nodes[index].replayFaults.isEmpty,
                now - max(theirs.grewAt, theirs.cameUpAt, server.grewAt, server.cameUpAt) > .seconds(6),
                store.keys["members/\(name(other))"] != nil
            else { continue }
            violate(.priority, "\(name(index)) leads although \(name(other)) has as much and a higher priority")
        }
    }
}

extension World.Setup {
    /// The nodes that may not lead.
    var nofailover: Set<Int> { Set(tags.keys.filter { Tags(tags[$0] ?? JSONObject()).nofailover }) }

    /// Tags for some of the nodes. Who may not lead is drawn apart; in strict mode everybody may be synchronous, so
    /// that commits need not wait for ever.
    mutating func drawTags(_ generator: inout SeededGenerator) {
        for index in 0..<nodes where tags[index] == nil && generator.oneIn(2) {
            switch generator.number(in: 0...4) {
            case 0: tags[index] = ["failover_priority": .int(Int64(generator.number(in: 1...3)))]
            case 1: tags[index] = ["sync_priority": .int(Int64(generator.number(in: 1...3)))]
            case 2 where !mayBeStrict: tags[index] = ["nosync": true]
            case 3 where !mayBeStrict, 4 where !mayBeStrict:
                tags[index] = ["replicatefrom": .string("n\(generator.number(in: 1...nodes))")]
            default: break
            }
        }
    }

    private var mayBeStrict: Bool {
        synchronous.isStrict
            || faults.contains { fault in
                if case .editSynchronous(let edited) = fault.kind { edited.isStrict } else { false }
            }
    }
}
