import ClusterModel

/// The ways to take a primary down (ha-loop.md §13).
enum DemotionPlans {
    /// The lease is gone or somebody else's: nothing may wait.
    static func lost(_ seen: Observation) -> Plan {
        Plan(.demote, [.postgreSQL(.stop(.immediate, timeout: PostgreSQLOperation.urgentStopTimeout))])
    }

    /// The cluster is to follow a primary elsewhere (ha-loop.md §13): a clean stop, so that whoever receives from here
    /// has everything, under the lease all the while. What then stands here is compared before it follows anybody.
    static func standbyCluster(_ seen: Observation) -> Plan {
        // Nobody here takes over, so there is no hurry: whoever follows from elsewhere may have much to receive.
        let stop = PostgreSQLOperation.stop(
            .fastAfterCheckpoint, timeout: max(seen.settings.stopTimeout, archivingPatience))
        return Plan(.demoteCluster, [.postgreSQL(stop), .postgreSQL(.archiveLastSegment)])
    }

    /// The lease still runs: a clean stop until `haltBy`, then read-only and following nobody.
    static func offline(_ seen: Observation) -> Plan {
        let left = seen.lease.map { LeaseArithmetic.haltBy($0) - seen.now } ?? .zero
        let stop: PostgreSQLOperation =
            left > .zero
            ? .stop(.fast, timeout: left) : .stop(.immediate, timeout: PostgreSQLOperation.urgentStopTimeout)
        return Plan(
            .demoteOffline,
            [.postgreSQL(stop), .postgreSQL(.startStandby(of: nil, timeout: seen.settings.startPatience))])
    }
}
