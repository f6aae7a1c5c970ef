import ClusterModel
import Testing

@testable import PostgreSQL

/// What becomes of parameters before a server sees them (postgresql.md §12).
@Suite struct ParameterRuleTests {
    @Test(
        "What becomes of a value",
        arguments: [
            ("work_mem", "4MB", 15, "4MB"), ("work_mem", "1kB", 15, "64"), ("WORK_MEM", "64", 15, "64"),
            ("work_mem", "3TB", 15, "2147483647"), ("work_mem", "4 ms", 15, nil), ("work_mem", "much", 15, nil),
            ("work_mem", "4mb", 15, nil), ("work_mem", "0x40", 15, "0x40"), ("work_mem", "", 15, nil),
            ("max_connections", "1e9", 15, "262143"), ("max_connections", "99999999999999999999", 15, "262143"),
            ("max_connections", "7.5", 15, "7.5"), ("port", "70000", 15, "65535"), ("port", "NaN", 15, nil),
            ("maintenance_work_mem", "64kB", 16, "1024"), ("maintenance_work_mem", "64kB", 17, "64kB"),
            ("autovacuum_vacuum_cost_delay", "1s", 15, "100.0"), ("autovacuum_vacuum_cost_delay", "2.5", 15, "2.5"),
            ("random_page_cost", "-1", 15, "0.0"), ("random_page_cost", "1e300", 15, "1e300"),
            ("checkpoint_timeout", "1d", 15, "1d"), ("checkpoint_timeout", "25h", 15, "86400"),
            ("log_file_mode", "0640", 15, "0640"),
            ("fsync", "off", 15, "off"), ("fsync", "TRUE", 15, "TRUE"), ("fsync", "maybe", 15, nil),
            ("archive_mode", "always", 15, "always"), ("archive_mode", "yes", 15, "yes"),
            ("archive_mode", "often", 15, nil), ("bytea_output", "HEX", 15, "HEX"), ("bytea_output", "on", 15, nil),
            ("wal_level", "hot_standby", 15, "hot_standby"), ("ssl_max_protocol_version", "", 15, ""),
            ("default_transaction_isolation", "Read Committed", 15, "Read Committed"),
            ("log_connections", "receipt,all", 17, nil), ("log_connections", "receipt,all", 18, "receipt,all"),
            ("log_connections", "receipt,all", 19, "receipt,all"),
            ("archive_command", "cp 'x' y", 15, "cp 'x' y"), ("pg_stat_statements.max", "-7", 15, "-7"),
            ("work_mem", "much", 14, "much"), ("bad name", "1", 15, nil), ("include", "x", 15, nil),
        ] as [(String, String, Int, String?)])
    func values(name: String, value: String, major: Int, kept: String?) {
        let judgement = ParameterRule.judge([name: value], version: major * 10_000 + 3)
        #expect(judgement.kept[name] == kept)
        #expect(judgement.notes.isEmpty == (kept == value), "\(judgement.notes)")
        #expect(judgement.unknown.isEmpty)
    }

    @Test(
        "Names come and go with the versions",
        arguments: [
            ("promote_trigger_file", [15]), ("force_parallel_mode", [15]), ("debug_parallel_query", [16, 17, 18]),
            ("old_snapshot_threshold", [15, 16]), ("db_user_namespace", [15, 16]), ("scram_iterations", [16, 17, 18]),
            ("summarize_wal", [17, 18]), ("io_method", [18]), ("idle_replication_slot_timeout", [18]),
            ("wal_keep_segments", []), ("shared_buffers", [15, 16, 17, 18]), ("no_such_parameter", []),
        ] as [(String, [Int])])
    func versions(name: String, majors: [Int]) {
        for major in 15...18 {
            let judgement = ParameterRule.judge([name: "1"], version: major * 10_000)
            #expect(judgement.unknown.isEmpty == majors.contains(major), "in \(major)")
            // Whether it is kept is for the server to say.
            if !majors.contains(major) { #expect(judgement.kept[name] == "1") }
        }
    }

    @Test("Notes name the parameter, what is wrong and what is done, and show no password")
    func notes() {
        let judgement = ParameterRule.judge(
            ["work_mem": "1kB", "fsync": "maybe", "bytea_output": "x"], version: 150_000)
        #expect(
            judgement.notes.map(\.text) == [
                "work_mem = 1kB is below the least: 64 is used", "fsync = maybe is no boolean: it is left out",
                "bytea_output = x is none of escape, hex: it is left out",
            ])
    }

    @Test("Every line of the table is read; a broken one would be missed")
    func table() {
        let lines = (ParameterCatalogue.firstHalf + "\n" + ParameterCatalogue.secondHalf).split(separator: "\n")
        #expect(lines.count > 350)
        #expect(ParameterCatalogue.table.values.map(\.count).reduce(0, +) == lines.count)
        for (name, entries) in ParameterCatalogue.table where entries.count > 1 {
            for major in 15...18 {
                #expect(entries.filter { $0.versions.contains(major) }.count <= 1, "\(name) in \(major)")
            }
        }
    }

