import ClusterModel
import Configuration
import Testing

/// Tags are published as they stand, and what counts for something else than it reads is told.
@Suite struct TagTests {
    @Test(
        arguments: [
            (
                "{nofailover: true, failover_priority: 1}",
                "Conflicting configuration between nofailover: True and failover_priority: 1. Defaulting to nofailover: True"
            ),
            (
                "{nofailover: false, failover_priority: 0}",
                "Conflicting configuration between nofailover: False and failover_priority: 0. Defaulting to nofailover: False"
            ),
            (
                "{nosync: true, sync_priority: '2'}",
                "Conflicting configuration between nosync: True and sync_priority: 2. Defaulting to nosync: True"
            ),
            ("{nofailover: true, failover_priority: 0}", nil), ("{failover_priority: 1}", nil),
            ("{nosync: false, sync_priority: 1}", nil),
        ] as [(String, String?)])
    func contradictingTags(tags: String, warning: String?) throws {
        let configuration = try Example.effective("tags: \(tags)")
        #expect(configuration.warnings == [warning].compactMap { $0 })
    }

    @Test(arguments: [
        ("nofailover: 'false'", "is no boolean, and counts as true"),
        ("nosync: ''", "is no boolean, and counts as false"),
        ("clonefrom: 1", nil), ("noloadbalance: off", nil), ("nostream: never", "is no boolean, and counts as false"),
        ("nostream: 'yes'", nil), ("failover_priority: high", "is no whole number, and counts as 1"),
        ("sync_priority: '2'", nil), ("replicatefrom: 5", "is no text, and counts for nothing (quote a number)"),
        ("anything: [1]", nil), ("nofailover: null", nil),
    ])
    func tagsOfOtherTypes(tag: String, remark: String?) throws {
        let warnings = try Example.effective("tags: {\(tag)}").warnings
        #expect(warnings.count == (remark == nil ? 0 : 1) && warnings.allSatisfy { $0.hasSuffix(remark ?? "") })
    }

    @Test func tagsKeepOrderAndTypes() throws {
        let tags = try Example.effective("tags: {zone: a, failover_priority: '1', nofailover: true, x: 5}").tags
        #expect(tags.raw.keys == ["zone", "failover_priority", "nofailover", "x"])
        #expect(tags.raw["failover_priority"] == "1")
    }
}
