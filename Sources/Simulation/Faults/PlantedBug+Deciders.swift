import ClusterModel
import HighAvailability
import Node
import Ports

/// Bugs in the rules that have closures of their own: slots, and synchronous standbys.
extension PlantedBug {
    /// The rule of the slots with the bug around it.
    var slotDecider: Rules.SlotDecider? {
        guard [.slotDroppedEarly, .slotsKeptForEver].contains(self) else { return nil }
        return { me, view, settings, local, ledger, now in
            var plan = slotRule(me, view, settings, local, ledger, at: now)
            if self == .slotsKeptForEver {
                plan.actions.removeAll { if case .drop = $0 { true } else { false } }
                return plan
            }
            let unread = local.facts?.slots.filter { !$0.isActive }.map(\.name) ?? []
            if view.leaderName == me.name { plan.actions += unread.map { .drop($0) } }
            return plan
        }
    }

    /// The rule of the synchronous standbys with the bug around it.
    var synchronousDecider: Rules.SynchronousDecider? {
        if self == .confirmationSkipped {
            return { me, view, settings, local, ledger, handed in
                synchronousRule(me, view, settings, local, ledger.confirmingAll(local), handed: handed)
            }
        }
        if self == .namesForgottenFirst {
            return { me, view, settings, local, ledger, handed in
                let plan = synchronousRule(me, view, settings, local, ledger, handed: handed)
                guard case .writeSync(let state)? = plan.step, state.voters.count < view.sync.voters.count else {
                    return plan
                }
                return namesInPlace(of: plan, state, local)
            }
        }
        guard self == .strictIgnored else { return nil }
        return { me, view, settings, local, ledger, handed in
            var document = settings.document
            document["synchronous_mode_strict"] = nil
            let changed = DynamicConfiguration(document: document) ?? settings
            return synchronousRule(me, view, changed, local, ledger, handed: handed)
        }
    }
}

/// The step that comes after `plan`, without it; where the names are that already, the plan stays.
private func namesInPlace(
    of plan: SynchronousPlan, _ state: SyncState, _ local: PostgreSQLStatus
) -> SynchronousPlan {
    let names = SynchronousNames(
        state.quorum > 0 ? .quorum : .priority, max(0, state.voters.count - state.quorum), Set(state.voters))
    if names.text == local.facts?.synchronous?.inForce { return plan }
    var changed = plan
    changed.step = .setNames(.names(names))
    return changed
}