    @Test("The names that the server lists")
    func described() {
        let text = "archive_mode\tpostmaster\tWAL\tENUM\t\t\t\tAllows\t\nBonjour\tpostmaster\t\t\t\t\t\t\t\n"
        #expect(DescribedParameters.names(in: text).isSuperset(of: ["archive_mode", "bonjour"]))
    }

    @Test(
        "Values are shown as the server shows them",
        arguments: [
            ("integer", "8kB", "131072", "1GB"), ("integer", "8kB", "128MB", "128MB"), ("integer", "8kB", "3", "24kB"),
            ("integer", "kB", "1536", "1536kB"), ("integer", "ms", "60000", "1min"), ("integer", "s", "1d", "1d"),
            ("integer", "kB", "-1", "-1"), ("integer", "ms", "0", "0"), ("real", "ms", "2.5", "2500us"),
            ("integer", nil, "100", "100"), ("integer", "kB", "much", "much"), ("bool", nil, "true", "on"),
            ("enum", nil, "replica", "replica"), ("string", nil, "a b", "a b"),
        ] as [(String, String?, String, String)])
    func shown(type: String, unit: String?, text: String, shown: String) {
        #expect(SettingValue(type: type, unit: unit).shown(text) == shown)
    }

    @Test("A standby starts with what its primary had; a held parameter with its old value")
    func startParameters() {
        var start = StartParameters(parameters: ["max_connections": "50", "max_wal_senders": "10", "work_mem": "4MB"])
        start.hold(.init(parameter: "work_mem", oldValue: "1MB", newValue: "4MB"))
        start.raise(to: [("max_connections", 100), ("max_wal_senders", 5), ("max_worker_processes", 8)])
        #expect(start.parameters == ["max_connections": "100", "max_wal_senders": "10", "work_mem": "1MB"])
        #expect(start.raised == [.init(parameter: "max_connections", oldValue: "100", newValue: "50")])
    }
}

/// What holds on a server of a role (configuration.md §1.7).
@Suite struct RoleSettingsTests {
    private func configuration(
        _ change: (inout LocalPostgreSQLConfiguration) -> Void = { _ in }
    ) -> LocalPostgreSQLConfiguration {
        var configuration = LocalPostgreSQLConfiguration(
            name: "n1", scope: "s", listenAddresses: "*", port: 5432,
            connectAddress: HostPort(host: "h", port: 5432), dataDirectory: "/data", configurationDirectory: "/etc/pg",
            passwordFile: "/p", superuser: .init([:]), replication: .init([:]),
            parameters: ["work_mem": "4MB", "max_connections": "100"])
        configuration.hostBasedAuthentication = ["all"]
        configuration.identityMap = ["map"]
        change(&configuration)
        return configuration
    }

    @Test("Parameters of a role go over the others one by one, lists replace lists")
    func merge() {
        let base = configuration {
            $0.byRole[.primary] = .init(
                parameters: ["Work_Mem": "8MB", "jit": "off", "max_connections": "7"], hostBasedAuthentication: ["p"])
            $0.byRole[.replica] = .init(identityMap: [])
        }
        let primary = base.resolved(for: .primary)
        #expect(primary.parameters["work_mem"] == "8MB")
        #expect(primary.parameters["jit"] == "off")
        #expect(primary.parameters["max_connections"] == "100", "all nodes agree on it")
        #expect(primary.hostBasedAuthentication == ["p"])
        #expect(primary.identityMap == ["map"])
        let replica = base.resolved(for: .replica)
        #expect(replica.parameters == base.parameters)
        #expect(replica.hostBasedAuthentication == ["all"])
        #expect(replica.identityMap == [], "an empty list is a list")
        for role in [nil, LocalPostgreSQLConfiguration.Role.standbyLeader] {
            let resolved = base.resolved(for: role)
            #expect(resolved.parameters == base.parameters)
            #expect(resolved.hostBasedAuthentication == ["all"])
            #expect(resolved.identityMap == ["map"])
        }
    }

    @Test(
        "Files are named from the directory of the configuration",
        arguments: [
            ("/x/hba", "/x/hba"), ("hba", "/etc/pg/hba"), ("pg_hba.conf", nil), ("/etc/pg/pg_hba.conf", nil), ("", nil),
        ] as [(String, String?)])
    func files(name: String, path: String?) {
        #expect(configuration { $0.parameters["hba_file"] = name }.resolved(for: nil).parameters["hba_file"] == path)
    }

    @Test("Recovery parameters among the ordinary ones take the place of recovery_conf")
    func recovery() {
        let both = configuration {
            $0.recovery = ["restore_command": "a", "archive_cleanup_command": "b"]
            $0.parameters["restore_command"] = "c"
        }
        let configured = RecoveryParameters.configured(both)
        #expect(configured["restore_command"] == "c")
        #expect(configured["archive_cleanup_command"] == nil)
        let one = configuration { $0.recovery = ["restore_command": "a", "primary_slot_name": "x"] }
        #expect(RecoveryParameters.configured(one)["restore_command"] == "a")
        #expect(RecoveryParameters.configured(one)["primary_slot_name"] == nil)
    }
}
