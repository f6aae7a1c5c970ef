import ClusterModel

/// The ways to take a primary down (ha-loop.md §13).
enum DemotionPlans {
    /// The lease is gone or somebody else's: nothing may wait.
    static func lost(_ seen: Observation) -> Plan {
        Plan(.demote, [.postgreSQL(.stop(.immediate, timeout: .seconds(5)))])
    }

    /// The lease still runs: a clean stop until `haltBy`, then read-only and following nobody.
    static func offline(_ seen: Observation) -> Plan {
        let left = seen.lease.map { LeaseArithmetic.haltBy($0) - seen.now } ?? .zero
        let stop: PostgreSQLOperation =
            left > .zero ? .stop(.fast, timeout: left) : .stop(.immediate, timeout: .seconds(5))
        return Plan(
            .demoteOffline,
            [.postgreSQL(stop), .postgreSQL(.startStandby(of: nil, timeout: seen.settings.startPatience))])
    }
}
