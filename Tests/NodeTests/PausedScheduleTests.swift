import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// What was scheduled before a pause (ha-loop.md §15): kept, not done in it, done at its time where that comes after.
@Suite struct PausedScheduleTests {
    private static let wall = CommandTests.wall

    private static func verdict(seconds: Int64, isPaused: Bool) throws -> ScheduleVerdict {
        let request = try RestartRequest(
            body: ["schedule": "2031-01-01T00:00:20Z"], DynamicConfiguration(), wallTime: wall)
        let settings = DynamicConfiguration(document: ["ttl": 30, "pause": .bool(isPaused)]) ?? DynamicConfiguration()
        let local = CommandTests.Bed().status()
        return judge(schedule: request, settings, local, wallTime: wall + seconds * 1_000_000_000)
    }

    @Test func aScheduledRestartWaitsInAPause() throws {
        for seconds: Int64 in [0, 20, 21, 3600] { #expect(try Self.verdict(seconds: seconds, isPaused: true) == .wait) }
        #expect(try Self.verdict(seconds: 19, isPaused: false) == .wait)
        #expect(try Self.verdict(seconds: 20, isPaused: false) == .due)
    }

    /// Nobody expects it long after its time.
    @Test func whatPassedInAPauseIsDoneNoMore() throws {
        guard case .cancelled = try Self.verdict(seconds: 60, isPaused: false) else {
            Issue.record("it is done")
            return
        }
    }
}
