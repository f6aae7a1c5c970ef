import ClusterModel
import HighAvailability

/// Who this node is, and whether another one says that he is it. The question at the start goes by REST and does not
/// reach every such node, nor one that comes back later; but both see the store, where the member key tells the other's
/// addresses.
struct Identity: Sendable {
    /// Of a node's own addresses that many are remembered.
    private static let mostAddresses = 8

    let scope: String
    var me: NodeIdentity
    private(set) var addresses: MemberKey.Addresses
    /// Those that this node has had since the daemon started, the newest last.
    private var ownAddresses: [MemberKey.Addresses]
    /// Where another node of our name is, as the last view showed it.
    private(set) var foundNamesake: String?

    init(scope: String, me: NodeIdentity, addresses: MemberKey.Addresses) {
        self.scope = scope
        self.me = me
        self.addresses = addresses
        ownAddresses = [addresses]
    }

    /// The addresses that an operator changes by a reload stay ours: the member key has the old ones for a while.
    mutating func reload(_ me: NodeIdentity, _ addresses: MemberKey.Addresses) {
        self.me = me
        self.addresses = addresses
        ownAddresses.removeAll { $0 == addresses }
        ownAddresses.append(addresses)
        ownAddresses.removeFirst(max(0, ownAddresses.count - Self.mostAddresses))
    }

    /// What a view says of another node of our name: its member key has addresses that this node has never had. It may
    /// be that of an earlier life, before an address was changed, and goes with its session then. A leader key on our
    /// own session, or on the one that the guardian knows, is ours, whoever has written over the member key.
    mutating func lookForNamesake(in view: ClusterView, session: String?) {
        foundNamesake = nil
        // A node's key hangs on its session; one that hangs on none was put by hand, and would never go.
        guard let member = view.member(me.name), !member.session.isEmpty,
            !ownAddresses.contains(where: { $0.areThose(of: member) })
        else { return }
        if let leader = view.leader, leader.name == me.name, leader.session == session { return }
        foundNamesake = member.data["api_url"]?.string ?? member.data["conn_url"]?.string
    }

    /// Where another node of our name is; nil where there is none, or where the keys are ours all the same.
    ///
    /// Without a guardian nothing tells whose lease a server runs under that accepts writes: it may be the one of an
    /// earlier life of this node, under an address that was changed since, and goes on (L3). A daemon that has held the
    /// key itself knows: what stands there on another session is none of its own.
    func namesake(_ local: PostgreSQLStatus, hasGuardian: Bool, hasHeldKey: Bool = false) -> String? {
        !hasGuardian && local.mayAcceptWrites && !hasHeldKey ? nil : foundNamesake
    }
}

extension MemberKey.Addresses {
    /// What the member does not tell cannot differ.
    fileprivate func areThose(of member: Member) -> Bool {
        (member.data["api_url"]?.string ?? apiURL) == apiURL
            && (member.data["conn_url"]?.string ?? connectionURL) == connectionURL
    }
}
