import ClusterModel
import Configuration
import Testing

/// `parameters_<role>` and its kin (configuration.md §1.7).
@Suite struct RoleSettingsTests {
    private func value(_ settings: [ParameterSetting], _ name: String) -> String? {
        settings.first { $0.name == name }?.value
    }

    @Test func whatIsSoOnlyInARole() throws {
        let configuration = try Example.effective(
            """
            postgresql:
              pg_hba: [a]
              parameters_primary: {work_mem: 8MB, Max_Connections: 7, jit: off}
              pg_hba_replica: [b, c]
              pg_ident_standby_leader: []
            """,
            dynamic: ["postgresql": ["parameters_replica": ["jit": false], "pg_hba_replica": ["d"]]])
        let settings = configuration.postgreSQL
        #expect(settings.ofPrimary.parameters.map(\.name) == ["work_mem", "jit"])
        #expect(value(settings.ofPrimary.parameters, "work_mem") == "8MB")
        #expect(settings.ofPrimary.hostBasedAuthentication == nil)
        #expect(value(settings.ofReplica.parameters, "jit") == "off")
        #expect(settings.ofReplica.hostBasedAuthentication == ["b", "c"], "the local list replaces the dynamic one")
        #expect(settings.ofStandbyLeader.identityMap == [])
        #expect(settings.hostBasedAuthentication == ["a"])
        let warning = "postgresql.parameters_primary.Max_Connections"
        #expect(configuration.warnings.contains { $0.contains(warning) && $0.contains("has no effect here") })
    }

    @Test func whatIsNoMappingOrListIsNamed() {
        let problems = Example.problems(
            """
            postgresql:
              parameters_primary: [work_mem]
              pg_hba_replica: all
              pg_ident_primary: {a: b}
            """)
        for key in ["parameters_primary", "pg_hba_replica", "pg_ident_primary"] {
            #expect(problems.contains { $0.contains("postgresql.\(key)") }, "\(problems)")
        }
        #expect(problems.count == 3)
    }
}
