import ClusterModel
import HighAvailability
import Testing

/// The one answer to "who may succeed", in each way in which leadership passes on.
@Suite struct EligibilityTests {
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var mode: JSONObject = [:]
        var sync = SyncState(leader: "n1", voters: ["n2"])
        /// Whom `/sync` admits of `n1`, which led, `n2` and `n3`.
        let handOver: Set<String>
        let race: Set<String>
        let request: Set<String>
    }

    static let all: Set<String> = ["n1", "n2", "n3"]

    static let cases: [Case] = [
        Case(description: "asynchronous: anybody", handOver: all, race: all, request: all),
        Case(
            description: "synchronous: voters, and the leader itself in a race", mode: ["synchronous_mode": true],
            handOver: ["n2"], race: ["n1", "n2"], request: ["n2"]),
        Case(
            description: "quorum: the leader judges requests, and votes decide a race",
            mode: ["synchronous_mode": "quorum"], handOver: ["n2"], race: all, request: all),
        Case(
            description: "without /sync commits wait for nobody", mode: ["synchronous_mode": true], sync: SyncState(),
            handOver: all, race: all, request: all),
        Case(
            description: "without voters only the leader may go on", mode: ["synchronous_mode": true],
            sync: SyncState(leader: "n1", voters: []), handOver: [], race: ["n1"], request: []),
    ]

    @Test(arguments: cases) func syncAdmits(_ row: Case) {
        let settings = DynamicConfiguration(document: row.mode) ?? DynamicConfiguration()
        let eligibility = Eligibility(Scene.view(leader: "n1", sync: row.sync), settings)
        let admitted = { (way: Eligibility.Succession) in Self.all.filter { eligibility.admits($0, way) } }
        #expect(admitted(.handOver) == row.handOver, "\(row)")
        #expect(admitted(.race) == row.race, "\(row)")
        #expect(admitted(.request) == row.request, "\(row)")
        #expect(admitted(.manualFailover) == Self.all, "\(row)")
    }

    /// The same members are asked by the leader that hands over, by the daemon that ends and by those who race.
    @Test func allGoByTheSameTagsAndAddresses() {
        let silent = Member(name: "n4", data: ["role": "replica", "state": "running"])
        let members = [
            Scene.member("n1", role: "primary"), Scene.member("n2"),
            Scene.member("n3", tags: ["nofailover": true]), silent,
        ]
        let view = Scene.view(leader: "n1", members: members)
        let plan = shutdownPlan(NodeIdentity(name: "n1"), view, DynamicConfiguration(), isLeading: true)
        #expect(plan.steps.contains(.confirmReceipt(by: [members[1]])))
        var request = view
        request.failover = FailoverRequest(leader: "n1", candidate: nil, revision: 7)
        let asked = Scene.decided(
            Scene.seen(request, Scene.primary(), lease: Scene.lease(), renewal: .held)
        ).0
        #expect(asked.action == .ask(.peers([members[1]])))
    }

    static let bars: [(PeerAnswer?, Bar, CandidateVerdict.Verdict)] = [
        (Scene.peer(0), .anything, .good),
        (Scene.peer(0), .lag(behind: WALPosition(100), maximum: 100), .good),
        (
            Scene.peer(0), .lag(behind: WALPosition(101), maximum: 100),
            .lagging(position: WALPosition(0), behind: WALPosition(101), allowed: 100)
        ),
        (Scene.peer(200), .lag(behind: WALPosition(101), maximum: 0), .good),
        (
            Scene.peer(99), .everything(to: WALPosition(100)),
            .missing(position: WALPosition(99), required: WALPosition(100))
        ),
        (Scene.peer(100), .everything(to: WALPosition(100)), .good),
        (Scene.unreachable, .anything, .unreachable("connection refused")),
        (nil, .anything, .unreachable("no answer")),
    ]

    @Test(arguments: bars) func judgesByTheBar(_ answer: PeerAnswer?, _ bar: Bar, _ verdict: CandidateVerdict.Verdict) {
        #expect(judge(answer, bar, clusterTimeline: nil) == verdict)
    }
}
