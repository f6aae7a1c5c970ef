import ClusterModel
import HTTPServer
import HighAvailability
import Testing

@testable import ControlAPI

/// Liveness and readiness (rest-api.md §7).
@Suite struct ReadinessTests {
    /// Seconds by which the cycle is overdue, and the code. The ttl is 30 s.
    @Test(arguments: [
        (0, true, 200), (29, true, 200), (30, true, 503), (30, false, 200), (59, false, 200), (60, false, 503),
    ])
    func livenessIsTheCyclesOwn(_ overdue: Int64, _ primary: Bool, _ code: Int) {
        let next = Scene.now - .seconds(overdue)
        let snapshot =
            primary
            ? Scene.snapshot(Scene.primary(), role: .primary, nextCycle: next) : Scene.snapshot(nextCycle: next)
        #expect(HealthCheck(PublishedSnapshot(snapshot), now: Scene.now).liveness() == code)
        var paused = snapshot
        paused.settings = DynamicConfiguration(document: ["pause": true]) ?? DynamicConfiguration()
        #expect(HealthCheck(PublishedSnapshot(paused), now: Scene.now).liveness() == 200)
    }

    static let rows: [(String, NodeSnapshot, Int)] = [
        ("the leader", Scene.leading(), 200),
        (
            "the leader, also while PostgreSQL is down",
            Scene.snapshot(Scene.silent(.stopped), lease: Scene.held), 200
        ),
        ("a primary without the lease", Scene.leading(lease: nil), 503),
        ("a streaming replica", Scene.snapshot(), 200),
        ("a replica that does not stream", Scene.snapshot(Scene.standby(streaming: false)), 503),
        (
            "a replica that reads the archive",
            Scene.snapshot(Scene.standby(streaming: false, restoreCommand: true)), 503
        ),
        ("PostgreSQL is down", Scene.snapshot(Scene.silent(.stopped)), 503),
        ("PostgreSQL starts", Scene.snapshot(Scene.silent(.starting)), 503),
        ("nothing is known of the leader", Scene.snapshot(view: nil), 503),
        (
            "the DCS is gone, the WAL sender is not", Scene.snapshot(Scene.standby(latestEnd: 251_658_240), view: nil),
            200
        ),
        ("too far behind", Scene.snapshot(Scene.standby(replayed: 1000)), 503),
    ]

    @Test(arguments: rows.indices) func readiness(_ index: Int) {
        let (what, snapshot, code) = Self.rows[index]
        #expect(
            HealthCheck(PublishedSnapshot(snapshot), now: Scene.now).readiness(lag: nil, written: false) == code,
            "\(what)")
    }

    /// Received everything, replayed 2 MiB less.
    @Test(arguments: [
        ("", 503), ("lag=2MB", 200), ("lag=nonsense", 503), ("mode=write", 200), ("mode=apply", 503),
        ("mode=other&lag=3MB", 200), ("lag=1&mode=write", 200), ("lag=-1&mode=write", 503),
    ])
    func lagAndMode(_ query: String, _ code: Int) async throws {
        let bench = Bench(Scene.snapshot(Scene.standby(replayed: 251_658_240 - 2_097_152)))
        let answer = try await bench.ask("GET", "/readiness?\(query)")
        #expect(answer.status == code && answer.isBare)
    }

    @Test func theDefaultIsTheClustersMaximumLag() async throws {
        let local = Scene.standby(replayed: 251_658_240 - 2_097_152)
        let bench = Bench(Scene.snapshot(local, settings: ["maximum_lag_on_failover": 2_097_152]))
        #expect(try await bench.ask("GET", "/readiness").status == 200)
    }

    @Test func livenessIsBare() async throws {
        let answer = try await Bench().ask("GET", "/liveness")
        #expect(answer.status == 200 && answer.isBare)
    }
}
