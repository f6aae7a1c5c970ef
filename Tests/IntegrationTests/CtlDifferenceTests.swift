import ClusterModel
import JSON
import Posix
import Testing

/// Both tools over the same keys.
private struct Difference {
    let ours: OperatorTool
    let peer: OperatorTool

    init(_ cluster: TestCluster, _ options: [String] = []) {
        let options = ["-d", "etcd3://127.0.0.1:\(cluster.etcdPort)"] + options
        ours = OperatorTool(program: .ours, options: options)
        peer = OperatorTool(program: .peer, options: options)
    }

    /// Both say the same to `words`.
    func expectNone(
        _ words: String, input: String = "", environment: [String: String] = [:],
        at line: SourceLocation = #_sourceLocation
    ) async throws {
        var (left, right) = (ours, peer)
        left.environment = environment
        right.environment = environment
        let list = words.split(separator: " ").map(String.init)
        async let mine = left.run(list, input: input)
        async let theirs = right.run(list, input: input)
        let (found, wanted) = (try await mine, try await theirs)
        #expect(found.code == wanted.code, "\(words): \(found.errors)", sourceLocation: line)
        #expect(found.output == wanted.output, "\(words)", sourceLocation: line)
        let (said, expected) = (Self.refusal(found), Self.refusal(wanted))
        if wanted.code == 1 { #expect(said == expected, "\(words)", sourceLocation: line) }
    }

    /// `Error: …` or `Aborted!`.
    static func refusal(_ outcome: OperatorTool.Outcome) -> [Substring] {
        outcome.errors.split(separator: "\n").filter { $0.hasPrefix("Error:") || $0 == "Aborted!" }
    }
}

/// Our tool and Patroni's beside each other, over the same keys: what both print is the same, to the byte where
/// programs read it, and so are their exit codes.
extension AroundIntegrationTests {
    @Test(
        "Both tools list every situation alike", .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"),
        .timeLimit(.minutes(10)))
    func toolsListAlike() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tools = Difference(cluster)
            for stored in StoredCluster.all {
                for (leaf, value) in stored.keys { try await cluster.put(stored.name, leaf, value) }
                for format in ["pretty", "tsv", "json", "yaml"] {
                    try await tools.expectNone("list -f \(format) \(stored.name)")
                }
                try await tools.expectNone("topology \(stored.name)")
            }
            for words in [
                "list -e healthy", "list -e -f json pending", "list -e -f tsv pending", "list healthy paused -f json",
                "history healthy", "history healthy -f json", "history empty -f yaml", "history healthy -f tsv",
                "show-config healthy", "show-config empty", "dsn healthy", "dsn healthy -r replica",
                "dsn healthy -m n3", "dsn healthy -m nobody", "dsn leaderless", "dsn healthy -m n1 -r any",
                "version", "list",
            ] {
                try await tools.expectNone(words)
            }
        }
    }

    @Test(
        "Both tools list the groups of a Citus cluster alike",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(5)))
    func toolsListGroupsAlike() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tools = Difference(cluster)
            for (leaf, value) in StoredCluster.citus { try await cluster.put("citus", leaf, value) }
            let section = ["PATRONI_CITUS_GROUP": "0", "PATRONI_CITUS_DATABASE": "db"]
            for format in ["pretty", "tsv", "json", "yaml"] {
                try await tools.expectNone("list citus -f \(format)", environment: section)
                try await tools.expectNone("list citus --group 1 -f \(format)")
            }
            try await tools.expectNone("topology citus", environment: section)
            try await tools.expectNone("list --group 9 citus")
            try await tools.expectNone("switchover citus --force", environment: section)
            try await tools.expectNone("remove citus", environment: section)
        }
    }

    @Test(
        "Both tools refuse and ask alike", .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"),
        .timeLimit(.minutes(10)))
    func toolsRefuseAlike() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tools = Difference(cluster)
            for stored in StoredCluster.all where stored.name != "forty" {
                for (leaf, value) in stored.keys { try await cluster.put(stored.name, leaf, value) }
            }
            for (words, input) in Self.refusals { try await tools.expectNone(words, input: input) }
        }
    }

    /// Commands that end before they ask any member, and what is typed.
    private static let refusals = [
        ("switchover healthy", ""), ("switchover healthy", "\n\n\n\n"), ("switchover healthy", "nobody\n"),
        ("switchover healthy", "\nn1\n"), ("switchover healthy", "\nn2\n2030-01-01T10:00Z\nn\n"),
        ("switchover paused --force --scheduled 2030-05-05T10:00+02", ""), ("switchover leaderless --force", ""),
        ("switchover healthy --force --scheduled junk", ""), ("switchover healthy --primary n2 --force", ""),
        ("failover healthy --force", ""), ("failover healthy --candidate n1 --force", ""),
        ("failover healthy --candidate n2", "n\n"), ("failover sync --candidate n3", "n\n"),
        ("failover healthy", "\n"), ("restart empty --force", ""), ("restart healthy n1", "now\nn\n"),
        ("restart healthy n9 --force", ""), ("restart healthy --force --pg-version 9.x", ""),
        ("restart healthy --force --pg-version 15", ""),
        ("restart paused n1 --scheduled 2030-01-01T10:00Z --force", ""), ("restart", ""), ("restart healthy -r x", ""),
        ("reload healthy n2", "\n"), ("reload healthy", ""), ("reinit healthy n1", ""), ("reinit healthy --force", ""),
        ("reinit healthy n2", "n\n"), ("flush healthy switchover", ""), ("flush healthy restart --force", ""),
        ("flush healthy", ""), ("flush healthy something", ""), ("pause paused", ""), ("resume healthy", ""),
        ("remove healthy", "no\n"), ("remove healthy", "healthy\nno\n"),
        ("remove healthy", "healthy\nYes I am aware\nn9\n"), ("remove healthy -f json", ""),
        ("edit-config healthy -s ttl=20 -s a.b.c=[1,2] -p max_connections=", "n\n"),
        ("edit-config healthy -s ttl=30", ""), ("edit-config healthy -q -s ttl=30", ""),
        ("edit-config healthy -s ttl", ""), ("edit-config empty -s a=1", ""),
        ("edit-config healthy --apply -", "ttl: 5\npostgresql: null\n"), ("query healthy", ""),
        ("query healthy -m n1 -r any -c x", ""), ("demote-cluster healthy", ""),
        ("demote-cluster leaderless --host h", ""), ("promote-cluster healthy", ""),
        ("demote-cluster healthy --host h", "n\n"), ("edit-config healthy -sttl=21 -pwork_mem=1MB", "n\n"),
        ("demote-cluster healthy --host= --force", ""), ("demote-cluster healthy --port 0", ""),
        ("switchover leaderless --candidate= --force", ""),
        ("restart healthy --pg-version= --pending --force", ""), ("list --nothing= healthy", ""),
        ("edit-config healthy -s -x=1", "n\n"), ("query healthy -c x -f /nowhere", ""),
        ("restart healthy n1 --timeout", ""), ("list -fjson healthy", ""), ("list --format=tsv healthy", ""),
        ("switchover healthy --candidate N2 --force", ""), ("failover healthy --leader n1", ""),
        ("reinit healthy n9 --force", ""), ("history nobody", ""), ("pause nobody", ""),
        ("topology nobody healthy", ""),
        ("list -- healthy", ""), ("list --ext healthy", ""), ("dsn healthy extra", ""), ("list -f xml", ""),
        ("nothing", ""), ("", ""),
    ]
}

