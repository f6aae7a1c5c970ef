import ClusterModel
import Glibc
import JSON
import Posix
import TestSupport
import Testing

/// `matriarchctl` in the hands of those who press Ctrl-C, close pipes and have no editor.
extension AroundIntegrationTests {
    @Test("Ctrl-C while a member does not answer says in what state things are", .timeLimit(.minutes(4)))
    func ctlIsInterrupted() async throws {
        try await TestCluster.with([.subject, .subject]) { cluster in
            let leader = try await cluster.bootstrap()
            let (tool, name) = (cluster.tool(), cluster.name(leader))
            let rows: [(words: [String], says: String)] = [
                (["switchover", "--force"], "The switchover may have been asked for already, and goes on then:"),
                (["pause"], "A member may have been asked already: "),
                (["restart", "demo", name, "--force"], "The restart of \(name) may have begun, and goes on then;"),
                (["rolling-restart", "--force"], "A member may have been asked already, and goes on then: "),
                (["edit-config", "-s", "loop_wait=3"], "\r\nAborted!"),
            ]
            for row in rows {
                try cluster.daemon(leader).signal(SIGSTOP)
                defer { try? cluster.daemon(leader).signal(SIGCONT) }
                try await tool.typed(row.words) { typed in
                    // The listing comes first where there is one, then the member is asked.
                    try await Task.sleep(for: .seconds(1.5))
                    try typed.type("\u{3}")
                    try await typed.expect(row.says)
                    #expect(try await typed.end() == 1, "\(row.words)")
                }
            }
            try await cluster.healthy(within: 60)
            #expect(try await tool.run("show-config").output.contains("\nttl: 20\n"))
        }
    }

