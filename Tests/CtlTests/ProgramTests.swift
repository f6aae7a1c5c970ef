import ClusterModel
import Configuration
import Posix
import Testing

@testable import Ctl

/// Exit codes, and what goes where (ctl.md §1.4).
@Suite struct ProgramTests {
    @Test(
        arguments: [
            ([], 2, "Commands"), (["nope"], 2, "Error: No such command 'nope'."), (["list", "--foo"], 2, "Error: "),
            (["list", "-f", "xml"], 2, "xml"), (["--nope", "list"], 2, "Error: "),
            (
                ["-c", "/nowhere.yml", "list"], 1,
                "Error: Provided config file /nowhere.yml not existing or no read rights. "
            ),
            (
                ["list", "a"], 1,
                "Error: Can not find suitable configuration of distributed configuration store\nAvailable "
            ),
            (["-d", "raft://a", "list"], 1, "Error: Unknown dcs scheme: raft"),
            (["-d", "consul://a", "list", "a"], 1, "Error: "),
            (["history"], 2, "CLUSTER_NAME"),
            (["-d", "127.0.0.1:1", "remove", "/"], 1, "Error: '/' is no name of a cluster"),
            (["lst"], 2, "Error: No such command 'lst'. Did you mean 'list'?"),
            (["edit"], 2, "Did you mean 'edit-config'?"),
            (["-d", "etcd3://127.0.0.1:abc", "list", "a"], 1, "Error: 'abc' in the URL of the store is no port"),
            (["-d", "127.0.0.1:70000", "list", "a"], 1, "Error: '70000' in the URL of the store is no port"),
            (["-d", "127.0.0.1:1", "list", "a/b"], 1, "Error: 'a/b' is no name of a cluster"),
        ] as [([String], Int32, String)])
    func refusals(words: [String], code: Int32, says: String) async {
        let terminal = ScriptedTerminal()
        let found = await Program.run(["matriarchctl"] + words, environment: [:], terminal: terminal)
        #expect(found == code)
        #expect(terminal.output == "")
        #expect(terminal.errors.contains(says) || says == "Commands", "\(terminal.errors)")
    }

    @Test func itGoesByTheNameItIsCalledBy() async {
        for name in ["patronictl", "matriarchctl"] {
            let terminal = ScriptedTerminal()
            let code = await Program.run(["/usr/bin/\(name)", "version"], environment: [:], terminal: terminal)
            #expect(code == 0)
            #expect(terminal.output.hasPrefix("\(name) version "))
            #expect(terminal.errors == "")
        }
    }

    @Test func helpGoesToStandardOutput() async {
        for words in [["--help"], ["list", "--help"]] {
            let terminal = ScriptedTerminal()
            #expect(await Program.run(["patronictl"] + words, environment: [:], terminal: terminal) == 0)
            #expect(terminal.output.contains("USAGE: patronictl"))
            #expect(terminal.output.contains("Examples:"))
        }
    }

    /// However narrow the terminal is, or says that it is.
    @Test(arguments: ["1", "0", "-5", "junk", "30", "99999999"]) func helpHasPlaceForItsWords(columns: String) async {
        for words in [["--help"], ["help", "edit-config"], ["list", "--help"], []] {
            let terminal = ScriptedTerminal()
            let code = await Program.run(["m"] + words, environment: ["COLUMNS": columns], terminal: terminal)
            #expect(code == (words.isEmpty ? 2 : 0))
            #expect((terminal.output + terminal.errors).contains("USAGE: "))
        }
    }

    @Test func noClusterToList() async {
        let terminal = ScriptedTerminal()
        let code = await Program.run(["patronictl", "-d", "127.0.0.1:1", "list"], environment: [:], terminal: terminal)
        #expect(code == 0)
        #expect(terminal.errors.hasSuffix(" - WARNING - Listing members: No cluster names were provided\n"))
    }
}

/// Where a tool looks for its configuration (ctl.md §1.1, §1.2).
@Suite struct ToolConfigurationTests {
    private func load(_ url: String?, _ environment: [String: String] = [:]) throws -> ToolConfiguration {
        try ToolConfiguration.load(path: nil, storeURL: url, environment: environment)
    }

    private func etcd(_ configuration: ToolConfiguration) throws -> String {
        switch try configuration.store() {
        case .etcd(let settings):
            "\(settings.scheme.rawValue)://\(settings.endpoints.map(\.description).joined(separator: ","))"
        }
    }

    @Test(
        arguments: [
            ("", "localhost:2379"), ("h", "h:2379"), ("h:7000", "h:7000"), ("etcd3://h", "h:2379"),
            ("etcd://h:1/ns", "h:1"), ("etcd3://", "localhost:2379"), ("etcd3://[::1]:5", "[::1]:5"),
        ])
    func urls(url: String, address: String) throws {
        #expect(try etcd(load(url)) == "http://\(address)")
    }

    @Test func thePathIsTheNamespace() throws {
        #expect(try load("etcd3://h/ns").namespace == "ns")
        #expect(try load("etcd3://h/").namespace == "service")
    }

    @Test func aURLTakesThePlaceOfTheConfiguredStore() throws {
        let environment = ["PATRONI_ETCD3_HOSTS": "a:1,b:2", "PATRONI_SCOPE": "batman"]
        #expect(try etcd(load(nil, environment)) == "http://a:1,b:2")
        let configuration = try load("etcd3://c:3", environment)
        #expect(try etcd(configuration) == "http://c:3")
        #expect(configuration.scope == "batman")
    }

    @Test func aDaemonsFileIsOne() throws {
        let path = "/tmp/matriarch-ctl-\(BootClock.now().nanoseconds).yml"
        let text = """
            scope: demo
            name: n1
            restapi: {listen: 127.0.0.1:8008, authentication: {username: u, password: p}, cafile: /ca.pem}
            ctl: {insecure: true}
            etcd3: {host: 127.0.0.1:2379}
            postgresql: {data_dir: /data}
            citus: {group: 2, database: db}
            """
        try Files.replace(path, with: text.utf8, mode: 0o600)
        defer { try? Files.removeTree(path) }
        let configuration = try ToolConfiguration.load(path: path, storeURL: nil, environment: [:])
        #expect(configuration.scope == "demo")
        #expect(configuration.ctl.isInsecure)
        #expect(configuration.ctl.authorityFile == "/ca.pem")
        #expect(configuration.ctl.authentication?.username == "u")
        #expect(configuration.citus?.group == 2)
        #expect(try etcd(configuration) == "http://127.0.0.1:2379")
    }
}
