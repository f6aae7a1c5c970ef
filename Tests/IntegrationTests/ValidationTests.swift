import ClusterModel
import Glibc
import Posix
import Testing

/// `--validate-config` and `--generate-config` on a host with real programs.
extension ClusterIntegrationTests {
    @Test("--validate-config looks at the host, too, and --print says what holds", .timeLimit(.minutes(3)))
    func validation() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let good = try await cluster.program(["--validate-config", cluster.configurationFile(1)])
            #expect(good.code == 0 && good.said.isEmpty, "\(good)")
            let shown = try await cluster.program(["--validate-config", "-p", cluster.configurationFile(1)])
            #expect(shown.code == 0 && shown.said.contains("\nname: n1  # "), "\(shown)")
            #expect(!shown.said.contains(NodeConfiguration.password))

            let junk = "\(cluster.directory)/junk"
            try Files.makeDirectory(junk, mode: 0o755)
            try Files.replace("\(junk)/x", with: "".utf8, mode: 0o644)
            let older = "\(cluster.directory)/older"
            try Files.makeDirectory("\(older)/pg_wal", mode: 0o755)
            try Files.replace("\(older)/PG_VERSION", with: "9\n".utf8, mode: 0o644)
            for path in [junk, older, "\(older)/pg_wal"] { chmod(path, 0o755) }
            let cases: [(variable: String, value: String, says: String)] = [
                ("POSTGRESQL_BIN_DIR", "/nowhere", "postgresql.bin_dir: /nowhere does not exist"),
                ("POSTGRESQL_BIN_DIR", "/bin", "postgresql.bin_dir: /bin does not contain 'pg_ctl'"),
                ("POSTGRESQL_DATA_DIR", junk, "postgresql.data_dir: \(junk) is not empty and doesn't look like"),
                ("POSTGRESQL_DATA_DIR", "/etc/passwd", "postgresql.data_dir: /etc/passwd is not a directory"),
                ("POSTGRESQL_DATA_DIR", older, "postgresql.data_dir: \(older) is of PostgreSQL 9, "),
                (
                    "ETCD3_HOSTS", "127.0.0.1:\(cluster.freePort)",
                    "etcd3.hosts: 127.0.0.1:\(cluster.freePort) is not reachable"
                ),
                (
                    "RESTAPI_LISTEN", "127.0.0.1:\(cluster.etcdPort)",
                    "restapi.listen: Port \(cluster.etcdPort) is already in use."
                ),
                ("LOG_DIR", "/nowhere", "log.dir: /nowhere is not a directory"),
                ("POSTGRESQL_PGPASS", "/tmp", "postgresql.pgpass: /tmp is not a file"),
                ("POSTGRESQL_PGPASS", "/proc/x/y", "postgresql.pgpass: /proc/x/y cannot be written: /proc is closed"),
                ("ETCD3_CACERT", "/nowhere.pem", "etcd3.cacert: /nowhere.pem cannot be read"),
                ("RESTAPI_CERTFILE", "/nowhere.pem", "restapi.certfile: /nowhere.pem cannot be read"),
            ]
            for (variable, value, says) in cases {
                let name = "PATRONI_\(variable)"
                let found = try await cluster.program(
                    ["--validate-config", cluster.configurationFile(1)], variables: [name: value])
                #expect(found.code == 1 && found.said.hasPrefix("\(name): \(says)"), "\(found)")
            }
            let taken = try await cluster.program(
                ["--validate-config", "-i", cluster.configurationFile(1)],
                variables: ["PATRONI_RESTAPI_LISTEN": "127.0.0.1:\(cluster.etcdPort)"])
            #expect(taken.code == 0, "\(taken)")
        }
    }

    @Test("What this host cannot do ends the start with the place of the key", .timeLimit(.minutes(3)))
    func startsThatFail() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let cases: [(variables: [String: String], says: String)] = [
                (["LOG_DIR": "/nowhere"], "LOG_DIR: log.dir: open /nowhere/patroni.log: No such file or directory"),
                (["CITUS_GROUP": "0", "CITUS_DATABASE": "c"], "CITUS_DATABASE: citus: is not supported"),
                (
                    ["RESTAPI_CERTFILE": "/nowhere.pem"],
                    "RESTAPI_CERTFILE: restapi.certfile: certificate /nowhere.pem: No such file or directory"
                ),
                (
                    ["RESTAPI_LISTEN": "127.0.0.1:\(cluster.etcdPort)"],
                    "RESTAPI_LISTEN: restapi.listen: bind 127.0.0.1:\(cluster.etcdPort): Address already in use"
                ),
            ]
            for (variables, says) in cases {
                let named = Dictionary(uniqueKeysWithValues: variables.map { ("PATRONI_\($0.key)", $0.value) })
                let found = try await cluster.program([cluster.configurationFile(1)], variables: named)
                #expect(found.code == 1 && found.said.contains("PATRONI_\(says)"), "\(found)")
                #expect(!Files.exists(cluster.dataDirectory(1)), "nothing was begun")
            }
        }
    }

    @Test("A configuration generated from a running PostgreSQL takes it over as it runs", .timeLimit(.minutes(3)))
    func generation() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let directory = "\(cluster.directory)/\(cluster.name(1))"
            let before = try await Self.startByHand(cluster, directory)
            try await cluster.sql(1, "CREATE TABLE kept AS SELECT 7 AS number")
            try await cluster.sql(
                1, "CREATE ROLE replicator LOGIN REPLICATION PASSWORD '\(NodeConfiguration.password)'")
            let address = "127.0.0.1:\(cluster.postgresqlPort(1))"
            let rest = "127.0.0.1:\(cluster.restPort(1))"
            let file = "\(directory)/generated.yml"
            let made = try await cluster.program(
                ["--generate-config", "--dsn", "host=127.0.0.1 port=\(cluster.postgresqlPort(1)) user=postgres", file],
                variables: [
                    "PGPASSWORD": NodeConfiguration.password, "PATRONI_ETCD3_HOSTS": "127.0.0.1:\(cluster.etcdPort)",
                    "PATRONI_SCOPE": "demo", "PATRONI_NAME": "n1", "PATRONI_RESTAPI_LISTEN": rest,
                    "PATRONI_RESTAPI_CONNECT_ADDRESS": rest, "PATRONI_POSTGRESQL_CONNECT_ADDRESS": address,
                    "PATRONI_REPLICATION_PASSWORD": NodeConfiguration.password,
                ])
            #expect(made.code == 0 && made.said.isEmpty, "\(made)")
            #expect(Files.mode(file) == 0o600, "it holds a password")
            let text = try Files.readText(file)
            #expect(!text.contains("#FIXME"), "\(text)")
            let valid = try await cluster.program(["--validate-config", "-i", file])
            #expect(valid.code == 0 && valid.said.isEmpty, "\(valid)")

            try await cluster.start(1, variables: [:], configuration: file)
            try await waitUntil("it leads", within: 60) { await cluster.get(1, "/primary")?.status == 200 }
            #expect(cluster.postmaster(1) == before, "it was not restarted")
            #expect(await cluster.value(1, "SELECT number FROM kept") == "7")
            #expect(await cluster.value(1, "SHOW work_mem") == "5MB")
            #expect(await cluster.value(1, "SHOW app.motto") == "it's # fine")
            let dynamic = try await cluster.answer("GET", 1, "/config").json["postgresql"]?["parameters"]
            #expect(dynamic?["app.motto"] == "it's # fine" && dynamic?["max_connections"] == 41)
        }
    }

    /// A PostgreSQL that nobody manages.
    private static func startByHand(_ cluster: TestCluster, _ directory: String) async throws -> OwnedProcess {
        let data = cluster.dataDirectory(1)
        let secret = "\(cluster.directory)/secret"
        try Files.replace(secret, with: "\(NodeConfiguration.password)\n".utf8, mode: 0o644)
        let programs = try Programs.postgresqlDirectory()
        func run(_ words: [String]) async throws {
            _ = try await Tool.run(try User.unprivileged?.prefixed(words) ?? words)
        }
        try await run([
            "\(programs)/initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", secret, "-k", "-N",
        ])
        let settings = """
            port = \(cluster.postgresqlPort(1))
            listen_addresses = '127.0.0.1'
            unix_socket_directories = '\(directory)'
            max_connections = 41
            shared_buffers = 16MB
            work_mem = 5MB
            fsync = off
            wal_log_hints = on
            app.motto = 'it''s # fine'

            """
        let conf = "\(data)/postgresql.conf"
        let text = try Files.readText(conf) + settings
        try Files.replace(conf, with: text.utf8, mode: 0o600)
        if let user = User.unprivileged { chown(conf, user.uid, user.gid) }
        // It outlives the tool that starts it by its own session; the cluster's end finds it by its data directory.
        let start = "\(programs)/pg_ctl -D \(data) -l \(directory)/by-hand.log -w start >/dev/null 2>&1"
        try await run(["/usr/bin/env", "-u", Leftovers.mark, "/bin/sh", "-c", start])
        return try #require(cluster.postmaster(1))
    }
}

extension TestCluster {
    /// Runs the daemon's program to its end with these words and variables: what it said, and its exit code.
    func program(
        _ words: [String], variables: [String: String] = [:]
    ) async throws -> (said: String, code: Int?) {
        let assignments = variables.map { "\($0.key)=\($0.value)" }.sorted()
        let command = [try Programs.system("env")] + assignments + (try Programs.command(.subject)) + words
        let script = #""$@" 2>&1; echo "exit $?""#
        let text = try await Tool.run(
            ["/bin/sh", "-c", script, "sh"] + (try User.unprivileged?.prefixed(command) ?? command))
        let parts = text.split(separator: "exit ", omittingEmptySubsequences: false)
        let code = parts.last.flatMap { Int($0.prefix { $0.isNumber }) }
        return (parts.dropLast().joined(separator: "exit "), code)
    }
}
