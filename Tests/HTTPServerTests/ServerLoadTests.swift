import Glibc
import HTTPServer
import Logging
import Posix
import Testing

/// The server among clients that are slow, silent, gone or too many.
@Suite(.serialized, .timeLimit(.minutes(1))) struct ServerLoadTests {
    @Test func aRequestThatDoesNotArriveIsEnded() async throws {
        try await withServer {
            $0.requestTimeout = .milliseconds(200)
        } _: { port, _, _ in
            let (slow, trickling) = try await offPool {
                let slow = try TestClient(port: port)
                try slow.send("GET /echo HTTP/1.1\r\nHo")
                let trickling = try TestClient(port: port)
                // Bytes that keep coming do not extend the time of the whole.
                do {
                    while true {
                        try trickling.send("G")
                        pause(milliseconds: 5)
                        if trickling.hasInput() { break }
                    }
                } catch is SystemError {}
                return (try slow.untilEnd(), try trickling.untilEnd())
            }
            #expect(slow.hasPrefix("HTTP/1.1 408 "))
            #expect(trickling.hasPrefix("HTTP/1.1 408 "))
        }
    }

    @Test func anIdleConnectionIsEndedSilently() async throws {
        try await withServer {
            $0.idleTimeout = .seconds(3)
        } _: { port, _, _ in
            let rest = try await offPool {
                let fresh = try TestClient(port: port)
                let used = try TestClient(port: port)
                try used.send("GET /health HTTP/1.1\r\n\r\n")
                _ = try used.response()
                return [try fresh.untilEnd(), try used.untilEnd()]
            }
            #expect(rest == ["", ""])
        }
    }

    @Test func aClientThatDoesNotReadIsEnded() async throws {
        try await withServer {
            $0.writeTimeout = .milliseconds(200)
        } _: { port, _, server in
            let client = try await offPool {
                let client = try TestClient(port: port, seconds: 50, receiveBuffer: 4096)
                try client.send("GET /large HTTP/1.1\r\n\r\n")
                _ = try client.receive()
                return ClientBox(client)
            }
            // The drain outlasts the test's own limit: only the write timeout can end the answer before.
            await server.stop(drain: .seconds(120))
            let received = try await offPool { try client.untilEnd().utf8.count }
            #expect(received < 8 << 20)
        }
    }

    @Test(arguments: [1, 2])
    func probesAreAnsweredAmongThreeHundredSilentClients(loops: Int) async throws {
        try await withServer {
            $0.loops = loops
            $0.connectionsMax = 2000
            // No client is to be ended for the time that all of them take.
            $0.requestTimeout = .seconds(60)
            $0.idleTimeout = .seconds(60)
        } _: { port, _, _ in
            let answers = try await offPool {
                let silent = try (0..<300).map { index in
                    let client = try TestClient(port: port, seconds: 50)
                    if index % 2 == 0 { try client.send("GET /hea") }
                    return client
                }
                let probe = try TestClient(port: port, seconds: 50)
                let bodies = try (0..<50).map { _ in
                    try probe.send("GET /health HTTP/1.1\r\n\r\n")
                    return try probe.response().body
                }
                // They were held, not dropped: each can still finish its request.
                try silent[0].send("lth HTTP/1.1\r\n\r\n")
                try silent[299].send("GET /health HTTP/1.1\r\n\r\n")
                return try bodies + [silent[0].response().body, silent[299].response().body]
            }
            #expect(answers == Array(repeating: "healthy", count: 52))
        }
    }

    @Test func atTheBoundTheOldestIdleConnectionGivesWay() async throws {
        try await withServer {
            $0.connectionsMax = 3
        } _: { port, _, _ in
            let (first, others) = try await offPool {
                let clients = try (0..<3).map { _ in
                    let client = try TestClient(port: port)
                    try client.send("GET /health HTTP/1.1\r\n\r\n")
                    _ = try client.response()
                    return client
                }
                let fourth = try TestClient(port: port)
                try fourth.send("GET /health HTTP/1.1\r\n\r\n")
                let answer = try fourth.response().body
                let first = try clients[0].untilEnd()
                let rest = try clients.dropFirst().map { client in
                    try client.send("GET /health HTTP/1.1\r\n\r\n")
                    return try client.response().body
                }
                return (first, [answer] + rest)
            }
            #expect(first == "")
            #expect(others == ["healthy", "healthy", "healthy"])
        }
    }

    /// More than one turn of the loop, and more than the kernel keeps: what is left is answered in the next.
    @Test func manyPipelinedRequestsAreAnsweredInTheirOrder() async throws {
        try await withServer { port, _, _ in
            let bodies = try await offPool {
                let client = try TestClient(port: port)
                let body = String(repeating: "x", count: 500)
                for number in 0..<3000 {
                    try client.send("POST /body HTTP/1.1\r\nContent-Length: 504\r\n\r\n\(number + 1000)\(body)")
                }
                return try (0..<3000).map { _ in try client.response().body }
            }
            #expect(bodies.map { String($0.prefix(4)) } == (1000..<4000).map(String.init))
        }
    }

    @Test func aShareOfTheConnectionsIsKept() async throws {
        try await withServer {
            $0.connectionsMax = 8
        } _: { port, _, _ in
            let (kept, spilled, answered) = try await offPool {
                func probing() throws -> TestClient {
                    let client = try TestClient(port: port)
                    try client.send("GET /health HTTP/1.1\r\n\r\n")
                    _ = try client.response()
                    return client
                }
                // Three probes for a share of two, then more silent clients than there is room for.
                let probes = try (0..<3).map { _ in try probing() }
                let silent = try (0..<40).map { _ in try TestClient(port: port) }
                let last = try probing()
                let spilled = try probes[0].untilEnd()
                let bodies = try [probes[1], probes[2], last].map { probe in
                    try probe.send("GET /health HTTP/1.1\r\n\r\n")
                    return try probe.response().body
                }
                return (bodies, spilled, silent.count)
            }
            #expect(kept == ["healthy", "healthy", "healthy"])
            #expect(spilled == "")
            #expect(answered == 40)
        }
    }

    /// While the loop has no time the kernel's queue fills up; who is in it, and who comes after, is served.
    @Test func aFullAcceptQueueIsWorkedOff() async throws {
        try await withServer {
            $0.backlog = 1
        } _: { port, handler, _ in
            let stalling = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /stall HTTP/1.1\r\n\r\n")
                return ClientBox(client)
            }
            await handler.untilStarted(1)
            let waiting = try await offPool {
                let clients = try (0..<8).map { _ in try TestClient(port: port, waits: false) }
                guard clients.contains(where: { !$0.isConnected() }) else { throw ClientError("the queue took all") }
                return clients.map { ClientBox($0) }
            }
            handler.open()
            let bodies = try await offPool {
                let first = try stalling.whole { try $0.response().body } ?? "none"
                return try [first]
                    + waiting.compactMap { box in
                        try box.whole { client in
                            try client.untilConnected()
                            try client.send("GET /health HTTP/1.1\r\n\r\n")
                            return try client.response().body
                        }
                    }
            }
            #expect(bodies == ["stalled"] + Array(repeating: "healthy", count: 8))
        }
    }

    @Test func aLongAnswerHoldsNobodyElse() async throws {
        try await withServer { port, handler, _ in
            async let long = offPool {
                let client = try TestClient(port: port)
                try client.send("GET /gate HTTP/1.1\r\n\r\n")
                return try client.response().body
            }
            await handler.untilStarted(1)
            let probe = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /health HTTP/1.1\r\n\r\nGET /later HTTP/1.1\r\n\r\n")
                return [try client.response().body, try client.response().body]
            }
            #expect(probe == ["healthy", "later /later"])
            #expect(handler.finished == 0)
            handler.open()
            let answer = try await long
            #expect(answer == "gate")
        }
    }

    @Test func tooManyLongAnswersAreRefused() async throws {
        try await withServer {
            $0.readingAnswersMax = 1
        } _: { port, handler, _ in
            async let long = offPool {
                let client = try TestClient(port: port)
                try client.send("GET /gate HTTP/1.1\r\n\r\n")
                return try client.response().body
            }
            await handler.untilStarted(1)
            let refused = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /later HTTP/1.1\r\n\r\n")
                return try client.untilEnd()
            }
            #expect(refused.hasPrefix("HTTP/1.1 503 "))
            // What changes something is counted apart.
            let changed = try await offPool {
                let client = try TestClient(port: port)
                try client.send("POST /later HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
                return try client.response().body
            }
            #expect(changed == "later /later")
            handler.open()
            let answer = try await long
            #expect(answer == "gate")
        }
    }

    /// Beyond what may be gathered of large requests, one of them is refused; small ones are not.
    @Test func largeRequestsShareABound() async throws {
        try await withServer {
            $0.gatheredBytesMax = 100 << 10
        } _: { port, _, _ in
            let statuses = try await offPool {
                func begin(_ count: Int) throws -> TestClient {
                    let client = try TestClient(port: port)
                    let body = String(repeating: "x", count: count)
                    try client.send("POST /echo HTTP/1.1\r\nContent-Length: \(count + 1)\r\n\r\n\(body)")
                    return client
                }
                let large = try (0..<2).map { _ in try begin(90 << 10) }
                let small = try begin(8 << 10)
                let probe = try TestClient(port: port)
                try probe.send("GET /health HTTP/1.1\r\n\r\n")
                let isHealthy = try probe.response().status
                try small.send("x")
                let smallStatus = try small.response().status
                // Which of the two the loop saw last it alone knows; the other one can be whole.
                for client in large { try? client.send("x") }
                let largeStatuses = try large.map { try $0.response().status }
                // What they held counts no longer.
                let next = try begin(90 << 10)
                try next.send("x")
                return [isHealthy, smallStatus] + largeStatuses.sorted { ($0 ?? 0) < ($1 ?? 0) }
                    + [try next.response().status]
            }
            #expect(statuses == [200, 200, 200, 503, 200])
        }
    }

    @Test func aClientThatLeavesCancelsItsTask() async throws {
        try await withServer { port, handler, _ in
            let client = try await offPool {
                let client = try TestClient(port: port)
                try client.send("GET /gate HTTP/1.1\r\n\r\n")
                return ClientBox(client)
            }
            await handler.untilStarted(1)
            client.drop()
            await handler.untilCancelled(1)
            #expect(handler.cancelled == 1)
        }
    }

    @Test func stopLetsAnAnswerFinishAndTakesNoMore() async throws {
        try await withServer { port, handler, server in
            async let long = offPool {
                let client = try TestClient(port: port)
                try client.send("GET /gate HTTP/1.1\r\n\r\n")
                return try client.untilEnd()
            }
            let idle = try await offPool { ClientBox(try TestClient(port: port)) }
            await handler.untilStarted(1)
            async let stopped: Void = server.stop(drain: .seconds(20))
            // The idle connection ends at once, which shows that the stop has begun.
            #expect(try await offPool { try idle.untilEnd() } == "")
            await #expect(throws: SystemError.self) { try await offPool { _ = try TestClient(port: port) } }
            handler.open()
            let answer = try await long
            #expect(answer.hasSuffix("\r\n\r\ngate"))
            #expect(answer.contains("Connection: close\r\n"))
            await stopped
            #expect(handler.cancelled == 0)
        }
    }

    @Test func stopCancelsWhatOutlastsTheDrain() async throws {
        try await withServer { port, handler, server in
            async let long = offPool {
                let client = try TestClient(port: port)
                try client.send("GET /gate HTTP/1.1\r\n\r\n")
                return try client.untilEnd()
            }
            await handler.untilStarted(1)
            await server.stop(drain: .milliseconds(50))
            await handler.untilCancelled(1)
            let answer = try await long
            #expect(answer == "")
        }
    }

    @Test func aServerStartsOnceAndNamesWhatFailed() async throws {
        try await withServer { port, handler, server in
            await #expect(throws: HTTPServerError.self) { try await server.start() }
            let taken = HTTPServerConfiguration(listen: [ListenAddress(host: "127.0.0.1", port: port)])
            let second = HTTPServer(configuration: taken, handler: handler, logger: Logger(label: "http-test"))
            let error = await #expect(throws: HTTPServerError.self) { try await second.start() }
            #expect(error.map { "\($0)" }?.contains("127.0.0.1:\(port)") == true)
            await second.stop()
        }
    }

    /// In a process of its own: other tests open descriptors and threads too.
    @Test func startAndStopLeakNeitherDescriptorNorThread() async {
        await #expect(processExitsWith: .success) {
            try await withServer { _, _, _ in }
            let before = try Files.list("/proc/self/fd").count
            for round in 0..<8 {
                try await withServer {
                    $0.loops = 1 + round % 4
                } _: { port, _, _ in
                    try await offPool {
                        let clients = try (0..<20).map { _ in try TestClient(port: port) }
                        for client in clients { try client.send("GET /health HTTP/1.1\r\n\r\n") }
                        for client in clients { _ = try client.response() }
                    }
                }
            }
            try await offPool {
                // The threads have said that they end; the kernel takes a moment to count them out.
                for _ in 0..<1000 where try serverThreads() > 0 { pause(milliseconds: 5) }
            }
            let (after, threads) = (try Files.list("/proc/self/fd").count, try serverThreads())
            // What leaks does so in every round; the runtime itself opens a timer or two when it likes.
            guard after - before < 8, threads == 0 else {
                throw ClientError("descriptors before \(before), after \(after); threads left \(threads)")
            }
        }
    }

    /// In a process of its own, because it takes every descriptor there is.
    @Test func withoutDescriptorsTheServerGoesOn() async {
        await #expect(processExitsWith: .success) {
            // The runtime opens its timers on first use and traps where it cannot: they must be there before.
            try await Task.sleep(for: .milliseconds(1), clock: .continuous)
            try await Task.sleep(for: .milliseconds(1), clock: .suspending)
            try await withServer { port, _, _ in
                try await offPool {
                    let kept = try TestClient(port: port)
                    try kept.send("GET /health HTTP/1.1\r\n\r\n")
                    _ = try kept.response()
                    try kept.send("GET /gate HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n")
                    var limit = rlimit(rlim_cur: 64, rlim_max: 64)
                    setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
                    var clients: [TestClient] = []
                    // Connects until this process has no descriptor left: the server's side of some has none either.
                    while let client = try? TestClient(port: port) { clients.append(client) }
                    if clients.isEmpty { throw ClientError("no client was there to be starved") }
                    clients = []
                    let late = try TestClient(port: port)
                    try late.send("GET /health HTTP/1.1\r\n\r\n")
                    guard try late.response().body == "healthy" else { throw ClientError("not healthy") }
                }
            }
        }
    }
}

/// How many threads of servers this process has; the runtime's pool grows when it likes and does not count.
func serverThreads() throws -> Int {
    try Files.list("/proc/self/task").filter { id in
        // A thread that is gone by now has no name.
        let name = (try? Files.readText("/proc/self/task/\(id)/comm")) ?? ""
        return name.hasPrefix("http-")
    }.count
}

/// Waits on a thread of a test client; never a substitute for waiting for the server.
func pause(milliseconds: Int32) { _ = poll(nil, 0, milliseconds) }

/// A client passed between threads, one of which uses it at a time.
final class ClientBox: @unchecked Sendable {
    // Sendable by hand: the tests hand it over and do not share it.
    private var client: TestClient?

    init(_ client: TestClient) { self.client = client }

    func drop() { client = nil }

    func untilEnd() throws -> String { try client?.untilEnd() ?? "" }

    func whole<Result>(_ body: (TestClient) throws -> Result) rethrows -> Result? { try client.map(body) }
}
