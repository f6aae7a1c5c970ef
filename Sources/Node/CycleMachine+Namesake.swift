import ClusterModel
import HighAvailability

/// Another node under our name (E2). The question at the start goes by REST and does not reach every such node, nor one
/// that comes back later; but both see the store, where the member key tells the other's addresses.
extension CycleMachine {
    /// Where another node of our name is; nil where there is none, or where the keys are ours all the same.
    ///
    /// Without a guardian nothing tells whose lease a server runs under that accepts writes: it may be the one of an
    /// earlier life of this node, under an address that was changed since, and goes on (L3).
    var namesake: String? {
        if guardian == nil, local.mayAcceptWrites { return nil }
        return foundNamesake
    }

    /// What a view says of another node of our name: its member key has addresses that this node has never had. It may
    /// be that of an earlier life, before an address was changed, and goes with its session then. A leader key on our
    /// own session, or on the one that the guardian knows, is ours, whoever has written over the member key.
    func findNamesake(in view: ClusterView) -> String? {
        guard let member = view.member(me.name), !ownAddresses.contains(where: { $0.areThose(of: member) }) else {
            return nil
        }
        if let leader = view.leader, leader.name == me.name, let lease, leader.session == lease.session { return nil }
        return member.data["api_url"]?.string ?? member.data["conn_url"]?.string
    }

    /// The addresses that an operator changes by a reload stay ours: the member key has the old ones for a while.
    mutating func noteOwn(_ addresses: MemberKey.Addresses) {
        ownAddresses.removeAll { $0 == addresses }
        ownAddresses.append(addresses)
        ownAddresses.removeFirst(max(0, ownAddresses.count - 8))
    }

    /// Said once, and again when it has gone and come back.
    mutating func tellOfNamesake(_ run: inout Run) {
        guard knownNamesake != namesake else { return }
        knownNamesake = namesake
        guard let namesake else {
            return run.log(.info, "no other node is a member under the name \(me.name) any more")
        }
        run.log(
            .error,
            "\(namesake) is a member under the name \(me.name), which is mine: I put no key before its own has gone")
    }
}

extension MemberKey.Addresses {
    /// What the member does not tell cannot differ.
    fileprivate func areThose(of member: Member) -> Bool {
        (member.data["api_url"]?.string ?? apiURL) == apiURL
            && (member.data["conn_url"]?.string ?? connectionURL) == connectionURL
    }
}
