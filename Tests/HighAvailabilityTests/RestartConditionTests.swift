import ClusterModel
import HighAvailability
import Testing

/// Whether what a restart was asked for holds: the role, an older version, parameters that wait for one.
@Suite struct RestartConditionTests {
    static let rows: [(body: JSONObject, isPending: Bool, holds: Bool)] = [
        ([:], false, true),
        (["role": "replica"], false, true),
        (["role": "primary"], false, false),
        (["postgres_version": "15.1"], false, true),
        (["postgres_version": "15.0"], false, false),
        (["restart_pending": true], true, true),
        (["restart_pending": true], false, false),
        (["restart_pending": false], false, true),
    ]

    @Test(arguments: rows) func decides(_ row: (body: JSONObject, isPending: Bool, holds: Bool)) throws {
        var local = PostgreSQLStatus(
            dataDirectory: .initialized, state: .running, facts: .init(inRecovery: true, timeline: 1),
            observedAt: BootInstant(nanoseconds: 1))
        if row.isPending {
            local.pendingRestart = [.init(parameter: "max_connections", oldValue: "100", newValue: "200")]
        }
        let request = try RestartRequest(body: row.body, DynamicConfiguration(), wallTime: 0)
        #expect(request.isSatisfied(role: .replica, local: local) == row.holds, "\(row.body)")
    }
}
