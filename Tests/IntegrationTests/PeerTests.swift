import ClusterModel
import JSON
import Testing

extension WaitingIntegrationTests {
    @Test(
        "patronictl lists our cluster from the store", .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"),
        .timeLimit(.minutes(3)))
    func patronictl() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let configuration = cluster.configurationFile(leader)
            let listed = try await Tool.run([
                try Programs.peer("patronictl"), "-c", configuration, "list", "--format", "json", "demo",
            ])
            let members = try #require(JSON.parse(listed).array)
            #expect(members.compactMap { $0["Member"]?.string } == cluster.nodes.map(cluster.name))
            for member in members {
                let leads = member["Member"]?.string == cluster.name(leader)
                #expect(member["Role"]?.string == (leads ? "Leader" : "Replica"))
                #expect(member["State"]?.string == (leads ? "running" : "streaming"))
                #expect(member["TL"] == 1)
            }
            let table = try await Tool.run([try Programs.peer("patronictl"), "-c", configuration, "list"])
            #expect(table.contains("+ Cluster: demo ("))

            // The tool moves the leadership, too: it asks the members it found in the store.
            let candidate = try #require(cluster.nodes.first { $0 != leader })
            _ = try await Tool.run([
                try Programs.peer("patronictl"), "-c", configuration, "switchover", "demo", "--leader",
                cluster.name(leader), "--candidate", cluster.name(candidate), "--force",
            ])
            #expect(try await cluster.healthy(within: 60) == candidate)
        }
    }

    @Test(
        "A Patroni node joins our cluster, takes the leadership and gives it back",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(5)))
    func peerJoinsUs() async throws {
        try await TestCluster.with([.subject, .subject, .peer]) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            for node in [2, 3] { try await cluster.start(node) }
            #expect(try await cluster.healthy(within: 60) == 1)
            try await hand(cluster, from: 1, to: 3)
            try await hand(cluster, from: 3, to: 2)
        }
    }

    @Test(
        "Our node joins a cluster that Patroni leads, and leads when Patroni's machine is lost",
        .enabled(if: Programs.hasPeer, "scripts/setup peer installs it"), .timeLimit(.minutes(5)))
    func weJoinPeer() async throws {
        try await TestCluster.with([.peer, .subject]) { cluster in
            try await cluster.start(1)
            try await waitUntil("n1 leads", within: 60) { await cluster.leader() == 1 }
            try await cluster.start(2)
            #expect(try await cluster.healthy(within: 60) == 1)
            try await cluster.loseHost(1)
            #expect(try await cluster.newLeader(after: 1, within: Self.takeover) == 2)
            try await cluster.writable(port: cluster.postgresqlPort(2), within: 15)
            try await cluster.start(1)
            #expect(try await cluster.healthy(within: 60) == 2)
        }
    }

    private func hand(_ cluster: TestCluster, from: Int, to: Int) async throws {
        let answer = try await cluster.answer(
            "POST", to, "/switchover",
            body: #"{"leader": "\#(cluster.name(from))", "candidate": "\#(cluster.name(to))"}"#, seconds: 60)
        #expect(answer.status == 200, "\(answer.body)")
        #expect(try await cluster.healthy(within: 60) == to)
    }
}
