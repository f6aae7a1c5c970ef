import ClusterModel
import Glibc
import Posix
import Testing

/// Runs what blocks on a thread of its own: the cooperative pool has two threads, which other tests need.
enum Blocking {
    static func run<Value: Sendable>(
        _ name: String, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try NamedThread.start(name) { continuation.resume(with: Result(catching: body)) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Waits on a thread of ours until `condition` holds, looking every 20 ms; whether it came to hold in time.
    static func wait(upTo seconds: Double, until condition: () -> Bool) -> Bool {
        let deadline = BootClock.now().nanoseconds + Int64(seconds * 1e9)
        while !condition() {
            if BootClock.now().nanoseconds > deadline { return false }
            poll(nil, 0, 20)
        }
        return true
    }
}

/// Something that did not come about in the time given, and how things stood instead.
struct Unmet: Error, CustomStringConvertible {
    let description: String
}

/// Suspends until `condition` holds, looking every 100 ms; throws `Unmet` after `seconds`, naming the caller's line.
func waitUntil(
    _ what: String, within seconds: Double, at line: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = BootClock.now().nanoseconds + Int64(seconds * 1e9)
    while true {
        if try await condition() { return }
        guard BootClock.now().nanoseconds < deadline else {
            throw Unmet(description: "not within \(seconds) s: \(what) (\(line.fileName):\(line.line))")
        }
        try await Task.sleep(for: .milliseconds(100))
    }
}

/// Seconds on the clock of leases, for measuring how long something took.
func bootSeconds() -> Double { Double(BootClock.now().nanoseconds) / 1e9 }
