import Configuration
import Testing

@Suite struct FixedChangesTests {
    /// Who a daemon is and which directory it leads waits for its restart; the same, spelled otherwise, is no change.
    @Test(arguments: [
        ("scope: other", ["scope"]), ("name: n2", ["name"]), ("namespace: /else/", ["namespace"]),
        ("postgresql: {data_dir: /data2}", ["postgresql.data_dir", "postgresql.config_dir"]),
        ("postgresql: {config_dir: /etc/pg}", ["postgresql.config_dir"]),
        ("scope: other\nname: n2", ["scope", "name"]),
        ("postgresql: {data_dir: /data//}", []), ("namespace: service", []),
        ("postgresql: {listen: 'localhost:5433'}", []),
    ])
    func whatOnlyARestartChanges(_ text: String, _ expected: [String]) throws {
        let problems = try Example.effective(text).fixedChanges(since: Example.effective())
        #expect(problems.map(\.path.description) == expected)
        #expect(problems.allSatisfy { $0.message.contains("restart of the daemon") })
    }
}
