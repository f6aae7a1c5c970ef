import ClusterModel
import HighAvailability
import Node
import Ports

/// Replication slots.
extension World {
    /// S8: a slot of a member that is there stays, and moves to no WAL that this server has not replayed.
    /// So does a permanent one. Worlds have no logical slots.
    mutating func checkSlot(_ action: SlotAction, _ index: Int) {
        let server = nodes[index].postgreSQL
        switch action {
        case .create, .createLogical, .advanceLogical, .verifyLogical: break
        case .drop(let slot):
            coverage.count(.slotAbandoned)
            if let member = member(of: slot), isThere(member, for: index) {
                violate(.S8, "\(name(index)) drops the slot \(slot) of a member that is there")
            }
            if let settings = nodes[index].published?.snapshot.settings,
                settings.permanentSlots.contains(where: { $0.name == slot })
            {
                violate(.S8, "\(name(index)) drops the permanent slot \(slot)")
            }
        case .advance(let slot, let target):
            if target > server.position {
                violate(.S8, "\(name(index)) at \(server.position) moves the slot \(slot) to \(target)")
            }
        }
    }

    /// Where slots go soon after their members, who comes back between a look and the drop has a new one soon.
    private func isThere(_ member: Int, for index: Int) -> Bool {
        if setup.tempers.slotsTTL == nil { return store.keys["members/\(name(member))"] != nil }
        return nodes[index].machine?.snapshot().view?.member(name(member)) != nil
    }

    /// S8: where a member has gone for longer than `member_slots_ttl`, its slot goes.
    mutating func lookForAbandonedSlots() {
        guard let seconds = setup.tempers.slotsTTL else { return }
        let leader = store.leader.flatMap { index(of: $0.text) }
        for index in nodes.indices where index != leader || !couldDrop(index) { nodes[index].records.abandoned = [:] }
        guard let leader, couldDrop(leader), let settings = nodes[leader].published?.snapshot.settings else { return }
        let read = streams(leader).active
        let bound = Duration.seconds(seconds) + settings.timings.loopWait * 2 + .seconds(5)
        let slots = nodes[leader].postgreSQL.slots
        // One that went and was made again has a time of its own.
        nodes[leader].records.abandoned = nodes[leader].records.abandoned.filter { slots[$0.key] != nil }
        for slot in slots.keys.sorted() {
            guard let member = member(of: slot), store.keys["members/\(name(member))"] == nil, !read.contains(slot)
            else {
                nodes[leader].records.abandoned[slot] = nil
                continue
            }
            let since = nodes[leader].records.abandoned[slot] ?? now
            nodes[leader].records.abandoned[slot] = since
            if now - max(since, nodes[leader].daemonBegan) > bound {
                let time = bound.inSeconds
                violate(.S8, "\(name(leader)) keeps the slot \(slot), whose member has been away for \(time) s")
            }
        }
    }

    private func couldDrop(_ index: Int) -> Bool {
        let node = nodes[index]
        return node.commits && node.isUndisturbed && node.blocked == 0 && node.postgreSQL.checkpointer == nil
            && storeIsDown == 0 && storeDelays.isEmpty && isStoreFaithful && !configuration.isPaused
            && node.published?.snapshot.running == nil
    }

    private func member(of slot: String) -> Int? { nodes.indices.first { SlotName.of(member: name($0)) == slot } }
}
