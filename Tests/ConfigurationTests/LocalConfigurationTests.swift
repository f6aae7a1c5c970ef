import ClusterModel
import Configuration
import Glibc
import Posix
import TestSupport
import Testing

@Suite struct LocalConfigurationTests {
    @Test func aFileWithVariablesOverIt() throws {
        let local = try LocalConfiguration.parse(
            Example.minimal, environment: ["PATRONI_NAME": "n7", "PATRONI_POSTGRESQL_LISTEN": "10.0.0.7:5433"])
        #expect(local.tree["name"] == "n7")
        #expect(local.tree["postgresql"]?["listen"] == "10.0.0.7:5433")
        #expect(local.tree["postgresql"]?["data_dir"] == "/data")
        #expect(local.isReloadable)
    }

    @Test func filesOfADirectoryInTheOrderOfTheirNames() throws {
        let directory = try TemporaryDirectory()
        for (name, text) in [
            ("10.yml", "a: 1\nb: {x: 1, y: 2}\nc: [1, 2]\nd: keep\n"),
            ("20.yaml", "a: 2\nb: {x: null, z: 3}\nc: [3]\nd: null\n"),
            ("30.txt", "a: 99\n"), (".hidden.yml", "a: 0\ne: 5\n"),
        ] { try Files.replace("\(directory.path)/\(name)", with: text.utf8, mode: 0o600) }
        symlink("\(directory.path)/30.txt", "\(directory.path)/40.yml")

        let local = try LocalConfiguration.load(path: directory.path, environment: [:])
        #expect(local.tree == ["a": 99, "e": 5, "b": ["y": 2, "z": 3], "c": [3]])
    }

    @Test func sameTextKeepsTheOldValueAndItsType() throws {
        let local = try LocalConfiguration.parse("restapi: {request_queue_size: 5}\nname: \"1\"")
        let again = try LocalConfiguration.parse("restapi: {request_queue_size: \"5\"}\nname: 1")
        let other = try LocalConfiguration.parse("restapi: {request_queue_size: 6}\nname: 1")
        #expect(local.isSame(as: again))
        #expect(!local.isSame(as: other))
    }

    @Test func theWholeConfigurationInAVariable() throws {
        let environment = ["PATRONI_CONFIGURATION": "name: n9\nscope: x", "PATRONI_NAME": "other"]
        let local = try LocalConfiguration.load(path: nil, environment: environment)
        #expect(local.tree == ["name": "n9", "scope": "x"])
        #expect(local.source == .variable)
        #expect(!local.isReloadable)
    }

    @Test func variablesAlone() throws {
        let local = try LocalConfiguration.load(
            path: "/nowhere.yml", environment: ["PATRONI_NAME": "n1", "HOME": "/h"])
        #expect(local.source == .environment)
        #expect(local.warnings.first?.contains("/nowhere.yml") == true)
    }

    @Test(arguments: [
        ("", "does not contain a mapping"), ("[1]", "does not contain a mapping"), ("5", "does not contain a mapping"),
        ("a: [1\nb: 2\n", "patroni.yml:2:"), ("a: \"x\n", "patroni.yml:"),
    ])
    func notAConfiguration(text: String, words: String) {
        let error = #expect(throws: ConfigurationError.self) { try LocalConfiguration.parse(text) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func nothingAtAll() {
        let error = #expect(throws: ConfigurationError.self) {
            try LocalConfiguration.load(path: "/nowhere.yml", environment: ["PATH": "/bin"])
        }
        #expect(error?.description.hasPrefix("Config is empty") == true)
    }

    /// SIGHUP while an editor has moved the file away: the variables, though whole by themselves, are no replacement.
    @Test func aFileThatHasGoneIsNotReplacedByVariables() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/a.yml"
        let environment = ["PATRONI_CONFIGURATION": Example.minimal, "PATRONI_NAME": "n1"]
        try directory.write("a.yml", Example.minimal)
        let local = try LocalConfiguration.load(path: file, environment: environment)
        #expect(try local.again(environment: environment).isSame(as: local))
        try Files.removeTree(file)
        let error = #expect(throws: ConfigurationError.self) { try local.again(environment: environment) }
        #expect(error?.description.contains("\(file) does not exist any more") == true, "\(String(describing: error))")
        try directory.write("a.yml", Example.minimal.replacing("lab", with: "other"))
        #expect(try local.again(environment: environment).tree["scope"] == "other")
    }

    /// A loop of links, a closed directory: what is there and cannot be read is not missing.
    @Test func aFileThatCannotBeLookedAtIsNotMissing() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/a.yml"
        symlink(file, file)
        let error = #expect(throws: ConfigurationError.self) {
            try LocalConfiguration.load(path: file, environment: ["PATRONI_NAME": "n1"])
        }
        #expect(error?.description.contains(file) == true, "\(String(describing: error))")
    }

    @Test func aDirectoryWithoutFilesSaysSo() throws {
        let directory = try TemporaryDirectory()
        try directory.write("patroni.conf", Example.minimal)
        let error = #expect(throws: ConfigurationError.self) {
            try LocalConfiguration.load(path: directory.path, environment: ["PATH": "/bin"])
        }
        let found = "Config is empty: no file in \(directory.path) ends in .yml or .yaml"
        #expect(error?.description.hasPrefix(found) == true, "\(String(describing: error))")
        let local = try LocalConfiguration.load(path: directory.path, environment: ["PATRONI_NAME": "n1"])
        #expect(local.warnings.first?.hasPrefix("no file in") == true)
    }

    @Test func neitherFileNorDirectory() {
        let error = #expect(throws: ConfigurationError.self) {
            try LocalConfiguration.load(path: "/dev/null", environment: [:])
        }
        #expect(error?.description.contains("invalid config path /dev/null") == true)
    }
}

