import ClusterModel
import Testing

/// Reading a cluster from its keys (dcs.md §2): what is malformed reads as what the spec gives, and never fails the
/// whole.
@Suite struct ClusterViewTests {
    /// Just enough of a parser for these tests: the values that they use, by their text.
    static let known: [String: JSONValue] = [
        "{}": [:], "[]": [], "7": 7, "\"text\"": "text",
        "config": ["ttl": 30], "switch": ["leader": "n1", "member": "n2"], "only-time": ["scheduled_at": "2031-01-01"],
        "status": ["optime": 100, "slots": ["n1": 100, "n2": "90", "x": "junk"], "retain_slots": ["n1"]],
        "sync": ["leader": "n1", "quorum": 0, "sync_standby": "n2, n3,"],
        "sync-null": ["leader": "n1", "quorum": 0, "sync_standby": .null],
        "sync-bad": ["leader": "n1", "quorum": "x", "sync_standby": "n2"],
        "history": [[1, 50, "no recovery target specified", "then", "n2"], [2, 60, "x"], ["junk"]],
        "member": ["conn_url": "postgres://h:1/p", "state": "running", "role": "master", "xlog_location": 5],
        "failsafe": ["n1": "http://h:1/patroni"],
    ]

    static func view(_ entries: [(String, String)]) -> ClusterView {
        ClusterView(
            entries: entries.map { StoredEntry(leaf: $0.0, value: $0.1, revision: 9, session: "s") }, revision: 10,
            parse: { known[$0] })
    }

    @Test func initializeHasThreeStates() {
        #expect(Self.view([]).initialize == .absent)
        #expect(Self.view([("initialize", "")]).initialize == .inProgress)
        #expect(Self.view([("initialize", "7400000000000000001")]).initialize.systemIdentifier == "7400000000000000001")
        #expect(Self.view([("initialize", "12")]).initialize.systemIdentifier == nil)
    }

    @Test func anInvalidConfigurationIsKnownAsSuch() {
        #expect(Self.view([("config", "config")]).config == ConfigRecord(data: ["ttl": 30], revision: 9))
        #expect(Self.view([("config", "nonsense")]).config?.isValid == false)
        #expect(Self.view([("config", "[]")]).config?.isValid == false)
    }

    @Test func anEmptyLeaderIsNone() {
        #expect(Self.view([("leader", "")]).isUnlocked)
        #expect(Self.view([("leader", "n1")]).leaderMember?.name == "n1")
    }

    @Test func requests() {
        #expect(
            Self.view([("failover", "switch")]).failover == FailoverRequest(leader: "n1", candidate: "n2", revision: 9))
        #expect(Self.view([("failover", "{}")]).failover == nil)
        #expect(Self.view([("failover", "{}")]).failoverRevision == 9)
        #expect(Self.view([("failover", "only-time")]).failover == nil)
        #expect(Self.view([("failover", "n1: n2")]).failover?.candidate == "n2")
        #expect(Self.view([("failover", "7")]).failover == nil)
    }

    @Test func statuses() {
        let status = Self.view([("status", "status")]).status
        #expect(status.optime == WALPosition(100) && status.retainSlots == ["n1"])
        #expect(status.slots == ["n1": WALPosition(100), "n2": WALPosition(90), "x": .zero])
        for (value, told) in [(60, 60), (0, nil), (-1, nil), ("60", nil), (9999, 3600)] as [(JSONValue, Int?)] {
            let entry = StoredEntry(leaf: "status", value: "", revision: 9)
            let view = ClusterView(entries: [entry], revision: 10) { _ in ["optime": 7, "failsafe_ttl": value] }
            let status = view.status
            #expect(status.failsafeTTL == told.map { .seconds($0) })
            #expect(status.json["failsafe_ttl"] == told.map { .int(Int64($0)) })
        }
        #expect(Self.view([("status", "7")]).status.optime == WALPosition(7))
        #expect(Self.view([("status", "\"text\"")]).status.optime == .zero)
        #expect(Self.view([("optime/leader", "55")]).status.optime == WALPosition(55))
        #expect(Self.view([("optime/leader", "55"), ("status", "7")]).status.optime == WALPosition(7))
    }

    @Test func synchronousStates() {
        #expect(Self.view([("sync", "sync")]).sync.voters == ["n2", "n3"])
        #expect(Self.view([("sync", "sync")]).sync.isVoter("N2"))
        #expect(Self.view([("sync", "sync-null")]).sync.leader == "n1")
        #expect(Self.view([("sync", "sync-bad")]).sync.isEmpty)
        #expect(Self.view([("sync", "nonsense")]).sync.isEmpty)
        #expect(Self.view([("sync", "nonsense")]).sync.revision == 9)
    }

    @Test func historiesAndTheTimelineTheyTell() {
        let view = Self.view([("history", "history")])
        #expect(view.history.lines.map(\.timeline) == [1, 2])
        #expect(view.history.lines.first?.newLeader == "n2")
        #expect(view.timeline == 3)
        #expect(Self.view([("history", "[]")]).timeline == 1)
        #expect(Self.view([]).timeline == 0)
        #expect(Self.view([("history", "nonsense")]).timeline == 0)
    }

    /// Nobody can be on the timeline after the last: such a history is junk, and must neither trap nor keep all from
    /// leading.
    @Test func aHistoryThatEndsWithTheLastTimelineTellsNothing() {
        let last = TimelineHistory.Line(timeline: .max, position: .zero, reason: "")
        #expect(ClusterView(history: TimelineHistory(lines: [last])).timeline == 0)
        let one = TimelineHistory.Line(timeline: .max - 1, position: .zero, reason: "")
        #expect(ClusterView(history: TimelineHistory(lines: [one])).timeline == .max)
    }

    @Test func distancesBetweenPositionsAreCut() {
        let end = WALPosition(.max)
        #expect(end - .zero == .max)
        #expect(.zero - end == -.max)
        #expect(WALPosition(5) - WALPosition(7) == -2)
        #expect(WALPosition(7) - WALPosition(5) == 2)
    }

    @Test func members() throws {
        let view = Self.view([
            ("members/n2", "member"), ("members/n1", "nonsense"), ("members/a/b", "member"), ("other", "7"),
        ])
        #expect(view.members.map(\.name) == ["n1", "n2"])
        let member = try #require(view.member("n2"))
        #expect(member.role == .primary && member.isRunning && member.position == WALPosition(5))
        #expect(member.address == HostPort(host: "h", port: 1))
        #expect(view.member("n1")?.data.isEmpty == true)
        let legacy = Self.view([("members/n3", "postgres://h:1/p?application_name=http://h:2/patroni")]).member("n3")
        #expect(legacy?.apiURL == "http://h:2/patroni" && legacy?.connectionURL == "postgres://h:1/p")
    }

    @Test func failsafe() { #expect(Self.view([("failsafe", "failsafe")]).failsafe == ["n1": "http://h:1/patroni"]) }
}
