import ClusterModel
import HighAvailability
import Testing

/// Permanent slots that are of one kind of cluster (`cluster_type`, postgresql.md §22).
@Suite struct ClusterTypeSlotTests {
    private static let slots: JSONObject = [
        "any": ["type": "physical"], "of_primaries": ["type": "physical", "cluster_type": "primary"],
        "of_standbys": ["type": "physical", "cluster_type": "standby"],
    ]

    private static func made(
        _ local: PostgreSQLStatus, leader: String, following: JSONObject? = nil, tags: JSONObject = [:]
    ) -> [SlotAction] {
        var settings: JSONObject = ["slots": .object(slots)]
        settings["standby_cluster"] = following.map { .object($0) }
        var local = local
        local.facts?.slots = []
        let members = leader == "n1" ? [Scene.member("n1")] : [Scene.member("n1"), Scene.member("n2")]
        return slotRule(
            NodeIdentity(name: "n1", tags: Tags(tags)), Scene.view(leader: leader, members: members),
            DynamicConfiguration(document: settings) ?? DynamicConfiguration(), local
        ).actions
    }

    @Test func aStandbyClusterHasItsOwn() {
        let made = Self.made(Scene.standby(), leader: "n1", following: ["host": "elsewhere"])
        #expect(made == [.create("any"), .create("of_standbys")])
    }

    /// As Patroni has it: a primary does not ask what a slot is of.
    @Test func aPrimaryHasAllOfThem() {
        #expect(
            Self.made(Scene.primary(), leader: "n1") == [
                .create("any"), .create("of_primaries"), .create("of_standbys"),
            ])
    }

    @Test func whoStreamsFromNobodyHasThoseOfItsCluster() {
        let made = Self.made(Scene.standby(), leader: "n2", tags: ["nostream": true])
        #expect(made == [.create("any"), .create("n2"), .create("of_primaries")])
    }
}
