import ClusterModel
import Ports
import Testing

@testable import PostgreSQL

@Suite("Files and texts for PostgreSQL")
struct ConfigurationTextTests {
    static func configuration() -> LocalPostgreSQLConfiguration {
        LocalPostgreSQLConfiguration(
            name: "n-1", scope: "s", listenAddresses: "*", port: 5432,
            connectAddress: HostPort(host: "10.0.0.1", port: 5432), dataDirectory: "/d", passwordFile: "/p/pgpass",
            superuser: .init(["username": "postgres", "password": "x"]),
            replication: .init(["username": "rep", "password": "y", "sslmode": "require"]),
            parameters: ["port": "5432", "restore_command": "cp %f %p"])
    }
    static let upstream = Upstream(name: "n2", address: HostPort(host: "10.0.0.2", port: 5433))

    @Test("postgresql.conf")
    func main() {
        let text = ConfigurationText.main(
            include: "postgresql.base.conf",
            parameters: [
                "Work_mem": "4MB", "archive_command": "cp '%p' \\x", "primary_conninfo": "no", "bad name": "1",
            ],
            hostBasedAuthenticationFile: "/d/pg_hba.conf", identityFile: "/d/pg_ident.conf",
            recovery: ["recovery_target_timeline": "latest"])
        let expected =
            ConfigurationText.header + """
                include 'postgresql.base.conf'

                archive_command = 'cp ''%p'' \\\\x'
                work_mem = '4MB'
                hba_file = '/d/pg_hba.conf'
                ident_file = '/d/pg_ident.conf'

                # recovery.conf
                recovery_target_timeline = 'latest'

                """
        #expect(text == expected)
    }

    @Test("Own files of the user are left")
    func ownFiles() {
        let text = ConfigurationText.main(
            include: "b", parameters: ["hba_file": "/h", "ident_file": "/i"], hostBasedAuthenticationFile: "/x",
            identityFile: "/y", recovery: [:])
        #expect(text.hasSuffix("hba_file = '/h'\nident_file = '/i'\n"))
    }

    @Test("One parameter is set, or not set any more, and nothing else changes")
    func oneParameter() {
        let text = "work_mem = '1MB'\nport = '1'\n\n# more\nport = '2'\n"
        #expect(ConfigurationText.setting("port", to: "2", in: text) == text)
        #expect(ConfigurationText.setting("port", to: "3", in: text) == "work_mem = '1MB'\n\n# more\nport = '3'\n")
        #expect(ConfigurationText.setting("port", to: nil, in: text) == "work_mem = '1MB'\n\n# more\n")
        #expect(ConfigurationText.setting("primary_slot_name", to: nil, in: text) == text)
    }

