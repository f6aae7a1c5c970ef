import Configuration
import Testing

/// Wrong values end the start: with the key's full path, what was found, what is allowed, and the place.
@Suite struct ProblemTests {
    @Test(arguments: [
        (
            "postgresql:\n  pg_ctl_timeout: soon",
            "b.yml:2: postgresql.pg_ctl_timeout: found \"soon\", allowed is a whole number, at least 0 and at most 31622400"
        ),
        (
            "postgresql: {use_pg_rewind: maybe}",
            "b.yml:1: postgresql.use_pg_rewind: found \"maybe\", "
                + "allowed is a boolean (on, off, true, false, yes, no, 1, 0)"
        ),
        (
            "restapi: {listen: 127.0.0.1}",
            "b.yml:1: restapi.listen: Invalid \"restapi\" config: expected <HOST>:<PORT> for \"listen\", "
                + "but got \"127.0.0.1\""
        ),
        (
            "restapi: {listen: '127.0.0.1:5432'}", "b.yml:1: restapi.listen: port 5432 is that of postgresql.listen"
        ),
        ("restapi: {listen: null}", "a.yml:3: restapi.listen: is not defined; needed is <HOST>:<PORT>"),
        ("name: 5", "b.yml:1: name: found 5, allowed is a text without slashes (quote a number)"),
        (
            "scope: on",
            "b.yml:1: scope: found true, allowed is a text without slashes "
                + "(YAML takes on, off, yes and no for booleans: quote a text)"
        ),
        ("scope: null", "a.yml:2: scope: is not defined; needed is a text"),
        (
            "name: __patroni_strict_sync_replica_placeholder__",
            "b.yml:1: name: Node 'name' can't be set to '__patroni_strict_sync_replica_placeholder__'"
        ),
        (
            "restapi: {authentication: {username: u}}",
            "b.yml:1: restapi.authentication.password: is not defined; "
                + "needed is a text: username and password go together"
        ),
        (
            "postgresql: {authentication: {superuser: {password: [1]}}}",
            "b.yml:1: postgresql.authentication.superuser.password: found something else, allowed is a text"
        ),
        (
            "postgresql: {authentication: {superuser: {sslmode: verifyfull}}}",
            "b.yml:1: postgresql.authentication.superuser.sslmode: found something else, "
                + "allowed is disable, allow, prefer, require, verify-ca, verify-full"
        ),
        ("postgresql: {listen: 5432}", "b.yml:1: postgresql.listen: found 5432, allowed is <HOST>[,<HOST>...]:<PORT>"),
        (
            "postgresql: {listen: '127.0.0.1:70000'}",
            "b.yml:1: postgresql.listen: found \"127.0.0.1:70000\", allowed is <HOST>[,<HOST>...]:<PORT>"
        ),
        (
            "postgresql: {pre_promote: \"a 'b\"}",
            "b.yml:1: postgresql.pre_promote: found \"a 'b\", allowed is a command whose quotes are closed"
        ),
        (
            "postgresql: >\n  authentication:\n    password: s3cret",
            "b.yml:1: postgresql: found a text of several lines, "
                + "allowed is a mapping"
        ),
        ("restapi: 'username: a, password: s3cret'", "b.yml:1: restapi: found a text, allowed is a mapping"),
        ("postgresql: {pg_hba: all}", "b.yml:1: postgresql.pg_hba: found \"all\", allowed is a list of texts"),
        ("postgresql: {pg_hba: [a, {b: c}]}", "b.yml:1: postgresql.pg_hba.1: found a mapping, allowed is a text"),
        ("postgresql: {parameters: [a]}", "b.yml:1: postgresql.parameters: found a list, allowed is a mapping"),
        (
            "postgresql: {parameters: {a.b: [1]}}",
            "b.yml:1: postgresql.parameters.a.b: found a list, allowed is a text, a number or a boolean"
        ),
        ("postgresql: [a]", "b.yml:1: postgresql: found a list, allowed is a mapping"),
        ("etcd3: null", "a.yml:1: etcd3: is not defined; needed is a section that names the DCS: etcd3 or etcd"),
        (
            "etcd3: null\nconsul: {host: c}",
            "b.yml:2: consul: this version supports etcd3 (and etcd, by the v3 API) only"
        ),
        (
            "etcd3: {hosts: null, srv: example.org}",
            "b.yml:1: etcd3.srv: discovery by SRV records is not supported by this version; name the endpoints in hosts"
        ),
        (
            "etcd3: {hosts: null, protocol: http}",
            "a.yml:4: etcd3: is not defined; needed is one of hosts, host or url: "
                + "Neither srv, hosts, host nor url are defined in etcd3 section of config"
        ),
        (
            "etcd3: {hosts: ['http://a:1']}",
            "b.yml:1: etcd3.hosts: found \"http://a:1\" in the list, allowed is host[:port]"
        ),
        ("etcd3: {protocol: ftp}", "b.yml:1: etcd3.protocol: found \"ftp\", allowed is http, https"),
        (
            "bootstrap: {initdb: [version]}",
            "b.yml:1: bootstrap.dcs: is not defined; needed is a mapping, where a bootstrap section stands"
        ),
        (
            "log: {level: LOUD}",
            "b.yml:1: log.level: found \"LOUD\", allowed is debug, info, warn, warning, error, fatal, critical"
        ),
        ("bootstrap: {dcs: {ttl: x}}", "b.yml:1: bootstrap.dcs.ttl: found \"x\", allowed is a whole number of seconds"),
    ])
    func problem(changes: String, expected: String) {
        #expect(Example.problems(changes).contains(expected))
    }

