import ClusterModel
import Glibc
import JSON
import Posix
import Testing

extension ClusterIntegrationTests {
    @Test(
        "PATCH /config reaches every PostgreSQL: by a reload, or as a restart that is pending", .timeLimit(.minutes(4)))
    func dynamicConfiguration() async throws {
        try await TestCluster.with { cluster in
            let leader = try await cluster.bootstrap()
            let replica = try #require(cluster.nodes.first { $0 != leader })

            let reload = try await cluster.answer(
                "PATCH", replica, "/config", body: #"{"postgresql": {"parameters": {"work_mem": "9MB"}}}"#)
            #expect(reload.status == 200)
            #expect(reload.json["postgresql"]?["parameters"]?["work_mem"] == "9MB")
            #expect(reload.json["postgresql"]?["parameters"]?["max_connections"] == 60, "a patch merges")
            for node in cluster.nodes {
                try await waitUntil("work_mem of \(cluster.name(node))", within: 15) {
                    await cluster.value(node, "SHOW work_mem") == "9MB"
                }
                #expect(await cluster.get(node, "/patroni")?.json["pending_restart"] == nil)
            }

            try await pendingRestart(cluster, leader: leader)
            try await removal(cluster, leader: leader)
            try await refusedPatches(cluster, leader: leader)
            try await everyCharacter(cluster, leader: leader)
            try await editedByHand(cluster, replica)
            try await otherLog(cluster, replica)
            try await laterChanges(cluster, replica)
            try await otherAddress(cluster, leader: leader, replica)
        }
    }

    private func pendingRestart(_ cluster: TestCluster, leader: Int) async throws {
        let answer = try await cluster.answer(
            "PATCH", leader, "/config", body: #"{"postgresql": {"parameters": {"max_connections": 77}}}"#)
        #expect(answer.status == 200)
        for node in cluster.nodes {
            try await waitUntil("pending_restart of \(cluster.name(node))", within: 15) {
                await cluster.get(node, "/patroni")?.json["pending_restart"] == true
            }
            let reason = await cluster.get(node, "/patroni")?.json["pending_restart_reason"]?["max_connections"]
            #expect(reason == ["old_value": "60", "new_value": "77"])
            #expect(await cluster.value(node, "SHOW max_connections") == "60")
        }
        try await waitUntil("the members' keys tell it", within: 15) {
            await cluster.members(leader).allSatisfy { $0["pending_restart"] == true }
        }
    }

    private func removal(_ cluster: TestCluster, leader: Int) async throws {
        let answer = try await cluster.answer(
            "PATCH", leader, "/config", body: #"{"postgresql": {"parameters": {"work_mem": null}}}"#)
        #expect(answer.status == 200)
        #expect(answer.json["postgresql"]?["parameters"]?["work_mem"] == nil)
        for node in cluster.nodes {
            try await waitUntil("work_mem of \(cluster.name(node)) is the default again", within: 15) {
                await cluster.value(node, "SHOW work_mem") == "4MB"
            }
        }
    }

    private func refusedPatches(_ cluster: TestCluster, leader: Int) async throws {
        let before = try await cluster.answer("GET", leader, "/config").json
        for body in ["{", "{}", "[]", "\"text\""] {
            for method in ["PATCH", "PUT"] {
                #expect(
                    try await cluster.answer(method, leader, "/config", body: body).status == 400, "\(method) \(body)")
            }
        }
        let negative = try await cluster.answer(
            "PATCH", leader, "/config", body: #"{"primary_race_backoff": -5}"#)
        #expect(negative.status == 400)
        #expect(try await cluster.answer("GET", leader, "/config").json == before)
        let same = try await cluster.answer("PUT", leader, "/config", body: JSON.text(before))
        #expect(same.status == 200)
        #expect(same.json == before)
    }

    /// A quote with a mark behind it is one character here and a quote to PostgreSQL.
    private func everyCharacter(_ cluster: TestCluster, leader: Int) async throws {
        let name = "x'\u{301}y\\\u{200D}z"
        let body: JSONValue = ["postgresql": ["parameters": ["application_name": .string(name), "work_mem": "7MB"]]]
        #expect(try await cluster.answer("PATCH", leader, "/config", body: JSON.text(body)).status == 200)
        for node in cluster.nodes {
            try await waitUntil("what stands after the name holds on \(cluster.name(node))", within: 15) {
                await cluster.value(node, "SHOW work_mem") == "7MB"
            }
            let setting = "SELECT setting FROM pg_file_settings WHERE name = 'application_name'"
            #expect(await cluster.value(node, setting).map { Array($0.utf8) } == Array(name.utf8))
        }
        let null = #"{"postgresql": {"parameters": {"application_name": "a\u0000"}}}"#
        #expect(try await cluster.answer("PATCH", leader, "/config", body: null).status == 400)
        let undo = #"{"postgresql": {"parameters": {"application_name": null, "work_mem": null}}}"#
        #expect(try await cluster.answer("PATCH", leader, "/config", body: undo).status == 200)
    }

    /// SIGHUP applies `log`: from then on the lines go to a file, for the owner alone.
    /// The files that are ours are written anew by every way to reload, and say so.
    private func editedByHand(_ cluster: TestCluster, _ node: Int) async throws {
        let file = "\(cluster.dataDirectory(node))/pg_hba.conf"
        let written = try Files.readText(file)
        for isSignal in [true, false] {
            // In place: it stays its owner's.
            let handle = open(file, O_WRONLY | O_APPEND)
            try #require(handle >= 0)
            let line = Array("host all all 127.0.0.3/32 trust\n".utf8)
            #expect(write(handle, line, line.count) == line.count)
            close(handle)
            if isSignal {
                try cluster.daemon(node).signal(SIGHUP)
            } else {
                #expect(try await cluster.answer("POST", node, "/reload").status == 202)
            }
            try await waitUntil("the line is gone", within: 15) { try Files.readText(file) == written }
        }
        let told = "the files of PostgreSQL's configuration have changed: they are read again"
        try await waitUntil("the log tells of both", within: 15) {
            let log = try Files.readText("\(cluster.directory)/\(cluster.name(node)).log")
            return log.split(separator: "\n").filter { $0.contains(told) }.count >= 2
        }
    }

    private func otherLog(_ cluster: TestCluster, _ node: Int) async throws {
        let directory = "\(cluster.directory)/\(cluster.name(node))"
        let (scope, file) = ("\"scope\": \"demo\"", "\(directory)/patroni.log")
        try edit(cluster, node, scope, "\(scope), \"log\": {\"dir\": \"\(directory)\", \"level\": \"DEBUG\"}")
        try cluster.daemon(node).signal(SIGHUP)
        try await waitUntil("the log goes to a file", within: 15) {
            try Files.exists(file) && Files.readText(file).contains(" DEBUG: ")
        }
        #expect(Files.mode(file) == 0o600)
        try edit(cluster, node, "\"dir\": \"\(directory)\", ", "")
        try cluster.daemon(node).signal(SIGHUP)
        try await waitUntil("the log goes to stderr again", within: 15) {
            try Files.readText("\(cluster.directory)/\(cluster.name(node)).log").contains(" DEBUG: ")
        }
    }

    /// What waits for another start is told, and a file that has gone changes nothing.
    private func laterChanges(_ cluster: TestCluster, _ node: Int) async throws {
        let file = cluster.configurationFile(node)
        let (old, new) = ("\"127.0.0.1:\(cluster.etcdPort)\"", "\"localhost:\(cluster.etcdPort)\"")
        func told(_ line: String) async throws {
            try cluster.daemon(node).signal(SIGHUP)
            try await waitUntil(line, within: 15) {
                try Files.readText("\(cluster.directory)/\(cluster.name(node)).log").contains(line)
            }
        }
        try edit(cluster, node, old, new)
        try await told("etcd3.hosts: the change holds from the next start of the daemon on")
        try edit(cluster, node, new, old)
        #expect(rename(file, "\(file).away") == 0)
        try await told("the configuration was not read again: \(file) does not exist any more")
        #expect(rename("\(file).away", file) == 0)
    }

    /// `restapi.listen` changes under a connection that is kept: first to an address that is taken, then to a free one.
    private func otherAddress(_ cluster: TestCluster, leader: Int, _ node: Int) async throws {
        let old = cluster.restPort(node)
        let kept = try #require(try await Blocking.run("http") { HTTPConnection(port: old) })
        func keptStatus() async throws -> Int? { try await Blocking.run("http") { kept.ask("/liveness")?.status } }
        func published() async -> JSONValue? {
            await cluster.members(leader).first { $0["name"] == .string(cluster.name(node)) }?["api_url"]
        }
        #expect(try await keptStatus() == 200)

        let taken = cluster.restPort(leader)
        try listen(cluster, node, old, taken)
        try cluster.daemon(node).signal(SIGHUP)
        try await waitUntil("the log tells that the address is taken", within: 15) {
            let log = try Files.readText("\(cluster.directory)/\(cluster.name(node)).log")
            return log.contains(
                "127.0.0.1:\(taken) cannot be listened at: bind 127.0.0.1:\(taken): Address already in use")
        }
        #expect(await cluster.get(node, "/liveness")?.status == 200)
        #expect(await published() == .string("http://127.0.0.1:\(old)/patroni"))

        let fresh = cluster.freePort
        try listen(cluster, node, taken, fresh)
        #expect(try await cluster.answer("POST", node, "/reload").status == 202)
        try await waitUntil("the API answers at the new address alone", within: 15) {
            let (isThere, isHere) = (
                await cluster.call("GET", port: fresh, "/liveness"), await cluster.get(node, "/liveness")
            )
            return isThere?.status == 200 && isHere == nil
        }
        #expect(try await keptStatus() == 200)
        try await waitUntil("the new address is published", within: 15) {
            await published() == .string("http://127.0.0.1:\(fresh)/patroni")
        }
        try await encryption(cluster, node, fresh) { await published() }
    }

    /// TLS is switched on before its certificate is there: the API stays as it is, and what is published of it, until
    /// a reload finds the certificate.
    private func encryption(
        _ cluster: TestCluster, _ node: Int, _ port: Int, _ published: () async -> JSONValue?
    ) async throws {
        let certificate = "\(cluster.directory)/late.pem"
        let address = "\"listen\": \"127.0.0.1:\(port)\""
        try edit(cluster, node, address, "\(address), \"certfile\": \"\(certificate)\"")
        try cluster.daemon(node).signal(SIGHUP)
        try await waitUntil("the log tells that there is no certificate", within: 15) {
            try Files.readText("\(cluster.directory)/\(cluster.name(node)).log")
                .contains("the certificate of the REST API was not read again: certificate \(certificate)")
        }
        #expect(await cluster.call("GET", port: port, "/liveness")?.status == 200)
        #expect(await published() == .string("http://127.0.0.1:\(port)/patroni"))

        try await Certificates.makeAlone(certificate)
        try cluster.daemon(node).signal(SIGHUP)
        try await waitUntil("the API speaks TLS", within: 15) {
            try await Blocking.run("http") {
                HTTPConnection(port: port, identity: ClientIdentity(file: ""))?.ask("/liveness")?.status == 200
            }
        }
        try await waitUntil("the URL is published as https", within: 15) {
            await published() == .string("https://127.0.0.1:\(port)/patroni")
        }
    }

    private func listen(_ cluster: TestCluster, _ node: Int, _ old: Int, _ new: Int) throws {
        try edit(cluster, node, "127.0.0.1:\(old)", "127.0.0.1:\(new)")
    }

    private func edit(_ cluster: TestCluster, _ node: Int, _ old: String, _ new: String) throws {
        try cluster.edit(node, old, new)
    }
}
