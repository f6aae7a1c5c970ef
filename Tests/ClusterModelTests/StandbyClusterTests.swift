import ClusterModel
import Testing

@Suite struct StandbyClusterTests {
    static let sections: [(section: JSONObject, address: String?, slot: String?)] = [
        (["host": "a"], "a:5432", nil),
        (["host": "a, 10.0.0.2", "port": 5433], "a,10.0.0.2:5433", nil),
        (["host": "a", "port": "5433", "primary_slot_name": "Site-B"], "a:5433", "site_b"),
        (["port": 6000], "localhost:6000", nil),
        (["restore_command": "cp"], nil, nil),
        (["host": "a b"], nil, nil),
        (["host": "a,", "port": 70000], nil, nil),
    ]

    @Test(arguments: sections) func says(_ section: JSONObject, _ address: String?, _ slot: String?) throws {
        let cluster = try #require(StandbyCluster(section))
        #expect(cluster.address.map { "\($0)" } == address && cluster.slotName == slot)
        let upstream = cluster.upstream(leads: true)
        #expect(upstream.hasAddress == (address != nil) && upstream.isFollowedByLeader)
        #expect(upstream != cluster.upstream(leads: false))
    }

    @Test(
        arguments: [
            [:], ["host": "", "port": 0], ["primary_slot_name": "x"], ["host": .null, "archive_cleanup_command": "x"],
        ] as [JSONObject])
    func saysNothing(_ section: JSONObject) {
        #expect(StandbyCluster(section) == nil)
        #expect(DynamicConfiguration(document: ["standby_cluster": .object(section)])?.isStandbyCluster == false)
    }

    @Test func recovery() {
        let section: JSONObject = [
            "host": "a", "restore_command": "cp %f %p", "archive_cleanup_command": "", "recovery_min_apply_delay": 5000,
        ]
        #expect(
            StandbyCluster(section)?.recovery == ["restore_command": "cp %f %p", "recovery_min_apply_delay": "5000"])
    }
}