extension AroundIntegrationTests {
    @Test(
        "Both tools find their configuration in the same places",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(3)))
    func toolsLookAlike() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let (place, store) = (cluster.directory, "etcd3: {host: '127.0.0.1:\(cluster.etcdPort)'}\n")
            for stored in StoredCluster.all where ["healthy", "dead"].contains(stored.name) {
                for (leaf, value) in stored.keys { try await cluster.put(stored.name, leaf, value) }
            }
            for directory in ["parts", "home", "home/patroni"] {
                try Files.makeDirectory("\(place)/\(directory)", mode: 0o755)
            }
            for (file, text) in [
                ("one.yml", "scope: healthy\n" + store), ("home/patroni/patronictl.yaml", "scope: dead\n" + store),
                ("parts/a.yml", "scope: nobody\n" + store), ("parts/b.yaml", "scope: healthy\n"),
                ("parts/c.txt", "scope: other\n"), ("text.yml", "no mapping"), ("broken.yml", "a: [1"),
                ("empty.yml", ""),
            ] {
                try Files.replace("\(place)/\(file)", with: text.utf8, mode: 0o644)
            }
            let host = "127.0.0.1:\(cluster.etcdPort)"
            let rows: [(options: [String], variables: [String: String], shows: String?)] = [
                ([], ["PATRONICTL_CONFIG_FILE": "\(place)/one.yml"], "healthy"),
                ([], ["XDG_CONFIG_HOME": "\(place)/home"], "dead"), ([], [:], nil),
                (["-c", "\(place)/parts"], [:], "healthy"), (["-c", "\(place)/text.yml"], [:], nil),
                (["-c", "\(place)/broken.yml"], [:], nil), (["-c", "\(place)/empty.yml"], [:], nil),
                (["-c", "\(place)/one.yml"], ["PATRONI_SCOPE": "dead"], "dead"),
                ([], ["PATRONI_CONFIGURATION": "scope: healthy\n" + store], "healthy"),
                ([], ["DCS_URL": "etcd3://\(host)", "PATRONI_SCOPE": "dead"], "dead"),
                ([], ["PATRONI_ETCD3_HOSTS": "'\(host)'", "PATRONI_SCOPE": "healthy"], "healthy"),
            ]
            for row in rows {
                let ours = OperatorTool(program: .ours, options: row.options, environment: row.variables)
                let peer = OperatorTool(program: .peer, options: row.options, environment: row.variables)
                async let mine = ours.run("list")
                async let theirs = peer.run("list")
                let (found, wanted) = (try await mine, try await theirs)
                #expect(found.code == wanted.code && found.output == wanted.output, "\(row): \(found), \(wanted)")
                #expect(
                    row.shows.map { found.output.hasPrefix("+ Cluster: \($0) (") } ?? (found.output == ""), "\(row)")
            }
        }
    }

    @Test(
        "Both tools take files of changes alike", .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"),
        .timeLimit(.minutes(5)))
    func toolsChangeAlike() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let (tools, file) = (Difference(cluster), "\(cluster.directory)/changes.yml")
            let config = try #require(StoredCluster.all.first { $0.name == "healthy" }?.keys["config"])
            for (words, input, text) in Self.changes {
                let list = words.split(separator: " ").map { $0 == "FILE" ? file : String($0) }
                try Files.replace(file, with: text.utf8, mode: 0o644)
                // Each has a cluster of its own.
                for scope in ["ours", "theirs"] { try await cluster.put(scope, "config", config) }
                async let mine = tools.ours.run(["edit-config", "ours"] + list, input: input)
                async let theirs = tools.peer.run(["edit-config", "theirs"] + list, input: input)
                let (found, wanted) = (try await mine, try await theirs)
                #expect(found.code == wanted.code && found.output == wanted.output, "\(words): \(found), \(wanted)")
                // Theirs has no word for a file that is not there.
                if wanted.errors.hasPrefix("Traceback") {
                    #expect(found.errors == "Error: open /nowhere/file: No such file or directory\n", "\(words)")
                } else {
                    #expect(Difference.refusal(found) == Difference.refusal(wanted), "\(words): \(found), \(wanted)")
                }
                let (left, right) = (try await cluster.stored("ours"), try await cluster.stored("theirs"))
                // Letters that are not ASCII are spelled in other ways.
                #expect(try left.mapValues { try JSON.parse($0) } == right.mapValues { try JSON.parse($0) }, "\(words)")
                #expect((left["config"] != config) == found.output.contains("Configuration changed"), "\(words)")
            }
        }
    }

    /// Words of `edit-config`, what is typed, and what stands in the file.
    private static let changes: [(words: String, input: String, text: String)] = {
        let patch = "loop_wait: null\nttl: 20\npostgresql:\n  parameters: {work_mem: 8MB}\n  use_slots: false\n"
        return [
            ("--apply FILE --force", "", patch), ("--apply FILE", "y\n", patch), ("--apply FILE", "n\n", patch),
            ("--apply FILE", "", patch), ("--apply FILE -q --force", "", patch), ("--apply FILE", "", "ttl: 30\n"),
            ("--apply - --force", patch, ""), ("--apply -", patch, ""), ("--apply - -q", patch, ""),
            ("--replace FILE --force", "", patch), ("--replace FILE", "y\n", patch), ("--replace FILE", "n\n", patch),
            ("--replace - --force", patch, ""), ("--replace -", patch, ""),
            ("--replace FILE --apply - --force", "ttl: 22\n", patch),
            ("--replace FILE --apply FILE --force", "", patch),
            ("--replace FILE -s ttl=23 -p work_mem= --force", "", patch),
            ("--apply FILE --force -s ttl=24", "", "{\"ttl\": 25, \"é\": [1, null, {\"b\": null}]}"),
            ("--apply FILE --force", "", "postgresql: null\n"), ("--apply /nowhere/file", "", ""),
            ("--replace /nowhere/file", "", ""),
        ]
    }()
}
