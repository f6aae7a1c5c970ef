import Glibc
import Posix
import Synchronization
import Testing

/// Commits on every node that is not in recovery, twenty times a second, so that two nodes which accept writes at the
/// same time show as commits that both have acknowledged.
final class WriteWitness: Sendable {
    private struct State {
        /// When each node acknowledged a commit.
        var accepted: [Int: [Double]] = [:]
        var stops = false
        var running = 0
    }

    private let state = Mutex(State())

    static let table = "CREATE TABLE IF NOT EXISTS witnessed(node int)"

    /// A longer silence of a node ends a span in which it counts as one that accepts writes.
    private static let longestPause = 1.0

    /// Starts to look at all nodes. The table `witnessed` must be there.
    init(_ cluster: TestCluster) throws {
        for node in cluster.nodes {
            let conninfo = cluster.conninfo(port: cluster.postgresqlPort(node))
            state.withLock { $0.running += 1 }
            try NamedThread.start("witness") { [self] in
                while !state.withLock({ $0.stops }) {
                    // Whatever happened, the next session is about to find out what holds now.
                    try? watch(node, conninfo)
                    poll(nil, 0, 50)
                }
                state.withLock { $0.running -= 1 }
            }
        }
    }

    /// Ends the threads and waits for them.
    func stop() async throws {
        state.withLock { $0.stops = true }
        try await waitUntil("the witnesses end", within: 20) { state.withLock { $0.running == 0 } }
    }

    /// For how many seconds two nodes accepted writes.
    var twoPrimaries: Double {
        let spans = state.withLock { $0.accepted }.mapValues(WriteWitness.spans).sorted { $0.key < $1.key }
        var total = 0.0
        for (index, mine) in spans.enumerated() {
            for theirs in spans[(index + 1)...] {
                for a in mine.value { for b in theirs.value { total += WriteWitness.overlap(a, b) } }
            }
        }
        return total
    }

    private func watch(_ node: Int, _ conninfo: String) throws(SQLError) {
        let session = try SQLSession(conninfo)
        _ = try session.query("SET statement_timeout = '2s'")
        while !state.withLock({ $0.stops }) {
            if try session.query("SELECT pg_is_in_recovery()").first?.first == "f" {
                _ = try session.query("INSERT INTO witnessed VALUES (\(node))", seconds: 3)
                let now = bootSeconds()
                state.withLock { $0.accepted[node, default: []].append(now) }
            }
            poll(nil, 0, 50)
        }
    }

    private static func spans(_ times: [Double]) -> [ClosedRange<Double>] {
        times.reduce(into: []) { found, time in
            if let last = found.last, time - last.upperBound <= longestPause {
                found[found.count - 1] = last.lowerBound...time
            } else {
                found.append(time...time)
            }
        }
    }

    /// A single commit in the other's span has no length, but must not go unseen: it counts as a millisecond.
    private static func overlap(_ a: ClosedRange<Double>, _ b: ClosedRange<Double>) -> Double {
        a.overlaps(b) ? max(0.001, min(a.upperBound, b.upperBound) - max(a.lowerBound, b.lowerBound)) : 0
    }
}