    @Test("No value breaks out of its line")
    func lineBreaks() { #expect(ConfigurationText.quote("a'\nport = '1") == "'a'' port = ''1'") }

    @Test("postgresql.auto.conf loses its recovery parameters and nothing else")
    func automatic() {
        let text = "# header\nwork_mem = '1MB'\nPrimary_conninfo = 'host=x'\n restore_command='y'\n\nport=1\n"
        #expect(ConfigurationText.withoutRecovery(text) == "# header\nwork_mem = '1MB'\n\nport=1\n")
    }

    @Test(
        "Settings are read as they were written",
        arguments: ["plain", "", "it's", "back\\slash", "host=a password=\\'x\\'", "a # b"])
    func roundTrip(value: String) {
        let line = "primary_conninfo = \(ConfigurationText.quote(value))"
        #expect(ConfigurationText.recovery(in: "# x\nport = 1\n" + line + "\n") == ["primary_conninfo": value])
    }

    @Test(
        "Connection strings",
        arguments: [
            (["host": "h", "port": "5432", "user": "u"], "user='u' host='h' port='5432'"),
            (["password": "a b'c\\", "user": ""], "user='' password='a b\\'c\\\\'"),
            (["zz": "1", "sslmode": "prefer", "dbname": "d"], "dbname='d' sslmode='prefer' zz='1'"),
        ] as [(ParameterMap, String)])
    func connectionStrings(parameters: ParameterMap, text: String) throws {
        #expect(ConnectionString.render(parameters) == text)
        let parsed = try #require(ConnectionString.parse(text))
        #expect(parameters.entries.allSatisfy { parsed[$0.name] == $0.value })
    }

    @Test("Connection strings that are none", arguments: ["host", "host='a", "=x"])
    func notConnectionStrings(text: String) { #expect(ConnectionString.parse(text) == nil) }

    @Test("Connection strings of others")
    func foreignConnectionStrings() {
        #expect(ConnectionString.parse(" a = 'b c'  d=e ") == ["a": "b c", "d": "e"])
        #expect(ConnectionString.parse("") == [:])
    }

    @Test(
        "Password files",
        arguments: [
            ("h", 5432, "u", "p", "h:5432:*:u:p\n"), ("::1", 1, "u:v", "p\\q", "\\:\\:1:1:*:u\\:v:p\\\\q\n"),
            (nil, nil, nil, "p", "*:*:*:*:p\n"), ("/run", 1, "u", "p", "/run:1:*:u:p\nlocalhost:1:*:u:p\n"),
            ("a,b", 1, "u", "p", "a:1:*:u:p\nb:1:*:u:p\n"),
        ] as [(String?, Int?, String?, String, String)])
    func passwords(host: String?, port: Int?, user: String?, password: String, text: String) {
        #expect(PasswordFile.render(host: host, port: port, user: user, password: password) == text)
    }

    @Test("What a standby is told")
    func standby() {
        let parameters = RecoveryParameters.forStandby(
            of: Self.upstream, Self.configuration(), serverVersion: 150_000)
        #expect(
            parameters["primary_conninfo"]
                == "user='rep' passfile='/p/pgpass' host='10.0.0.2' port='5433' sslmode='require' "
                + "application_name='n-1' gssencmode='prefer' channel_binding='prefer'")
        #expect(parameters["primary_slot_name"] == "n_1")
        #expect(parameters["recovery_target_timeline"] == "latest")
        #expect(parameters["recovery_target_lsn"] == "")
        #expect(parameters["restore_command"] == "cp %f %p")
        let alone = RecoveryParameters.forStandby(of: nil, Self.configuration(), serverVersion: 150_000)
        #expect(alone["primary_conninfo"] == nil)
        #expect(alone["primary_slot_name"] == nil)
    }

    @Test("What the leader of a standby cluster is told, and its replicas")
    func standbyLeader() {
        var configuration = Self.configuration()
        configuration.standbyCluster = ["restore_command": "get %f %p", "recovery_min_apply_delay": "5min"]
        func told(_ host: String, slot: String?, leads: Bool) -> ParameterMap {
            let far = Upstream(
                name: "far", address: HostPort(host: host, port: 5433), remote: .init(slotName: slot, leads: leads))
            return RecoveryParameters.forStandby(of: far, configuration, serverVersion: 150_000)
        }
        let leader = told("a,b", slot: "site_b", leads: true)
        let connection = ConnectionString.parse(leader["primary_conninfo"] ?? "")
        #expect(connection?["host"] == "a,b" && connection?["target_session_attrs"] == "read-write")
        #expect(leader["primary_slot_name"] == "site_b" && leader["restore_command"] == "get %f %p")
        #expect(leader["recovery_min_apply_delay"] == "5min")
        #expect(told("a", slot: "site_b", leads: false)["primary_slot_name"] == nil)
        let without = ConnectionString.parse(told("a,b", slot: nil, leads: true)["primary_conninfo"] ?? "")
        #expect(without?["target_session_attrs"] == nil)
        let replica = RecoveryParameters.forStandby(of: Self.upstream, configuration, serverVersion: 150_000)
        #expect(replica["restore_command"] == "get %f %p" && replica["primary_slot_name"] == "n_1")
        #expect(replica["recovery_min_apply_delay"] == nil)
        let archive = Upstream(
            name: "the archive", address: HostPort(host: "", port: 0), remote: .init(slotName: nil, leads: true))
        let alone = RecoveryParameters.forStandby(of: archive, configuration, serverVersion: 150_000)
        #expect(alone["primary_conninfo"] == nil && alone["restore_command"] == "get %f %p")
    }

    @Test("Whether a standby follows whom it should")
    func following() {
        let configuration = Self.configuration()
        let wanted = RecoveryParameters.forStandby(of: Self.upstream, configuration, serverVersion: 150_000)
        #expect(FollowRule.isFollowing(wanted: wanted, actual: wanted))
        var other = wanted
        other["primary_slot_name"] = "x"
        #expect(!FollowRule.isFollowing(wanted: wanted, actual: other))
        other = wanted
        other["primary_conninfo"] = "host=10.0.0.2 port=5433"
        #expect(!FollowRule.isFollowing(wanted: wanted, actual: other))
        other["primary_conninfo"] =
            "host=10.0.0.2 port=5433 user=rep passfile=/p/pgpass sslmode=require application_name=n-1"
        #expect(FollowRule.isFollowing(wanted: wanted, actual: other))
        let alone = RecoveryParameters.forStandby(of: nil, configuration, serverVersion: 150_000)
        #expect(!FollowRule.isFollowing(wanted: alone, actual: wanted))
        #expect(FollowRule.isFollowing(wanted: alone, actual: ["restore_command": "cp %f %p", "primary_conninfo": ""]))
    }

    @Test("Parameters of the command line, in their order")
    func commandLine() {
        let parameters: ParameterMap = ["work_mem": "1", "wal_log_hints": "on", "port": "1", "wal_keep_size": "9"]
        #expect(ControlledParameters.arguments(parameters) == ["--port=1", "--wal_log_hints=on"])
        let raised = ControlledParameters.raised(
            ["max_connections": "50", "max_worker_processes": "8"],
            to: [("max_connections", 100), ("max_worker_processes", 4), ("max_wal_senders", 10)])
        #expect(raised.parameters == ["max_connections": "100", "max_worker_processes": "8"])
        #expect(raised.pending == [.init(parameter: "max_connections", oldValue: "100", newValue: "50")])
    }

    @Test("Command lines of the programs")
    func tools() {
        var configuration = Self.configuration()
        let backup = ToolArguments.baseBackup(configuration, from: Self.upstream.address, into: "/d")
        // A host that has gone without a word is not waited for without end.
        let limits =
            "connect_timeout='10' keepalives_idle='20' keepalives_interval='10' keepalives_count='4'"
            + " tcp_user_timeout='60000'"
        let source = "user='rep' host='10.0.0.2' port='5433' sslmode='require' \(limits)"
        #expect(
            backup == ["--pgdata=/d", "-X", "stream", "--dbname=\(source)", "--progress", "--checkpoint=fast"])
        configuration.baseBackupOptions = ["--checkpoint=spread", "--max-rate=1M"]
        #expect(
            ToolArguments.baseBackup(configuration, from: Self.upstream.address, into: "/d").suffix(2)
                == ["--checkpoint=spread", "--max-rate=1M"])
        #expect(
            ToolArguments.rewind(configuration, from: Self.upstream.address, serverVersion: 150_000) == [
                "--restore-target-wal", "--progress", "-D", "/d", "--source-server",
                "dbname='postgres' user='postgres' host='10.0.0.2' port='5433' \(limits)",
            ])
        configuration.configurationDirectory = "/etc/pg"
        #expect(
            ToolArguments.rewind(configuration, from: Self.upstream.address, serverVersion: 150_000).prefix(2)
                == ["--restore-target-wal", "--config-file=/etc/pg/postgresql.conf"])
        #expect(
            ToolArguments.rewind(configuration, from: Self.upstream.address, serverVersion: 140_000).first
                == "--progress")
    }

    @Test("Statements for users")
    func users() {
        #expect(
            UserStatements.role("a\"b", exists: false, password: "it's", options: ["REPLICATION"])
                == "CREATE ROLE \"a\"\"b\" WITH LOGIN REPLICATION PASSWORD 'it''s'")
        #expect(
            UserStatements.role("a", exists: true, password: "b\\", options: [])
                == "ALTER ROLE \"a\" WITH LOGIN PASSWORD  E'b\\\\'")
        #expect(UserStatements.role("a", exists: true, password: nil, options: []) == "ALTER ROLE \"a\" WITH LOGIN")
    }

    @Test(
        "The host of our own connections",
        arguments: [
            ("*", "localhost"), ("10.0.0.1,127.0.0.1", "localhost"), ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
            ("", "localhost"),
        ])
    func localHost(listen: String, host: String) {
        var configuration = Self.configuration()
        configuration.listenAddresses = listen
        #expect(configuration.localHost == host)
        #expect(configuration.localAddress(socket: true).host == nil)
        configuration.parameters["unix_socket_directories"] = "@abstract, /run/pg"
        #expect(configuration.localAddress(socket: true).host == "/run/pg")
        configuration.parameters["unix_socket_directories"] = ""
        #expect(configuration.localAddress(socket: true).host == host)
    }

    @Test("A running server is reached where it listens, whatever the configuration says by now")
    func runningAddress() throws {
        let configuration = Self.configuration()
        let running = try #require(PostmasterPidFile("1\n/d\n2\n6000\n/sockets\n10.1.1.1\n"))
        #expect(configuration.localAddress(socket: false, running: running) == ("10.1.1.1", 6000))
        #expect(configuration.localAddress(socket: true, running: running) == ("/sockets", 6000))
    }

    @Test(
        "Values that mean the same",
        arguments: [
            ("integer", "8kB", "16384", "128MB", true), ("integer", "8kB", "16384", "16384", true),
            ("integer", "8kB", "16384", "64MB", false), ("integer", "kB", "4096", "4MB", true),
            ("integer", "ms", "60000", "1min", true), ("integer", "s", "300", "5 min", true),
            ("integer", nil, "100", "0x64", true), ("integer", nil, "8", "010", true),
            ("integer", nil, "100", "100MB", false), ("integer", "ms", "1", "1kB", false),
            ("bool", nil, "on", "true", true),
            ("bool", nil, "off", "NO", true), ("bool", nil, "off", "o", false),
            ("enum", nil, "replica", "REPLICA", true), ("enum", nil, "on", "true", true),
            ("string", nil, "a", "A", false), ("real", nil, "0.5", "0.50", true), ("real", nil, "0.5", "0.6", false),
            ("integer", nil, "100", "x", false),
            // Permissions are shown in octal: unix_socket_permissions, log_file_mode, data_directory_mode.
            ("integer", nil, "0770", "0770", true), ("integer", nil, "0770", "504", true),
            ("integer", nil, "0777", "511", true), ("integer", nil, "0770", "770", false),
            ("integer", nil, "0", "0", true), ("integer", nil, "-1", "-1", true), ("integer", nil, "5", "+5", true),
            ("integer", nil, "1000", "1e3", true), ("integer", "kB", "1536", "1.5MB", true),
            ("integer", nil, "8", "08", false), ("real", nil, "10", "010", true),
            ("real", "ms", "100", "0.1s", true), ("real", nil, "0.123457", "0.12345678", true),
            ("real", nil, "1e-05", "0.00001", true), ("enum", nil, "try", "TRY", true),
            ("string", nil, "a b", "a\nb", true),
        ] as [(String, String?, String, String, Bool)])
    func sameValues(type: String, unit: String?, setting: String, text: String, isSame: Bool) {
        #expect(SettingValue(type: type, unit: unit).isSame(setting, text) == isSame)
    }

    private static func setting(
        _ name: String, _ value: String, flagged: Bool = false, fromFile: Bool = true
    ) -> PendingRestartQuery.Setting {
        .init(
            name: name, setting: value, value: SettingValue(type: "string", unit: nil), shown: value, fallback: "boot",
            isFlagged: flagged, isFromFile: fromFile)
    }

    @Test(
        "What waits for a restart",
        arguments: [
            (setting("a", "1"), ["a": "1"], [:], nil), (setting("a", "1"), [:], [:], nil),
            // The server itself would flag what a file says; only of its command line it says nothing.
            (setting("a", "1"), ["a": "2"], [:], nil), (setting("a", "1", flagged: true), ["a": "2"], [:], "2"),
            (setting("a", "1", flagged: true), [:], [:], "boot"),
            (setting("a", "1", flagged: true), ["a": "2"], ["a": "3"], "3"),
            // The flag of what came into a file and went again stays.
            (setting("a", "1", flagged: true, fromFile: false), [:], [:], nil),
            (setting("a", "1", flagged: true), ["a": "2"], ["a": "1"], nil),
            (setting("max_connections", "1"), ["max_connections": "2"], [:], "2"),
            (setting("max_connections", "1"), ["max_connections": "1"], ["max_connections": "3"], nil),
            (setting("max_connections", "1"), [:], [:], nil),
            (setting("hot_standby", "1"), ["hot_standby": "2"], [:], nil),
            (setting("wal_level", "replica"), ["wal_level": "hot_standby"], [:], nil),
            (setting("wal_level", "replica"), ["wal_level": "archive"], [:], nil),
            (setting("primary_slot_name", "a", flagged: true), [:], [:], nil),
        ] as [(PendingRestartQuery.Setting, ParameterMap, ParameterMap, String?)])
    func pending(setting: PendingRestartQuery.Setting, wanted: ParameterMap, files: ParameterMap, value: String?) {
        #expect(PendingRestartQuery.compare([setting], wanted, files: files).first?.newValue == value)
    }

    @Test(
        "Names that PostgreSQL's files can hold",
        arguments: [
            ("work_mem", true), ("_a.b1", true), ("a.b$1", false), ("Include_dir", false), ("", false), ("a b", false),
            ("1a", false), ("a.b.c", false),
            ("a.", false), (".a", false), ("a-b", false), ("å", false),
        ])
    func names(name: String, isName: Bool) {
        #expect(ConfigurationText.isName(name) == isName)
    }

    @Test("A generated file is known by its beginning, whoever has generated it")
    func generated() {
        #expect(ConfigurationText.isGenerated(ConfigurationText.lines([])))
        #expect(ConfigurationText.isGenerated("# Do not edit this file manually!\n# It will be overwritten by Peer!\n"))
        #expect(!ConfigurationText.isGenerated("# Do not edit this file manually!\nwork_mem = 4MB\n"))
        #expect(!ConfigurationText.isGenerated(""))
    }

    @Test("Parameters know their names in any case")
    func parameterMap() {
        var map: ParameterMap = ["A": "1", "b": "2", "a": "3"]
        #expect(map.entries.map(\.name) == ["A", "b"])
        #expect(map["a"] == "3")
        map["B"] = nil
        #expect(map["b"] == nil)
    }
}
