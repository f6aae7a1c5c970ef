import ClusterModel
import Configuration
import Posix
import TestSupport
import Testing

/// What operators bring along: habits of YAML 1.1 and of containers, kept in meaning; where one is a trap, it is told.
@Suite struct HabitTests {
    /// The warnings of the minimal configuration with `changes`, without the directory.
    private func warnings(_ changes: String, environment: [String: String] = [:]) throws -> [String] {
        try Example.effective(changes, environment: environment).warnings.map { warning in
            warning.firstRange(of: "b.yml").map { String(warning[$0.lowerBound...]) } ?? warning
        }
    }

    @Test(arguments: [
        (
            "postgresql: {authentication: {superuser: {username: 0123}}}",
            "b.yml:1: postgresql.authentication.superuser: the value is read as another number"
        ),
        ("restapi:\n  ciphers: 1_0", "b.yml:2: restapi.ciphers: 1_0 is read as the number 10: quote it"),
        ("log: {mode: 0644}", ""), ("log:\n  file_num: 3\n  file_num: 5", "b.yml:3: file_num stands twice"),
        ("base: &b {level: DEBUG}\nlog: {<<: *b, level: INFO}", "b.yml:1: base: unknown key"),
        ("watchdog: {mode: off}", ""),
        ("postgresql:\n  pgpass: ~/pgpass", "b.yml:2: postgresql.pgpass: ~ is no home directory here"),
        ("restapi: {certfile: /a~b}", ""),
    ])
    func yaml(changes: String, expected: String) throws {
        let warnings = try warnings(changes)
        if expected.isEmpty { return #expect(warnings == []) }
        #expect(warnings.contains { $0.hasPrefix(String(expected.prefix(40))) }, "\(warnings)")
    }

    @Test func aPasswordOfDigitsIsWhatYAMLMakesOfIt() throws {
        let configuration = try Example.effective("postgresql: {authentication: {superuser: {password: 0123}}}")
        #expect(configuration.postgreSQL.superuser.contains { $0.name == "password" && $0.value == "83" })
        #expect(configuration.warnings.count == 1)
        #expect(!configuration.warnings[0].contains("0123") && !configuration.warnings[0].contains("83"))
    }

    @Test(arguments: [
        (["PATRONI_ETCD_HOST": ""], "PATRONI_ETCD_HOST is empty, and makes a section etcd all the same"),
        (["PATRONI_SCOP": "x"], "PATRONI_SCOP is read by nobody; did you mean PATRONI_SCOPE?"),
        (["PATRONI_CONSUL_SCHEME": "http"], "PATRONI_CONSUL_SCHEME is read by nobody"),
        (
            ["PATRONI_ETCD_USERNAME": "u"],
            "PATRONI_ETCD_USERNAME is left out, because no other variable makes the section"
        ),
        (["PATRONI_CONFIGURATION": "a: 1"], "PATRONI_CONFIGURATION does not count, because"),
    ])
    func variables(environment: [String: String], expected: String) throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/a.yml"
        try Files.replace(file, with: Example.minimal.utf8, mode: 0o600)
        let warnings = try LocalConfiguration.load(path: file, environment: environment).warnings
        #expect(warnings.contains { $0.hasPrefix(expected) }, "\(warnings)")
    }

    @Test func besideAWholeConfigurationOthersAreNamed() throws {
        let environment = ["PATRONI_CONFIGURATION": "name: n9", "PATRONI_NAME": "other", "PATRONI_SCOPE": "s"]
        let local = try LocalConfiguration.load(path: nil, environment: environment)
        #expect(local.warnings == ["PATRONI_NAME, PATRONI_SCOPE do not count beside PATRONI_CONFIGURATION"])
    }

    /// Levels of single loggers under the names that they have in Patroni.
    @Test func loggersOfThePeer() throws {
        let log = try Example.effective(
            "log: {loggers: {patroni: WARNING, patroni.postgresql: DEBUG, restapi: ERROR, urllib3: INFO}}")
        #expect(log.warnings == [])
        let levels = Dictionary(uniqueKeysWithValues: log.log.loggers.map { ($0.name, $0.value) })
        #expect(levels["matriarch"] == "WARNING" && levels["etcd"] == "WARNING")
        #expect(levels["postgresql"] == "DEBUG" && levels["restapi"] == "ERROR")
        #expect(try warnings("log: {loggers: {postgrsql: INFO}}").first?.contains("no logger is called") == true)
    }

    @Test func passwordsInFiles() throws {
        let directory = try TemporaryDirectory()
        let file = "\(directory.path)/secret"
        try Files.replace(file, with: "from a file\n".utf8, mode: 0o600)
        let changes = """
            postgresql: {authentication: {superuser: {username: postgres, password: null, password_file: \(file)}}}
            restapi: {authentication: {username: u, password_file: \(file)}}
            """
        let environment = [
            "PATRONI_REPLICATION_PASSWORD_FILE": file, "PATRONI_ETCD3_HOST": "h",
            "PATRONI_ETCD3_USERNAME": "e", "PATRONI_ETCD3_PASSWORD_FILE": file,
        ]
        let configuration = try Example.effective(changes, environment: environment)
        func password(_ settings: [ParameterSetting]) -> String? { settings.first { $0.name == "password" }?.value }
        #expect(password(configuration.postgreSQL.superuser) == "from a file")
        #expect(password(configuration.postgreSQL.replication) == "from a file")
        #expect(configuration.restAPI.authentication?.password == "from a file")
        #expect(configuration.etcd.authentication?.password == "from a file")
        #expect(configuration.warnings == [])
        #expect(configuration.origin(of: "restapi.authentication.password")?.description.contains("b.yml:2") == true)
    }

    /// In Latin-1, say: the daemon would go on with another password than the operator's.
    @Test func aVariableThatIsNoText() {
        let environment = ["PATRONI_SUPERUSER_PASSWORD": "m\u{FFFD}we", "OTHER": "\u{FFFD}"]
        let found = Example.problems("{}", environment: environment)
        #expect(found == ["PATRONI_SUPERUSER_PASSWORD: holds bytes that are no text in UTF-8"])
    }

    @Test func aFileOfAPasswordThatCannotBeReadEndsTheStart() throws {
        let changes = "restapi: {authentication: {username: u, password_file: /nowhere}}"
        let problems = Example.problems(changes)
        #expect(problems.contains { $0.hasPrefix("b.yml:1: restapi.authentication.password_file: the file cannot be") })
        let variable = ["PATRONI_SUPERUSER_PASSWORD_FILE": "/nowhere"]
        #expect(
            Example.problems("{}", environment: variable).contains {
                $0.hasPrefix("PATRONI_SUPERUSER_PASSWORD_FILE: postgresql.authentication.superuser.password: the file")
            })
    }
}
