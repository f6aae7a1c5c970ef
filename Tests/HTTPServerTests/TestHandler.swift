import HTTPServer
import Logging
import Synchronization

/// Routes that behave in the ways a server must cope with.
final class TestHandler: HTTPHandler {
    private let gates = Mutex<Gates>(Gates())
    private let health = HTTPResponse.text(200, "healthy").prerendered()

    private struct Gates {
        var waiting: [CheckedContinuation<Void, Never>] = []
        var isOpen = false
        var isReleased = false
        var busy = 0
        var holding = false
        var started = 0
        var cancelled = 0
        var finished = 0
        var watchers: [CheckedContinuation<Void, Never>] = []

        mutating func changed() -> [CheckedContinuation<Void, Never>] {
            defer { watchers = [] }
            return watchers
        }
    }

    func reply(to request: HTTPRequest) -> HTTPReply {
        if let response = answerNow(request) { return .ready(response, request.path == "/health" ? .urgent : .reading) }
        return .later(request.method == "GET" ? .reading : .changing) { await self.answer(request) }
    }

    private func answerNow(_ request: HTTPRequest) -> HTTPResponse? {
        switch request.path {
        case "/stall": stall()
        case "/hold": hold()
        case "/busy": busy()
        case "/health": health
        case "/bare": .bare(200)
        case "/echo": .text(200, "\(request.method) \(request.target) \(request.peer) \(request.body.count)")
        case "/body": HTTPResponse(status: 200, body: request.body)
        case "/large": .text(200, String(repeating: "x", count: 8 << 20))
        case "/security": .text(200, "\(request.security)")
        case "/gate", "/later": nil
        case "/stream": streaming { write in for part in ["a", "b", "c"] { _ = write(Array(part.utf8)) } }
        case "/stream/open": openStream()
        case "/stream/flood":
            streaming { [self] write in
                while write([UInt8](repeating: 120, count: 64 << 10)) {}
                update { $0.finished += 1 }
            }
        default: .stockError(501, message: "Unsupported method ('\(request.method)')")
        }
    }

    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        if request.path == "/later" { return .text(200, "later \(request.target)") }
        update { $0.started += 1 }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOpen = gates.withLock { gates in
                    if !gates.isOpen { gates.waiting.append(continuation) }
                    return gates.isOpen
                }
                if isOpen { continuation.resume() }
            }
        } onCancel: {
            update { $0.cancelled += 1 }
            open()
        }
        update { $0.finished += 1 }
        return .text(200, "gate")
    }

    /// Holds the loop itself until the gate is open, as a machine without time for it would.
    private func stall() -> HTTPResponse {
        update { $0.started += 1 }
        while !gates.withLock({ $0.isOpen }) { pause(milliseconds: 1) }
        return .text(200, "stalled")
    }

    /// Holds the loop until `release`.
    private func hold() -> HTTPResponse {
        update { $0.holding = true }
        while !gates.withLock({ $0.isReleased }) { pause(milliseconds: 1) }
        return .text(200, "held")
    }

    var isHolding: Bool { gates.withLock { $0.holding } }

    func release() { gates.withLock { $0.isReleased = true } }

    /// Costs more than a turn.
    private func busy() -> HTTPResponse {
        update { $0.busy += 1 }
        pause(milliseconds: 2)
        return .text(200, "busy")
    }

    /// How many requests for `/busy` were answered.
    var busyCount: Int { gates.withLock { $0.busy } }
    func untilBusy() async { await until { $0.busy > 0 } }

    private func streaming(
        _ run: @escaping @Sendable (@escaping @Sendable ([UInt8]) -> Bool) async -> Void
    ) -> HTTPResponse {
        var response = HTTPResponse(status: 200, headers: ["Content-Type": "text/event-stream"])
        response.stream = HTTPStream(run)
        return response
    }

    /// A stream that says one thing and then waits for its end.
    private func openStream() -> HTTPResponse {
        streaming { [self] write in
            _ = write(Array("first".utf8))
            update { $0.started += 1 }
            for await _ in AsyncStream<Int>(unfolding: {
                try? await Task.sleep(for: .seconds(3600)); return nil
            }) {}
            update { $0.finished += 1 }
        }
    }

    /// Returns once so many streams have ended.
    func untilFinished(_ count: Int) async { await until { $0.finished >= count } }

    /// Lets everything that waits at `/gate` go on.
    func open() {
        let waiting = gates.withLock { gates in
            gates.isOpen = true
            defer { gates.waiting = [] }
            return gates.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    var cancelled: Int { gates.withLock { $0.cancelled } }
    var finished: Int { gates.withLock { $0.finished } }

    /// Returns once so many requests wait at `/gate`.
    func untilStarted(_ count: Int) async { await until { $0.started >= count } }
    /// Returns once so many tasks were cancelled.
    func untilCancelled(_ count: Int) async { await until { $0.cancelled >= count } }

    private func until(_ condition: @escaping @Sendable (Gates) -> Bool) async {
        while true {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let resumes = gates.withLock { gates in
                    if condition(gates) { return true }
                    gates.watchers.append(continuation)
                    return false
                }
                if resumes { continuation.resume() }
            }
            if gates.withLock({ condition($0) }) { return }
        }
    }

    private func update(_ change: (inout Gates) -> Void) {
        let watchers = gates.withLock { gates in
            change(&gates)
            return gates.changed()
        }
        for watcher in watchers { watcher.resume() }
    }
}

/// Runs `body` against a server on a port of its own and stops the server whatever happens.
func withServer(
    _ change: (inout HTTPServerConfiguration) -> Void = { _ in },
    _ body: (UInt16, TestHandler, HTTPServer) async throws -> Void
) async throws {
    var configuration = HTTPServerConfiguration(listen: [ListenAddress(host: "127.0.0.1", port: 0)])
    change(&configuration)
    let handler = TestHandler()
    let server = HTTPServer(configuration: configuration, handler: handler, logger: Logger(label: "http-test"))
    let addresses = try await server.start()
    do {
        try await body(addresses[0].port, handler, server)
    } catch {
        handler.open()
        handler.release()
        await server.stop(drain: .zero)
        throw error
    }
    handler.open()
    handler.release()
    await server.stop(drain: .zero)
}
