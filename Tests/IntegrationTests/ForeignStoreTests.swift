import ClusterModel
import Glibc
import Posix
import Testing

/// What answers at etcd's address and is none.
enum Impostor: String, CaseIterable, Sendable {
    case notFound, page, otherProgram, refusedPassword, noLeader

    /// Status and body of every answer.
    fileprivate var answer: (Int, String) {
        switch self {
        case .notFound: (404, "404 page not found")
        case .page: (200, "<html>welcome</html>")
        case .otherProgram: (200, #"{"etcdserver":"3.4.23","etcdcluster":"3.4.0","members":[{"clientURLs":[]}]}"#)
        case .refusedPassword:
            (400, #"{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}"#)
        case .noLeader: (503, #"{"error":"etcdserver: no leader","code":14}"#)
        }
    }

    /// Ends etcd and listens at its address; the program, and the file that it tells each question in.
    func replaceEtcd(of cluster: TestCluster) async throws -> (OwnedProcess, log: String) {
        let etcd = try cluster.process("etcd")
        etcd.signal(SIGKILL)
        try await waitUntil("etcd has gone", within: 10) { !etcd.isAlive }
        let log = "\(cluster.directory)/impostor-\(rawValue).log"
        let (status, body) = answer
        let program = try OwnedProcess.start(
            [try Programs.system("python3"), "-c", Impostor.program, "\(cluster.etcdPort)", "\(status)", body],
            log: log, directory: cluster.directory, environment: ["PATH": "/usr/bin:/bin"])
        do {
            try await waitUntil("it listens", within: 10) {
                await cluster.call("GET", port: cluster.etcdPort, "/")?.status == status
            }
        } catch {
            program.signal(SIGKILL)
            throw error
        }
        return (program, log)
    }

    /// A program for python3 with port, status and body as its arguments.
    fileprivate static let program = """
        import http.server, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(int(sys.argv[2]))
                self.send_header("Content-Length", str(len(sys.argv[3])))
                self.end_headers()
                self.wfile.write(sys.argv[3].encode())
                print("asked", flush=True)
            do_GET = do_POST = answer
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
        """
}

extension AroundIntegrationTests {
    @Test(
        "Nothing that answers at etcd's address ends the daemon: it waits for etcd", .timeLimit(.minutes(3)),
        arguments: Impostor.allCases)
    func foreignStore(_ impostor: Impostor) async throws {
        try await TestCluster.with([.subject]) { cluster in
            let (program, log) = try await impostor.replaceEtcd(of: cluster)
            defer { program.signal(SIGKILL) }
            try await cluster.start(1)
            let daemon = try cluster.daemon(1)
            try await waitUntil("the daemon has asked many times", within: 60) {
                let asked = (try? Files.readText(log)) ?? ""
                return !daemon.isAlive || asked.split(separator: "\n").count { $0.contains("asked") } > 20
            }
            #expect(daemon.isAlive, "the daemon has ended")
            // Its own API answers meanwhile.
            try await waitUntil("the API answers", within: 10) {
                await cluster.get(1, "/liveness") != nil
            }
            program.signal(SIGKILL)
            try await waitUntil("the impostor has gone", within: 10) { !program.isAlive }
            try await cluster.startEtcd()
            #expect(try await cluster.healthy(within: 90) == 1)
        }
    }
}
