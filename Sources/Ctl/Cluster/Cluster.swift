import ClusterAccess
import ClusterModel
import Ports

/// One cluster in the store, as a command asks for it.
struct Cluster: Sendable {
    let name: String
    /// Of a Citus cluster: the group that is meant; nil for all of them.
    let group: Int?
    let isCitus: Bool
    private let session: Session
    /// At the path of the group, where one is meant.
    private let store: any StoreAdministration

    /// How long one attempt may take; nobody waits for ever without being told.
    static let patience = Duration.seconds(10)

    /// A name is one part of a path: what is none would mean every cluster of the namespace, or a part of one.
    init(_ name: String, group: Int?, _ session: Session) throws {
        let isName = !name.isEmpty && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") }
        guard isName else { throw CtlError.refused("'\(name.printable)' is no name of a cluster") }
        self.name = name
        self.group = group
        self.session = session
        isCitus = group != nil || session.group != nil
        let scope = group.map { "\(name)/\($0)" } ?? name
        store = try StoreWiring.administration(session.configuration, scope: scope)
    }

    /// Reads the cluster. A store that does not answer is waited for, and that is said (ctl.md §1.4).
    func load() async throws -> ClusterPicture {
        if isCitus, group == nil {
            let groups = try await persisting { deadline in try await store.loadGroups(deadline: deadline) }
            let known = groups.sorted { $0.key < $1.key }.map { ClusterPicture.Group(number: $0.key, view: $0.value) }
            let all = known.isEmpty ? [ClusterPicture.Group(number: 0, view: ClusterView())] : known
            return ClusterPicture(name: name, group: nil, isCitus: true, groups: all)
        }
        let view = try await persisting { deadline in try await store.load(deadline: deadline) }
        return ClusterPicture(
            name: name, group: group, isCitus: isCitus, groups: [ClusterPicture.Group(number: group, view: view)])
    }

    /// Writes a key where nobody has changed it since it was seen; false where somebody has.
    func write(_ key: DCSKey, _ value: JSONObject, asSeen revision: Revision?) async throws -> Bool {
        let outcome = try await store.write(
            key, .object(value), if: .asSeen(revision), deadline: session.now + Self.patience)
        return outcome != .refused
    }

    func removeAll() async throws { _ = try await store.removeAll(deadline: session.now + Self.patience) }

    /// How the store itself is.
    func condition() async throws -> StoreCondition {
        try await store.condition(deadline: session.now + Self.patience)
    }

    /// Between two attempts that found nobody.
    private static let pause = Duration.seconds(5)

    /// Who sits before a screen on which nothing comes is soon told why; a store that is slow is given its time.
    private static let firstPatience = Duration.seconds(2)

    private func persisting<Value>(_ body: (BootInstant) async throws -> Value) async throws -> Value {
        for round in 1... {
            let isFirst = round == 1
            do {
                return try await body(session.now + (isFirst ? Self.firstPatience : Self.patience))
            } catch DCSError.unreachable(let reason) {
                try Task.checkCancellation()
                session.warn(
                    "the store does not answer, it is asked again\(isFirst ? "" : " in 5 seconds"): \(reason)")
                if !isFirst { await session.pause(Self.pause) }
            }
        }
        throw CtlError.aborted
    }
}

/// A cluster as one read saw it: one view, or one of each group.
struct ClusterPicture: Sendable {
    struct Group: Sendable {
        let number: Int?
        let view: ClusterView
    }

    let name: String
    let group: Int?
    let isCitus: Bool
    /// At least one.
    let groups: [Group]

    /// The cluster itself, or the group of the coordinator.
    var view: ClusterView { groups.first?.view ?? ClusterView() }

    /// The dynamic configuration; the defaults where it is none.
    var settings: DynamicConfiguration { Self.settings(view) }

    static func settings(_ view: ClusterView) -> DynamicConfiguration {
        view.config.flatMap { DynamicConfiguration(document: $0.data, isShared: view.hasMembersOfPatroni) }
            ?? DynamicConfiguration()
    }

    /// The members of a role (ctl.md §3.1).
    func members(_ role: RoleFilter) -> [Member] { groups.flatMap { Self.members(role, $0.view) } }

    private static func members(_ role: RoleFilter, _ view: ClusterView) -> [Member] {
        let leader = view.leaderName.flatMap(view.member)
        switch role {
        case .leader: return leader.map { [$0] } ?? []
        case .primary: return leader.flatMap { $0.role == .standbyLeader ? nil : [$0] } ?? []
        case .standbyLeader: return leader.flatMap { $0.role == .primary ? nil : [$0] } ?? []
        case .replica, .standby: return view.members.filter { $0.name != view.leaderName }
        case .any: return view.members
        }
    }

    /// The leader first, then the others: those who can be asked over REST.
    var leaderFirst: [Member] {
        let all = view.members.filter { $0.apiURL != nil }
        return all.filter { $0.name == view.leaderName } + all.filter { $0.name != view.leaderName }
    }
}

extension ClusterView {
    /// Whose least times count then for all (docs/time.md).
    var hasMembersOfPatroni: Bool { members.contains { $0.ownVersion == nil } }
}
