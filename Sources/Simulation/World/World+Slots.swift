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
            if let member = member(of: slot), store.keys["members/\(name(member))"] != nil {
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

    private func member(of slot: String) -> Int? { nodes.indices.first { SlotName.of(member: name($0)) == slot } }
}
