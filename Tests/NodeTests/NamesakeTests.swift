import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// Two nodes of one name that do not reach each other's REST: the second puts no key by that name, and takes none away.
@Suite struct NamesakeTests {
    static func view(leader: String?, memberAt address: String?) -> ClusterView {
        var entries = [
            StoredEntry(leaf: "config", value: "{\"ttl\": 30}", revision: 2),
            StoredEntry(leaf: "initialize", value: "7000000000000000001", revision: 1),
        ]
        if let leader { entries.append(StoredEntry(leaf: "leader", value: leader, revision: 3, session: "theirs")) }
        if let address {
            let value = "{\"state\": \"running\", \"api_url\": \"\(address)\", \"matriarch\": \"0.1\"}"
            entries.append(StoredEntry(leaf: "members/n1", value: value, revision: 1, session: "theirs"))
        }
        return ClusterView(entries: entries, revision: 5) { try? JSON.parse($0) }
    }

    static func cycle(
        _ scene: inout GuardianOrderTests.Scene, _ view: ClusterView, writable: Bool = false, isEmpty: Bool = false
    ) -> [CycleEffect] {
        var status = scene.status(writable: writable)
        if isEmpty {
            status = PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: scene.now)
        }
        var effects = scene.step(.timer, after: .seconds(10))
        status.observedAt = scene.now
        effects += scene.step(.node(.observed(status)))
        effects += scene.step(.store(.loaded(.success(view))))
        return effects
    }

    static func firstCycle(
        _ view: ClusterView, writable: Bool = false, isEmpty: Bool = false, adopted: Lease? = nil
    ) -> [CycleEffect] {
        var scene = GuardianOrderTests.Scene(adopted: adopted)
        return cycle(&scene, view, writable: writable, isEmpty: isEmpty)
    }

    /// Whether a key of the name is put or taken away.
    static func putsOrDeletes(_ effects: [CycleEffect]) -> Bool {
        effects.contains { effect in
            switch effect {
            case .store(.renew, _), .store(.acquire, _), .store(.touch, _), .store(.release, _), .store(.write, _): true
            default: false
            }
        }
    }

    static func renews(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .store(.renew, _) = $0 { true } else { false } }
    }

    static func stops(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .node(.perform(.stop, _, _)) = $0 { true } else { false } }
    }

    static let elsewhere = "http://b:2/patroni"
    static let here = "http://a:2/patroni"

    @Test func aStandbyLeavesTheKeysOfItsNamesake() {
        #expect(!Self.putsOrDeletes(Self.firstCycle(Self.view(leader: "n1", memberAt: Self.elsewhere))))
        #expect(!Self.putsOrDeletes(Self.firstCycle(Self.view(leader: nil, memberAt: Self.elsewhere))))
    }

    /// An empty directory under the name of the leader: its key is not given away, and its data is not copied as ours.
    @Test func anEmptyNodeDoesNotReleaseTheKeyOfItsNamesake() {
        let effects = Self.firstCycle(Self.view(leader: "n1", memberAt: Self.elsewhere), isEmpty: true)
        #expect(!Self.putsOrDeletes(effects))
        #expect(!effects.contains { if case .node(.perform) = $0 { true } else { false } })
    }

    @Test func whatItHasLeftItselfItTakesUp() {
        #expect(Self.renews(Self.firstCycle(Self.view(leader: "n1", memberAt: Self.here))))
        #expect(Self.renews(Self.firstCycle(Self.view(leader: "n1", memberAt: nil))))
    }

    /// L3: an operator has changed the address of a leader, whose PostgreSQL goes on under the lease of before.
    @Test func aPrimaryWithANewAddressGoesOn() {
        let lease = Lease(since: GuardianOrderTests.start, ttl: .seconds(30), session: "theirs")
        let view = Self.view(leader: "n1", memberAt: Self.elsewhere)
        let effects = Self.firstCycle(view, writable: true, adopted: lease)
        #expect(Self.renews(effects) && !Self.stops(effects))
    }

    /// S1: one whose lease nobody knows writes beside the leader of the same name.
    @Test func aPrimaryWithoutALeaseMakesWayForItsNamesake() {
        let effects = Self.firstCycle(Self.view(leader: "n1", memberAt: Self.elsewhere), writable: true)
        #expect(Self.stops(effects) && !Self.putsOrDeletes(effects))
    }

    /// A node that was cut off comes back, and another has its name since: the question at the start is long past.
    @Test func whoComesBackFindsThatItsNameIsTaken() {
        var scene = GuardianOrderTests.Scene()
        #expect(Self.renews(Self.cycle(&scene, Self.view(leader: "n1", memberAt: Self.here))))
        _ = scene.step(.store(.renewed(.failure(.unreachable("cut off")))))
        #expect(!Self.putsOrDeletes(Self.cycle(&scene, Self.view(leader: "n1", memberAt: Self.elsewhere))))
        let end = scene.step(.shutdownRequested) + scene.step(.node(.performed(plan: 1, .success(.done))))
        #expect(!Self.putsOrDeletes(end), "its end is not told in the other's name")
    }

    /// Without a guardian nothing stops it meanwhile, but what it held was on a session of its own.
    @Test func aPrimaryWithoutAGuardianDoesNotTakeTheKeyOfItsNamesake() {
        var scene = GuardianOrderTests.Scene()
        scene.machine.guardian = nil
        #expect(Self.renews(Self.cycle(&scene, Self.view(leader: "n1", memberAt: Self.here), writable: true)))
        let held = LeaderClaim.held(since: scene.now, ttl: .seconds(30), session: "mine")
        _ = scene.step(.store(.renewed(.success(held))))
        scene.now = scene.now + .seconds(60)
        let effects = Self.cycle(&scene, Self.view(leader: "n1", memberAt: Self.elsewhere), writable: true)
        #expect(!Self.renews(effects) && Self.stops(effects))
    }

    @Test func anAddressChangedByAReloadStaysItsOwn() {
        var scene = GuardianOrderTests.Scene()
        let addresses = MemberKey.Addresses(
            connectionURL: "postgres://a:1/p", apiURL: Self.elsewhere, version: "4.1.5")
        _ = scene.step(.reloaded(NodeIdentity(name: "n1"), addresses))
        #expect(Self.renews(Self.cycle(&scene, Self.view(leader: "n1", memberAt: Self.here))))
    }
}