@Suite struct EnvironmentTests {
    private func tree(_ environment: [String: String]) throws -> JSONObject {
        try LocalConfiguration.load(path: nil, environment: environment).tree
    }

    @Test(
        arguments: [
            // Group A: texts as they are.
            ("NAME", "n1", "name", "n1"), ("SCOPE", "5", "scope", "5"),
            ("RESTAPI_LISTEN", ":8008", "restapi.listen", ":8008"),
            ("RESTAPI_CERTFILE", "/c", "restapi.certfile", "/c"), ("CTL_CACERT", "/c", "ctl.cacert", "/c"),
            ("POSTGRESQL_DATA_DIR", "/d", "postgresql.data_dir", "/d"),
            ("POSTGRESQL_BIN_PG_CTL", "pg_ctl15", "postgresql.bin_name.pg_ctl", "pg_ctl15"),
            ("LOG_LEVEL", "DEBUG", "log.level", "DEBUG"), ("LOGLEVEL", "DEBUG", "log.level", "DEBUG"),
            ("LOGFORMAT", "%(message)s", "log.format", "%(message)s"),
            // Group B: typed.
            ("CTL_INSECURE", "on", "ctl.insecure", true), ("LOG_FILE_SIZE", "1000", "log.file_size", 1000),
            ("LOG_MODE", "0644", "log.mode", 420), ("RAFT_MIN_TIMEOUT", "0.4", "raft.min_timeout", 0.4),
            ("RESTAPI_ALLOWLIST", "a, 10.0.0.0/8", "restapi.allowlist", ["a", "10.0.0.0/8"]),
            ("RESTAPI_ALLOWLIST", "- a\n- b", "restapi.allowlist", ["a", "b"]),
            ("LOG_LOGGERS", "patroni.ha: DEBUG", "log.loggers", ["patroni.ha": "DEBUG"]),
            ("RESTAPI_HTTP_EXTRA_HEADERS", "{A: b}", "restapi.http_extra_headers", ["A": "b"]),
            ("LOG_FORMAT", "asctime, message", "log.format", ["asctime", "message"]),
            // Group C: credentials.
            ("RESTAPI_USERNAME", "u", "restapi.authentication.username", "u"),
            ("SUPERUSER_PASSWORD", "p", "postgresql.authentication.superuser.password", "p"),
            ("REWIND_SSLMODE", "require", "postgresql.authentication.rewind.sslmode", "require"),
            ("REPLICATION_CHANNEL_BINDING", "x", "postgresql.authentication.replication.channel_binding", "x"),
            // Group D: any section.
            ("ETCD3_HOSTS", "a:1,b:2", "etcd3.hosts", ["a:1", "b:2"]),
            ("ETCD3_HOSTS", "'[::1]:2379,[::2]:2379'", "etcd3.hosts", "[::1]:2379,[::2]:2379"),
            ("ETCD_HOST", "", "etcd.host", ""),
            ("CONSUL_PORT", "8500", "consul.port", 8500), ("ETCD3_USE_PROXIES", "yes", "etcd3.use_proxies", true),
            ("KUBERNETES_LABELS", "a: b", "kubernetes.labels", ["a": "b"]),
            ("ZOOKEEPER_USE_SSL", "false", "zookeeper.use_ssl", "false"),
            ("CITUS_GROUP", "1", "citus.group", 1),
        ] as [(String, String, String, JSONValue)])
    func variable(name: String, text: String, path: String, expected: JSONValue) throws {
        var value = JSONValue.object(try tree(["PATRONI_\(name)": text]))
        // `patroni.ha` is one key: only the sections above it are walked.
        for element in path.split(separator: ".") { value = try #require(value[String(element)]) }
        #expect(value == expected)
    }

    @Test(arguments: [
        ["PATRONI_NAME": ""], ["PATRONI_CTL_INSECURE": "maybe"], ["PATRONI_CONSUL_PORT": "x"],
        ["PATRONI_CONSUL_SCHEME": "http"], ["PATRONI_ETCD3_USERNAME": "u"], ["PATRONI_RESTAPI_ALLOWLIST": "[a"],
        ["PATRONI_CITUS_LABELS": "a: b"], ["NAME": "n1"],
    ])
    func leftOut(environment: [String: String]) {
        #expect(throws: ConfigurationError.self) { try tree(environment) }
    }

    @Test func credentialsOfEtcdNeedTheSection() throws {
        let tree = try tree(["PATRONI_ETCD3_HOST": "a", "PATRONI_ETCD3_USERNAME": "u", "PATRONI_ETCD3_PASSWORD": "p"])
        #expect(tree["etcd3"] == ["host": "a", "username": "u", "password": "p"])
    }

    @Test func whatCannotBeReadIsWarnedOf() throws {
        let environment = ["PATRONI_NAME": "n", "PATRONI_LOG_MODE": "rw"]
        let local = try LocalConfiguration.load(path: nil, environment: environment)
        #expect(local.warnings == ["PATRONI_LOG_MODE=rw cannot be read and is left out"])
    }
}