    /// They end no start, but no check is content with them.
    @Test(arguments: [
        ("maximum_lag_on_failover: 1MB", "maximum_lag_on_failover: found \"1MB\", allowed is a whole number"),
        ("synchronous_mode: sometimes", "synchronous_mode: found \"sometimes\", allowed is a boolean"),
        ("slots: [a]", "slots: found a list, allowed is a mapping of names to slots"),
        (
            "postgresql: {parameters: {max_connections: 5}}",
            "postgresql.parameters.max_connections: found 5, allowed is a whole number, at least 25"
        ),
        ("{member_slots_ttl: 30min, synchronous_mode: Quorum, ttl: '30'}", ""),
    ])
    func ofANewCluster(document: String, expected: String) throws {
        let configuration = try Example.effective("bootstrap:\n  dcs:\n    \(document)")
        let problems = configuration.bootstrapProblems.map(\.description)
        if expected.isEmpty { return #expect(problems == []) }
        try #require(problems.count == 1)
        #expect(problems[0].contains("b.yml:3: bootstrap.dcs.\(expected)"), "\(problems)")
    }

    @Test func parametersThatAServerDoesNotHave() throws {
        let configuration = try Example.effective(
            """
            bootstrap: {dcs: {postgresql: {parameters: {Work_Mem: 1MB, wal_keep_segments: 8, shared_bufers: 1GB}}}}
            postgresql: {parameters: {work_mem: 4MB, auto_explain.log_min_duration: 1s, nosuch: 1}}
            """)
        let found = configuration.parameters(otherThan: ["work_mem"]).map { "\($0.path)" }
        #expect(
            found == ["bootstrap.dcs.postgresql.parameters.shared_bufers", "postgresql.parameters.nosuch"])
    }

    /// A key that is missing stands there under another name, as a rule.
    @Test func whatIsWarnedOfIsKeptBesideTheProblems() {
        do {
            _ = try Example.effective("etcd3: null\netcd33: {host: a}")
            Issue.record("there is no DCS")
        } catch let error as ConfigurationError {
            #expect(error.problems.count == 1)
            #expect(error.warnings.contains { $0.contains("etcd33: unknown key; did you mean etcd3?") })
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test func allProblemsComeAtOnce() {
        let problems = Example.problems("name: 5\nrestapi: {request_queue_size: 9999}\ntags: 3\nlog: {file_num: -1}")
        #expect(problems.count == 4)
    }

    @Test func aVariableIsNamedAsTheOrigin() {
        let problems = Example.problems("{}", environment: ["PATRONI_POSTGRESQL_LISTEN": "a:b:c:d"])
        #expect(problems.first?.hasPrefix("PATRONI_POSTGRESQL_LISTEN: postgresql.listen: found") == true)
    }

    @Test(arguments: [
        ("nmae: x", "b.yml:1: nmae: unknown key; did you mean name?"),
        ("postgresql:\n  listn: x", "b.yml:2: postgresql.listn: unknown key; did you mean postgresql.listen?"),
        (
            "bootstrap: {dcs: {maximum_lag_on_failver: 1}}",
            "b.yml:1: bootstrap.dcs.maximum_lag_on_failver: unknown key; "
                + "did you mean bootstrap.dcs.maximum_lag_on_failover?"
        ),
        ("whatever: 1", "b.yml:1: whatever: unknown key"),
        (
            "restapi: {authentication: {user: x, username: y, password: z}}",
            "b.yml:1: restapi.authentication: holds an unknown key"
        ),
    ])
    func unknownKey(changes: String, expected: String) throws {
        let warnings = try Example.effective(changes).warnings.map { warning in
            warning.firstRange(of: "b.yml").map { String(warning[$0.lowerBound...]) } ?? warning
        }
        #expect(warnings == [expected])
    }

    /// Sections of later versions, custom methods and free names bring no false warning.
    @Test func knownKeys() throws {
        let configuration = try Example.effective(
            """
            watchdog: {mode: automatic, device: /dev/watchdog, safety_margin: 5}
            tags: {anything: 1}
            bootstrap: {method: restore, restore: {command: x, extra: y}, dcs: {slots: {a: {type: physical}}}}
            postgresql:
              create_replica_methods: [mine]
              mine: {command: x, whatever: y}
              authentication: {rewind: {username: x, sslmode: require, gssencmode: disable}}
            """)
        #expect(configuration.warnings == [])
        #expect(configuration.bootstrap?.custom?.name == "restore")
    }

    @Test func anUnusedStoreIsWarnedOf() throws {
        let configuration = try Example.effective("consul: {host: c}")
        #expect(configuration.warnings.count == 1)
        #expect(!configuration.etcd.mayMeanVersionTwo)
    }
}
