import ClusterModel
import Testing

@testable import Ctl

/// What is told of a rolling restart, and which members a minor upgrade restarts.
@Suite struct RollingTests {
    private func rolling(
        _ state: RollingRestart.State = .running, done: Set<String> = [], turn: RollingRestart.Turn? = nil
    ) -> RollingRestart {
        RollingRestart(
            state: state, entries: ["b", "a"].map { .init(name: $0, startedAt: "old", isDone: done.contains($0)) },
            turn: turn, requestedAt: "then")
    }

    private func view(_ start: String) -> ClusterView {
        Pictures.view(["members/b": Pictures.member("h", ["postmaster_start_time": .string(start)])])
    }

    @Test func everyStepIsToldOnce() {
        var progress = RollingProgress()
        #expect(progress.news(rolling(), view("old")) == [])
        let turn = RollingRestart.Turn(member: "b")
        #expect(progress.news(rolling(turn: turn), view("old")) == ["[0/2] b: restarts"])
        #expect(progress.news(rolling(turn: turn), view("old")) == [])
        #expect(progress.news(rolling(turn: turn), view("new")) == ["[0/2] b: runs again, and catches up"])
        let leader = RollingRestart.Turn(member: "a", candidate: "b")
        #expect(
            progress.news(rolling(done: ["b"], turn: leader), view("new")) == [
                "[1/2] b: restarted, and well again", "[1/2] a: hands over to b, and restarts as a replica",
            ])
        #expect(
            progress.news(rolling(.done, done: ["a", "b"]), view("new")) == ["[2/2] a: restarted, and well again"])
    }

    @Test func whatIsLeftWhenItEnds() {
        let progress = RollingProgress()
        let note = progress.note(rolling(done: ["b"], turn: .init(member: "a")))
        #expect(note?.hasPrefix("The rolling restart goes on in the cluster: 1 of 2 members are done") == true)
        #expect(note?.contains("it is the turn of a") == true)
        #expect(progress.note(rolling(.done)) == nil)
        #expect(RollingProgress.end(rolling(.calledOff)) == "the rolling restart was called off; not restarted: b, a")
        var failed = rolling(.failed, done: ["b"])
        failed.failure = ["sentence": "a\u{1B} does not stream"]
        #expect(
            RollingProgress.end(failed)
                == "the rolling restart was stopped: a? does not stream; not restarted: a (--resume has it go on)")
    }

    private typealias Version = MemberVersion

    @Test func whoIsOutdated() throws {
        let found = [
            Version(name: "a", running: 150_017, installed: 150_018),
            Version(name: "b", running: 150_018, installed: 150_018),
        ]
        #expect(try MemberVersion.outdated(found) == ["a"])
        #expect(found.map(\.text) == ["runs 15.17, installed is 15.18", "runs 15.18"])
    }

    @Test(
        arguments: [
            (MemberVersion(name: "a", running: nil, installed: nil), "a does not answer"),
            (
                MemberVersion(name: "a", running: 150_018, installed: nil),
                "a runs 15.18, and does not tell what is installed"
            ),
            (
                MemberVersion(name: "a", running: 150_018, installed: 160_000),
                "a runs 15.18, installed is 16.0: another major version does not start on its data"
            ),
            (
                MemberVersion(name: "a", running: 150_018, installed: 150_017),
                "a runs 15.18, installed is 15.17, which is older"
            ),
        ])
    func whatIsNoMinorUpgrade(_ member: MemberVersion, _ says: String) {
        #expect(throws: CtlError.refused(says)) { try MemberVersion.outdated([member]) }
    }

    // MARK: Plans

    private static func cluster(_ changes: [String: String?] = [:]) -> ClusterPicture {
        var keys = Pictures.orders
        keys["config"] = #"{"ttl": 30, "postgresql": {"parameters": {"max_connections": 100}}}"#
        keys["sync"] = nil
        let more: JSONObject = [
            "matriarch": "1", "postmaster_start_time": "2027-02-03 04:00:00+00:00", "api_url": "http://h:1/patroni",
            "replication_state": "streaming", "xlog_location": .int(240 << 20),
        ]
        keys["members/pg-a"] = Pictures.member("192.0.2.1", role: "primary", more)
        keys["members/pg-b"] = Pictures.member("192.0.2.2", more)
        keys["members/pg-c"] = nil
        for (leaf, value) in changes { keys[leaf] = value }
        return Pictures.picture("orders", keys)
    }

    @Test func aRollingRestartIsPlanned() {
        let plan = ActionPlan.rollingRestart(Self.cluster(), isForPending: false)
        #expect(plan.isPossible && plan.text.contains("  1. pg-b: a checkpoint"), "\(plan.text)")
        #expect(plan.text.contains("  2. pg-a hands over to a member"))
        #expect(plan.text.contains("  pg-b: could take over now\n"))
        let none = ActionPlan.rollingRestart(Self.cluster(), isForPending: true)
        #expect(none.obstacles == ["no member waits for a restart"])
        let paused = ActionPlan.rollingRestart(Self.cluster(["config": #"{"pause": true}"#]), isForPending: false)
        #expect(!paused.isPossible && !paused.text.contains("Steps"))
    }

    @Test func aChangeOfTheConfigurationIsPlanned() {
        let picture = Self.cluster()
        let before = picture.view.config?.data ?? [:]
        var after = before
        after["ttl"] = 20
        after["postgresql"] = ["parameters": ["max_connections": 200, "work_mem": "8MB"]]
        let plan = ActionPlan.editConfig(picture, before: before, after: after)
        #expect(plan.isPossible)
        #expect(
            plan.steps.prefix(3) == [
                "ttl: 30 becomes 20", "postgresql.parameters.max_connections: 100 becomes 200",
                #"postgresql.parameters.work_mem: what is usual becomes "8MB""#,
            ])
        #expect(plan.text.contains("max_connections would wait for a restart of PostgreSQL"))
        #expect(!plan.text.contains("work_mem would"))
        #expect(ActionPlan.editConfig(picture, before: before, after: before).obstacles == ["nothing would change"])
        // What the REST API would refuse stands in the way.
        after["ttl"] = "soon"
        let refused = ActionPlan.editConfig(picture, before: before, after: after)
        #expect(refused.obstacles.count == 1 && refused.obstacles[0].hasPrefix("ttl: "), "\(refused.obstacles)")
    }

    @Test func aDemotionIsPlanned() {
        #expect(ActionPlan.demoteCluster(Self.cluster(), section: ["host": "h"]).isPossible)
        let peers = Pictures.picture("orders", Pictures.orders)
        #expect(ActionPlan.demoteCluster(peers, section: ["host": "h"]).isPossible)
        #expect(!ActionPlan.demoteCluster(peers, section: [:]).isPossible)
    }
}
