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
        ("postgresql: {config_base_name: other}", ["postgresql.config_base_name"]),
    ])
    func whatOnlyARestartChanges(_ text: String, _ expected: [String]) throws {
        let problems = try Example.effective(text).fixedChanges(since: Example.effective())
        #expect(problems.map(\.path.description) == expected)
        #expect(problems.allSatisfy { $0.message.contains("restart of the daemon") })
    }

    /// What a reload takes without a word, although it counts later, is told by its key and place.
    @Test(arguments: [
        ("etcd3: {hosts: ['127.0.0.1:2380']}", ["etcd3.hosts"]), ("etcd3: {username: u, password: p}", []),
        ("etcd3: {cacert: /ca, protocol: https}", ["etcd3.protocol", "etcd3.cacert"]),
        ("etcd3: {port: 2379, protocol: http, use_proxies: off}", []),
        ("etcd: {host: 'localhost:2379'}", ["etcd.host"]), ("consul: {host: c}", []),
        ("guardian: {mode: off, safety_margin: 2}", ["guardian.mode", "guardian.safety_margin"]),
        ("guardian: {mode: on}", []), ("thread_pool_size: 9", []), ("tags: {nosync: true}", []),
        ("restapi: {request_queue_size: 9}", []), ("postgresql: {pgpass: /tmp/x}", []),
    ])
    func whatWaitsForTheNextStart(_ text: String, _ expected: [String]) throws {
        let found = try Example.effective(text).changesOfNextStart(since: Example.effective())
        #expect(found.count == expected.count, "\(found)")
        for (line, path) in zip(found, expected) {
            #expect(line.contains("b.yml:1: \(path): the change holds from the next start"), "\(line)")
        }
    }
}
