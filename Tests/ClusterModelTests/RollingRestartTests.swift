import ClusterModel
import Testing

/// `/rolling_restart` as it stands in a store.
@Suite struct RollingRestartValueTests {
    private func read(_ value: JSONValue?) -> ClusterView {
        ClusterView(entries: [StoredEntry(leaf: "rolling_restart", value: "x", revision: 7)], revision: 9) { _ in value
        }
    }

    @Test(arguments: RollingRestart.State.allCases) func whatIsWrittenIsRead(_ state: RollingRestart.State) {
        var rolling = RollingRestart(
            state: state, entries: [.init(name: "a", startedAt: "x", isDone: true), .init(name: "b", startedAt: "y")],
            turn: .init(member: "b", candidate: "a", voters: 2), attempt: 3, requestedAt: "then",
            failure: ["code": "c"], revision: 7)
        #expect(read(.object(rolling.json)).rollingRestart == rolling)
        rolling.turn = nil
        rolling.failure = nil
        #expect(read(.object(rolling.json)).rollingRestart == rolling)
    }

    static let junk: [JSONValue?] = [
        nil, [:], .null, [], ["state": "running", "members": []],
        ["state": "x", "members": [["name": "a", "started_at": "b"]]],
        ["state": "running", "members": [["name": "a"]]], ["state": "running", "members": [7]],
    ]

    @Test(arguments: junk) func whatIsNoneIsPassedOver(_ value: JSONValue?) {
        let view = read(value)
        #expect(view.rollingRestart == nil && view.rollingRestartRevision == 7)
    }

    @Test func oneStartInTwoTimeZones() {
        #expect(isSameStart("2027-02-03 05:00:00+01:00", "2027-02-03 04:00:00+00:00"))
        #expect(!isSameStart("2027-02-03 05:00:00+00:00", "2027-02-03 04:00:00+00:00"))
        #expect(isSameStart("junk", "junk") && !isSameStart("junk", "2027-02-03 04:00:00+00:00"))
    }
}
