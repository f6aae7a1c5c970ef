import ClusterModel
import Configuration
import Testing

/// No error and no warning of a configuration shows a password, wherever it was written by mistake.
@Suite struct SecretTextTests {
    @Test(arguments: [
        "restapi: {authentication: 'u:s3cret'}", "restapi: {authentication: {u: s3cret}}",
        "restapi: {authentication: {username: u, password: [s3cret]}}",
        "restapi: {authentication: {s3cret}}", "restapi: {auth: s3cret}", "ctl: {auth: [s3cret]}",
        "postgresql: {authentication: 'u:s3cret'}", "postgresql: {authentication: {superuser: 'u:s3cret'}}",
        "postgresql: {authentication: {superuser: {username: [s3cret]}}}",
        "postgresql: {authentication: {s3cret: {}}}",
        "postgresql: {authentication: {superuser: {password: *s3cret}}}",
        "postgresql: {authentication: {superuser: {password: !s3cret x}}}",
        "postgresql: {authentication: {superuser: {password: !!int s3cret}}}",
        "postgresql: {authentication: {superuser: {password: \"s3cret\\n\"}}}",
        "postgresql: {authentication: {superuser: {password: \"s3cret\\0\"}}}",
        "postgresql: {basebackup: [{dbname: 'host=h password=s3cret', x: y}]}",
        "postgresql: {pg_ctl_timeout: 'postgres://u:s3cret@h'}", "postgresql: {listen: 'http://u:s3cret@h/'}",
        "postgresql: {connect_address: 'u:s3cret@h:x'}", "restapi: {listen: 'http://u:s3cret@h'}",
        "restapi: {keyfile_password: [s3cret]}", "restapi: {server_tokens: 'a:s3cret@h'}",
        "etcd3: {url: 'http//u:s3cret@h'}", "etcd3: {url: 's3cret'}", "etcd3: {proxy: [s3cret]}",
        "etcd3: {hosts: ['http://u:s3cret@h:2379']}", "etcd3: {hosts: null, host: 'http://u:s3cret@h/'}",
        "etcd3: {username: u, password: [s3cret]}", "log: {level: 'a://b:s3cret@c'}",
        "log: {loggers: {a: 'a:s3cret@c'}}",
    ])
    func isShownNowhere(_ changes: String) {
        do {
            let configuration = try Example.effective(changes)
            #expect(!configuration.warnings.joined().contains("s3cret"), "\(configuration.warnings)")
        } catch {
            #expect(!"\(error)".contains("s3cret"), "\(error)")
            #expect(!"\(error)".isEmpty)
        }
    }

    @Test func inVariablesNeither() {
        let variables = ["PATRONI_ZOOKEEPER_AUTH_DATA": "[s3cret", "PATRONI_LOG_MODE": "http://u:s3cret@h"]
        let local = try? LocalConfiguration.parse("name: a", environment: variables)
        #expect(local?.warnings.count == 2)
        #expect(local?.warnings.joined().contains("s3cret") == false)
    }

    @Test func aNULIsRefusedWithItsKey() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try Example.effective(
                "postgresql: {parameters: {a.b: \"x\\0\"}, pg_hba: [a, \"\\0\"]}\nlog: {\"x\\0y\": 1}")
        }
        let paths = try #require(error).problems.map { "\($0.path)" }
        #expect(paths == ["postgresql.parameters.a.b", "postgresql.pg_hba.1", "log"])
    }

    /// The REST API takes none, but it is not the only one that writes to the store.
    @Test func aNULFromTheStoreIsLeftOut() throws {
        let dynamic: JSONObject = [
            "postgresql": [
                "parameters": ["a": "x\u{0}", "b": "y"], "pg_hba": ["local all all trust", "\u{0}"],
                "use_pg_rewind": true,
            ]
        ]
        let configuration = try Example.effective("ttl: null", dynamic: dynamic)
        let names = configuration.postgreSQL.parameters.map(\.name)
        #expect(names.contains("b") && !names.contains("a"))
        #expect(configuration.postgreSQL.hostBasedAuthentication == nil && configuration.postgreSQL.usesRewind)
        #expect(configuration.warnings.filter { $0.contains("holds a NUL and is left out") }.count == 2)
    }

    @Test func lineBreaksStandInNoNameAndNoPassword() {
        for changes in [
            "name: \"a\\nb\"", "scope: \"a\\rb\"", "postgresql: {connect_address: \"a\\tb:5432\"}",
            "postgresql: {authentication: {replication: {username: \"a\\nb\"}}}",
        ] {
            #expect(throws: ConfigurationError.self) { try Example.effective(changes) }
        }
    }

    /// Patroni goes by it still: an API that was closed there must not be open here.
    @Test func credentialsInOneText() throws {
        let configuration = try Example.effective("restapi: {listen: '127.0.0.1:8008', auth: 'u:p:q'}")
        let user = configuration.restAPI.authentication
        #expect(user?.username == "u" && user?.password == "p:q")
        #expect(configuration.ctl.authentication == user)
    }

    /// As many as the store can hold: what grew with their square would not end within the limit.
    @Test(.timeLimit(.minutes(1))) func manyParametersTakeTheirTimeOnce() throws {
        let parameters = JSONObject((0..<30_000).map { ("a.p\($0)", .int($0 % 7 == 0 ? 1 : 2)) })
        let dynamic: JSONObject = ["postgresql": ["parameters": .object(parameters)]]
        let configuration = try Example.effective("ttl: null", dynamic: dynamic)
        #expect(configuration.postgreSQL.parameters.count > 30_000)
    }
}
