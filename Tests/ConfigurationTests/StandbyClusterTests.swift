import ClusterModel
import Configuration
import Testing

/// What `standby_cluster` says of PostgreSQL itself.
@Suite struct StandbyClusterTests {
    @Test func theMethodsOfAStandbyCluster() throws {
        let local = "postgresql: {create_replica_methods: [mine], mine: {command: /bin/a}, far: {command: /bin/b}}"
        func methods(_ section: JSONObject) throws -> [String] {
            try Example.effective(local, dynamic: ["standby_cluster": .object(section)])
                .postgreSQL.replicaMethods.map { $0.command ?? $0.name }
        }
        let named = try methods(["host": "a", "create_replica_methods": ["far", "basebackup"]])
        #expect(named == ["/bin/b", "basebackup"])
        #expect(try methods(["host": "a"]) == ["basebackup"])
        #expect(try methods(["create_replica_methods": ["far"]]) == ["/bin/a"], "it follows nobody")
        let recovery = try Example.effective(dynamic: ["standby_cluster": ["port": 1, "restore_command": "x"]])
        #expect(recovery.postgreSQL.standbyRecovery.map(\.name) == ["restore_command"])
    }
}
