import ClusterModel
import Testing

@testable import Ctl

/// What `watch` draws of more than one cluster, and while the store is silent.
@Suite struct WatchTests {
    private func lines(_ screen: WatchScreen) -> [String] {
        screen.frame(columns: 200, lines: 60).split(separator: "\r\n").map {
            String($0).replacing("\u{1B}[K", with: "").replacing("\u{1B}[J", with: "").replacing("\u{1B}[H", with: "")
        }
    }

    private func place(_ cluster: String, _ group: Int? = nil) -> WatchPlace {
        WatchPlace(cluster: cluster, group: group, member: "pg-a")
    }

    /// Each has a member of this name.
    @Test func clustersAreKeptApart() {
        let pictures = ["orders", "bills"].map { Pictures.picture($0, Pictures.orders) }
        let guardians: [WatchPlace: JSONObject] = [
            place("orders"): ["armed": true, "lease_remaining_seconds": 17], place("bills"): ["armed": false],
        ]
        let shown = lines(WatchScreen(time: "now", pictures: pictures, guardians: guardians, events: []))
        let heads = shown.indices.filter { shown[$0].hasPrefix("+ Cluster: ") }
        #expect(heads.count == 2)
        #expect(shown.firstIndex(of: " pg-a: guardian armed, lease 17 s").map { $0 < heads[1] } == true, "\(shown)")
        #expect(shown.firstIndex(of: " pg-a: guardian not armed").map { $0 > heads[1] } == true, "\(shown)")
        #expect(place("bills").name(among: 2) == "bills pg-a" && place("bills").name(among: 1) == "pg-a")
    }

    @Test func groupsAreKeptApart() {
        let all = Pictures.citus("shop", [0: Pictures.orders, 1: Pictures.orders])
        #expect(WatchPlace.all(all).count == 6)
        let guardians: [WatchPlace: JSONObject] = [
            place("shop", 0): ["armed": true], place("shop", 1): ["armed": false],
        ]
        let shown = lines(WatchScreen(time: "now", pictures: [all], guardians: guardians, events: []))
        #expect(shown.contains(" group 0 pg-a: guardian armed") && shown.contains(" group 1 pg-a: guardian not armed"))
        // Where one group is shown, its number is in the title.
        let one = Pictures.citus("shop", group: 1, [1: Pictures.orders])
        #expect(WatchPlace.all(one).allSatisfy { $0.place.group == nil })
    }

    @Test func aStoreThatIsSilentIsToldOf() {
        let picture = Pictures.picture("orders", Pictures.orders)
        let old = WatchScreen(time: "then", pictures: [picture], guardians: [:], events: [], secondsOld: 12)
        #expect(lines(old)[0] == "matriarchctl then    q ends    the store has not answered for 12 s")
        let fresh = WatchScreen(time: "now", pictures: [picture], guardians: [:], events: [])
        #expect(lines(fresh)[0] == "matriarchctl now    q ends")
    }

    @Test func anEventIsOneLine() {
        let event = MemberEvent(member: "n1", kind: "state", data: ["state": "a\u{1B}[2J\nb"])
        #expect(event.text == " n1 state: a?[2J b")
        #expect(event.text(as: "demo n1") == " demo n1 state: a?[2J b")
    }
}
