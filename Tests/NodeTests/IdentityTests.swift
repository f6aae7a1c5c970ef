import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// Who this node is, and who else says that he is it.
@Suite struct IdentityTests {
    private static func addresses(_ port: Int) -> MemberKey.Addresses {
        MemberKey.Addresses(
            connectionURL: "postgres://a:\(port)/postgres", apiURL: "http://a:\(port)/patroni", version: "4.1.5")
    }

    private static func view(of port: Int?, on memberSession: String = "m", leader session: String? = nil)
        -> ClusterView
    {
        var view = ClusterView()
        if let port {
            view.members = [
                Member(
                    name: "n1", session: memberSession, revision: 1, data: ["api_url": .string(addresses(port).apiURL)])
            ]
        }
        view.leader = session.map { LeaderRecord(name: "n1", session: $0, revision: 2) }
        return view
    }

    struct Row: Sendable {
        let what: String
        let view: ClusterView
        var session: String?
        let expected: String?
    }

    static let rows = [
        Row(what: "nobody of our name is there", view: view(of: nil), expected: nil),
        Row(what: "it is our own key", view: view(of: 1), expected: nil),
        Row(what: "it is our own key of before the reload", view: view(of: 2), expected: nil),
        Row(what: "it has an address that we never had", view: view(of: 3), expected: "http://a:3/patroni"),
        Row(
            what: "the leader key hangs on our session", view: view(of: 3, leader: "s"), session: "s", expected: nil),
        Row(
            what: "the leader key hangs on another session", view: view(of: 3, leader: "t"), session: "s",
            expected: "http://a:3/patroni"),
        Row(
            what: "without a lease no session is ours", view: view(of: 3, leader: ""), expected: "http://a:3/patroni"),
        // Found by the simulation (profile ground, seed 1418): an empty node waited for it to go, for ever.
        Row(what: "a key that hangs on no session is nobody's", view: view(of: 3, on: ""), expected: nil),
    ]

    @Test(arguments: rows)
    func another(row: Row) {
        var identity = Identity(scope: "s", me: NodeIdentity(name: "n1"), addresses: Self.addresses(2))
        identity.reload(NodeIdentity(name: "n1"), Self.addresses(1))
        identity.lookForNamesake(in: row.view, session: row.session)
        #expect(identity.foundNamesake == row.expected, "\(row.what)")
    }

    /// Without a guardian a server that accepts writes may be our own of an earlier life.
    @Test func aPrimaryWithoutAGuardianMayBeOurOwn() {
        var identity = Identity(scope: "s", me: NodeIdentity(name: "n1"), addresses: Self.addresses(1))
        identity.lookForNamesake(in: Self.view(of: 3), session: nil)
        let now = BootInstant(nanoseconds: 0)
        var local = PostgreSQLStatus(dataDirectory: .initialized, state: .running, postmaster: 7, observedAt: now)
        #expect(local.mayAcceptWrites && identity.namesake(local, hasGuardian: false) == nil)
        #expect(identity.namesake(local, hasGuardian: true) != nil)
        #expect(identity.namesake(local, hasGuardian: false, hasHeldKey: true) != nil)
        local.postmaster = nil
        #expect(identity.namesake(local, hasGuardian: false) != nil)
    }

    /// An operator who changes the address all the time does not fill the memory.
    @Test func soManyAddressesAreRemembered() {
        var identity = Identity(scope: "s", me: NodeIdentity(name: "n1"), addresses: Self.addresses(1))
        for port in 2...9 { identity.reload(NodeIdentity(name: "n1"), Self.addresses(port)) }
        identity.lookForNamesake(in: Self.view(of: 2), session: nil)
        #expect(identity.foundNamesake == nil)
        identity.lookForNamesake(in: Self.view(of: 1), session: nil)
        #expect(identity.foundNamesake != nil)
    }
}
