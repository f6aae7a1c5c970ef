import ClusterModel
import HTTPServer
import Ports
import Synchronization

/// Who is let in now: the rules, which are replaced when the configuration is read again, and the addresses of the
/// members, of which they may speak (rest-api.md §3).
final class AccessControl: Sendable {
    /// How long the addresses of a member's name count, and how long a request waits for them.
    private static let (nameFreshness, namePatience) = (Duration.seconds(5), Duration.seconds(2))

    private let rules: Mutex<AccessRules>
    private let names: HostAddresses
    private let networks = MemberNetworks()

    init(_ rules: AccessRules, _ clock: any Clock, resolve: @escaping @Sendable (String) async -> [String]) {
        self.rules = Mutex(rules)
        names = HostAddresses(
            clock: clock, freshness: Self.nameFreshness, patience: Self.namePatience, resolve: resolve)
    }

    func replace(_ rules: AccessRules) { self.rules.withLock { $0 = rules } }

    /// The refusal of what `request` would change, or nil. `view` names the members; none without one.
    func refusal(_ request: HTTPRequest, of change: Route.Change, _ view: ClusterView?) async -> HTTPResponse? {
        let rules = rules.withLock { $0 }
        if !change.isForMembers { return await rules.refusal(request, members: nil) }
        return await rules.refusal(request) { await self.addresses(view.map(Self.hosts) ?? []) }
    }

    /// Whether a member has this address, as far as that can be told without asking a resolver.
    func isMember(_ peer: String, of view: ClusterView) -> Bool {
        networks.networks(of: view, hosts: Self.hosts).contains { $0.contains(peer) }
    }

    /// The hosts in the members' `api_url`s.
    private static func hosts(of view: ClusterView) -> [String] {
        view.members.compactMap { $0.apiURL.flatMap { HostPort(url: $0, defaultPort: 8008) }?.host }
    }

    /// The addresses that `hosts` are or stand for.
    private func addresses(_ hosts: [String]) async -> [String] {
        let unresolved = hosts.filter { IPNetwork(address: $0) == nil && Self.isName($0) }
        if unresolved.isEmpty { return hosts }
        return await hosts + names.addresses(of: unresolved).values.joined()
    }

    /// Whether a resolver is to be asked for it: what stands in the store is a name, or nothing.
    private static func isName(_ host: String) -> Bool {
        host.utf8.count <= 253
            && host.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || ".-_".utf8.contains(byte)
            }
    }
}

/// The addresses of the members: the same revision of the store holds the same members.
private final class MemberNetworks: Sendable {
    private let known = Mutex<(revision: Revision, networks: [IPNetwork])?>(nil)

    func networks(of view: ClusterView, hosts: (ClusterView) -> [String]) -> [IPNetwork] {
        if let networks = known.withLock({ $0?.revision == view.revision ? $0?.networks : nil }) { return networks }
        let networks = hosts(view).compactMap { IPNetwork(address: $0) }
        known.withLock { $0 = (view.revision, networks) }
        return networks
    }
}
