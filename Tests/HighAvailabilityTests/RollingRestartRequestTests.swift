import ClusterModel
import HighAvailability
import Testing

/// Who may ask for a rolling restart, and of whom it is then.
@Suite struct RollingRestartRequestTests {
    static func member(
        _ name: String, role: String = "replica", state: String = "running", streams: Bool = true,
        tags: JSONObject = [:]
    ) -> Member {
        RollingRestartTests.member(name, role: role, state: state, streams: streams, tags: tags)
    }

    static func rolling(
        done: Set<String> = [], state: RollingRestart.State = .running
    ) -> RollingRestart { RollingRestartTests.rolling(done: done, state: state) }

    struct Asking: Sendable, CustomStringConvertible {
        let description: String
        var body: JSONObject = [:]
        var leader: String? = "n1"
        var before: RollingRestart?
        var members = [member("n1", role: "primary"), member("n2"), member("n3")]
        var settings: JSONObject = [:]
        var failover: FailoverRequest?
        var sync = SyncState()
        /// The members in their order, or the refusal.
        let expected: Result<[String], RollingRestartRequest.Refusal>

        static func no(_ text: String, _ kind: RollingRestartRequest.Refusal.Kind = .precondition)
            -> Result<[String], RollingRestartRequest.Refusal>
        { .failure(.init(kind, text)) }
    }

    static let asking: [Asking] = [
        Asking(description: "all", expected: .success(["n1", "n2", "n3"])),
        Asking(
            description: "those for whom commits wait come last", settings: ["synchronous_mode": true],
            sync: SyncState(leader: "n1", voters: ["n2"]), expected: .success(["n1", "n3", "n2"])),
        Asking(description: "some", body: ["members": ["n3"]], expected: .success(["n3"])),
        Asking(
            description: "nobody waits", body: ["restart_pending": true],
            expected: Asking.no("no member waits for a restart")),
        Asking(
            description: "a stranger", body: ["members": ["n9"]], expected: Asking.no("n9 is not a member")),
        Asking(
            description: "one is under way", before: rolling(),
            expected: Asking.no("a rolling restart is under way already")),
        Asking(
            description: "after another one", before: rolling(state: .done), expected: .success(["n1", "n2", "n3"])),
        Asking(
            description: "paused", settings: ["pause": true],
            expected: Asking.no("no rolling restart begins while the cluster is paused")),
        Asking(description: "no leader", leader: nil, expected: Asking.no("the cluster has no leader")),
        Asking(
            description: "a request", failover: FailoverRequest(leader: "n1", candidate: nil),
            expected: Asking.no("a switchover or failover is asked for")),
        Asking(
            description: "Patroni", members: [member("n1", role: "primary"), Scene.member("n2")],
            expected: Asking.no("n2 cannot be restarted: it runs Patroni")),
        Asking(
            description: "down", members: [member("n1", role: "primary"), member("n2", state: "stopped")],
            expected: Asking.no("n2 cannot be restarted: its PostgreSQL is stopped")),
        Asking(
            description: "no stream", members: [member("n1", role: "primary"), member("n2", streams: false)],
            expected: Asking.no("n2 cannot be restarted: it does not stream")),
        Asking(
            description: "no successor",
            members: [member("n1", role: "primary"), member("n2", tags: ["nofailover": true])],
            expected: Asking.no("nobody could take over from the leader n1")),
        Asking(
            description: "to go on", body: ["resume": true], before: rolling(done: ["n2"], state: .failed),
            expected: .success(["n2", "n3", "n1"])),
        Asking(
            description: "to go on after one that was called off", body: ["resume": true],
            before: rolling(state: .calledOff), expected: .success(["n2", "n3", "n1"])),
        Asking(
            description: "nothing to go on with", body: ["resume": true], before: rolling(state: .done),
            expected: Asking.no("no rolling restart was stopped")),
        Asking(
            description: "malformed", body: ["members": "n1"],
            expected: Asking.no("members should be a list of names", .malformed)),
        Asking(description: "unknown", body: ["x": 1], expected: Asking.no("Unknown field: x", .malformed)),
    ]

    @Test(arguments: asking) func whatIsAskedFor(_ row: Asking) {
        let view = RollingRestartTests.view(
            leader: row.leader, row.before, members: row.members, failover: row.failover, sync: row.sync)
        let settings = DynamicConfiguration(document: row.settings) ?? DynamicConfiguration()
        let found: Result<[String], RollingRestartRequest.Refusal>
        do throws(RollingRestartRequest.Refusal) {
            let rolling = try RollingRestartRequest(body: row.body).rollingRestart(view, settings, now: "now")
            #expect(rolling.state == .running && rolling.turn == nil && rolling.failure == nil)
            found = .success(rolling.entries.map(\.name))
        } catch {
            found = .failure(error)
        }
        #expect(found == row.expected, "\(row)")
    }
}