    @Test("What nobody reads ends, and what could not be written is told", .timeLimit(.minutes(3)))
    func ctlWithoutReaders() async throws {
        try await TestCluster.with([.subject]) { cluster in
            try await cluster.bootstrap()
            let tool = cluster.tool()
            for words in [["list", "-W"], ["topology", "-w", "0.5"], ["events"], ["query", "-c", "SELECT 1", "-W"]] {
                let script = #"{ timeout 30 "$@"; echo "code $?" >&2; } | head -n 1"#
                let outcome = try await tool.run(words, prefix: ["/bin/sh", "-c", script, "sh"])
                #expect(outcome.errors == "code 1\n", "\(words): \(outcome)")
                #expect(outcome.output.split(separator: "\n").count == 1)
            }
            let full = try await tool.run(["list"], prefix: ["/bin/sh", "-c", #"exec "$@" >/dev/full"#, "sh"])
            #expect(full.code == 1 && full.errors.hasPrefix("Error: "), "\(full)")
            #expect(full.errors.contains("No space left on device"), "\(full)")
            // Streams that are closed are not those that the program opens in their place.
            let deaf = try await tool.run(["restart", "demo"], prefix: ["/bin/sh", "-c", #"exec "$@" <&-"#, "sh"])
            #expect(deaf.code == 1 && deaf.errors == "Aborted!\n", "\(deaf)")
            let mute = try await tool.run(["list"], prefix: ["/bin/sh", "-c", #"exec "$@" >&-"#, "sh"])
            #expect(mute.code == 1 && mute.errors.contains("Bad file descriptor"), "\(mute)")
        }
    }

    @Test("An editor with options is one, and one that is not there is told of", .timeLimit(.minutes(3)))
    func ctlEditors() async throws {
        try await TestCluster.with([.subject]) { cluster in
            try await cluster.bootstrap()
            var tool = cluster.tool()
            // A blank would begin another option.
            tool.environment["EDITOR"] = "sed -i s/loop_wait:.2/loop_wait:\\x203/"
            let edited = try await tool.run(["edit-config"], input: "n\n")
            #expect(edited.code == 0 && edited.output.contains("+loop_wait: 3\n"), "\(edited)")
            tool.environment["EDITOR"] = "/nowhere/ed -x"
            let missing = try await tool.run("edit-config")
            #expect(missing.code == 1, "\(missing)")
            #expect(missing.errors.hasPrefix("Error: The editor '/nowhere/ed -x' cannot be started: "), "\(missing)")
            // What the members would refuse is not kept from who insists, and is told.
            let odd = try await tool.run(["edit-config", "-s", "ttl=abc"], input: "n\n")
            #expect(odd.code == 0 && odd.errors.contains("the members cannot go by this: ttl"), "\(odd)")
            // Two at once: the second would undo what the first did.
            let own = cluster.configurationFile(1)
            let link = "\(cluster.directory)/editor"
            let program = try OperatorTool.path(.ours, cluster.directory)
            try makeProgram(
                link,
                "#!/bin/sh\n\(program) -c \(own) edit-config -q -s loop_wait=4 --force\necho x_y: 1 >>\"$1\"\n".utf8)
            tool.environment["EDITOR"] = link
            let second = try await tool.run("edit-config", "--force")
            #expect(second.errors.hasSuffix("Error: Config modification aborted due to concurrent changes\n"))
            #expect(second.code == 1)
            #expect(try await tool.run("show-config").output.contains("loop_wait: 4\n"))
        }
    }

    @Test("A store that does not answer is told of, and waited for", .timeLimit(.minutes(3)))
    func ctlWithoutStore() async throws {
        try await TestCluster.with([.subject]) { cluster in
            try await cluster.bootstrap()
            let etcd = try cluster.process("etcd")
            defer { etcd.signal(SIGCONT) }
            // A screen keeps what it has, and is left all the same.
            try await cluster.tool().typed("watch", "--interval", "0.5") { typed in
                try await typed.expect("| n1 ")
                etcd.signal(SIGSTOP)
                try await typed.expect("    the store has not answered for ")
                try await typed.expect("| n1 ")
                try await typed.expect(" - WARNING - the store does not answer, it is asked again")
                try typed.type("q")
                try await typed.expect("\u{1B}[?1049l", within: 3)
                #expect(try await typed.end(within: 3) == 0)
            }
            try await cluster.tool().typed("list") { typed in
                try await typed.expect("the store does not answer, it is asked again: ", within: 5)
                etcd.signal(SIGCONT)
                try await typed.expect("| n1 ")
                #expect(try await typed.end() == 0)
            }
        }
    }

    @Test("Names with blanks and of other scripts are names", .timeLimit(.minutes(3)))
    func ctlOddNames() async throws {
        try await TestCluster.with([.subject]) { cluster in
            let tool = OperatorTool(program: .ours, options: ["-d", "etcd3://127.0.0.1:\(cluster.etcdPort)"])
            let peer = OperatorTool(program: .peer, options: tool.options)
            let healthy = try #require(StoredCluster.all.first { $0.name == "healthy" })
            for name in ["ein Name", "größe-ク"] {
                for (leaf, value) in healthy.keys { try await cluster.put(name, leaf, value) }
                let listed = try await tool.run(["list", name])
                #expect(listed.code == 0 && listed.output.hasPrefix("+ Cluster: \(name) ("), "\(listed)")
                if Programs.hasPeer {
                    // Its drawn title is a column too long for each wide letter.
                    let theirs = try await peer.run(["list", name, "-f", "json"])
                    #expect(try await tool.run(["list", name, "-f", "json"]) == theirs)
                }
                let gone = try await tool.run(["remove", name], input: "\(name)\nYes I am aware\nn1\n")
                #expect(gone.code == 0, "\(gone)")
                #expect(try await tool.run(["list", name, "-f", "json"]).output == "[]\n")
            }
        }
    }

    @Test("watch shows the groups of a Citus cluster, and the narrowest screen", .timeLimit(.minutes(2)))
    func watchShowsGroups() async throws {
        try await TestCluster.with([.subject]) { cluster in
            var tool = OperatorTool(program: .ours, options: ["-d", "etcd3://127.0.0.1:\(cluster.etcdPort)"])
            for (leaf, value) in StoredCluster.citus { try await cluster.put("citus", leaf, value) }
            tool.environment = ["PATRONI_CITUS_GROUP": "0", "PATRONI_CITUS_DATABASE": "db"]
            try await tool.typed("watch", "citus") { typed in
                try await typed.expect("Citus cluster: citus ")
                for group in 0..<3 { try await typed.expect("|     \(group) | n3 ") }
                try await typed.expect("Citus group: 1")
                for (columns, lines) in [(20, 5), (3, 2), (1, 1)] as [(UInt16, UInt16)] {
                    typed.resize(columns: columns, lines: lines)
                    try await typed.expect("\u{1B}[J")
                }
                try typed.type("q")
                #expect(try await typed.end() == 0)
            }
        }
    }
}
