import ClusterModel
import Configuration
import JSON
import Ports
import Testing

@testable import Ctl

/// What the doctor finds, each with what it stands on.
@Suite struct DoctorTests {
    private static let three = StoreCondition(servers: 3, alarms: [])

    private func findings(_ keys: [String: String], _ condition: StoreCondition? = three) -> [String] {
        ClusterRules.findings(Pictures.view(keys), condition).map { "\($0.severity.word): \($0.what)" }
    }

    private var sound: [String: String] {
        var keys = Pictures.orders
        keys["config"] = #"{"ttl": 30}"#
        keys["members/pg-c"] = nil
        return keys
    }

    @Test func nothingIsFoundOfASoundCluster() { #expect(findings(sound) == []) }

    @Test(
        arguments: [
            ("leader", nil, "PROBLEM: no member leads"),
            ("config", nil, "PROBLEM: the cluster's configuration is gone"),
            ("config", "[]", "PROBLEM: the cluster's configuration cannot be read"),
            ("config", #"{"pause": true}"#, "warning: the cluster is paused"),
            ("config", #"{"ttl": 20, "loop_wait": 15}"#, "warning: the times do not fit into one another"),
            (
                "status", #"{"optime": 9999999999, "slots": {"old": 1000}}"#,
                "warning: the slot old holds back 9536 MB of WAL"
            ),
            ("members/pg-b", Pictures.member("h", state: "stopped"), "PROBLEM: pg-b does not run: stopped"),
            ("members/pg-b", nil, "warning: no member may take over"),
            (
                "members/pg-b", Pictures.member("h", ["pending_restart": true]),
                "notice: settings of pg-b wait for a restart"
            ),
        ] as [(String, String?, String)])
    func ofTheCluster(leaf: String, value: String?, finding: String) {
        var keys = sound
        keys[leaf] = value
        #expect(findings(keys).contains { $0.hasPrefix(finding) }, "\(findings(keys))")
    }

    /// A member that `/sync` does not name takes over from nobody; without the mode it has no say.
    @Test func ofWhomSyncLetsLead() {
        var keys = sound
        keys["sync"] = #"{"leader": "pg-a"}"#
        #expect(findings(keys) == [])
        keys["config"] = #"{"ttl": 30, "synchronous_mode": true}"#
        #expect(findings(keys).count { $0.hasPrefix("warning: no member may take over from the leader: /sync") } == 1)
        keys["sync"] = sound["sync"]
        #expect(findings(keys) == [])
    }

    @Test func ofTheStore() {
        #expect(findings([:]) == ["PROBLEM: the store knows of no such cluster"])
        #expect(findings(sound, StoreCondition(servers: 1, alarms: [.init(name: "NOSPACE", remedy: "")])).count == 2)
        #expect(findings(sound, StoreCondition(servers: 4, alarms: [])).first?.hasPrefix("notice: ") == true)
        #expect(findings(sound, nil) == ["notice: the store does not tell how it is"])
    }

    @Test(
        arguments: [
            (["dcs_last_seen": 1000], nil), (["dcs_last_seen": 1010], "is 10 seconds ahead"),
            (["dcs_last_seen": 900], "has not heard of the store for 100 seconds"),
            (["needs_operator": "copy it"], "n1 needs you: copy it"),
            (["guardian": ["armed": false]], "is not armed"), ([:], "no guardian watches"),
        ] as [(JSONObject, String?)])
    func ofAMember(status: JSONObject, finding: String?) {
        var status = status
        if status["guardian"] == nil, !status.isEmpty { status["guardian"] = ["armed": true] }
        let member = Member(name: "n1", data: ["role": "primary", "matriarch": "0.1.0"])
        let found = MemberRules.findings(
            member, .answer(status, wallTime: 1000 * 1_000_000_000), loopWait: .seconds(10))
        #expect(found.count == (finding == nil ? 0 : 1))
        if let finding { #expect(found.first?.what.contains(finding) == true, "\(found)") }
    }

    @Test func aSilentMember() {
        let member = Member(name: "n1", data: ["api_url": "http://h:8008/patroni"])
        let found = MemberRules.findings(member, .silence("no connection"), loopWait: .seconds(10))
        #expect(found.first?.severity == .problem)
    }

    @Test func ofAFile() throws {
        let local = try LocalConfiguration.parse(
            """
            scope: demo
            name: n1
            restapi: {listen: "127.0.0.1:8008", connect_address: "127.0.0.1:8008"}
            etcd3: {host: "127.0.0.1:2379"}
            bootstrap: {dcs: {ttl: 20, postgresql: {use_slots: true}}}
            postgresql:
              listen: 127.0.0.1:5432
              connect_address: 127.0.0.1:5432
              data_dir: /data
              authentication: {replication: {username: rep, password: x}}
              pg_hba: ["host all all 0.0.0.0/0 md5", "host replication rep 10.0.0.0/8 reject"]
            """)
        let found = ConfigurationRules.findings(local, ["ttl": 30, "postgresql": ["use_slots": true]]).map(\.what)
        #expect(found.contains { $0 == "bootstrap.dcs says something else of ttl than the cluster goes by" })
        #expect(found.contains { $0.hasPrefix("postgresql.pg_hba has no line that lets rep in") })
        #expect(!found.contains { $0.contains("use_slots") })
    }
}

/// Who could take over, what would happen, and what is drawn of it.
@Suite struct PlanTests {
    private func text(_ changes: [String: String?], _ occasion: Candidacy.Occasion = .switchover, to candidate: String?)
        -> String
    {
        var keys = Pictures.orders
        keys["config"] = #"{"synchronous_mode": true}"#
        keys["members/pg-b"] = Pictures.member(
            "h", ["api_url": "http://h:1/patroni", "xlog_location": .int(240 << 20)])
        for (leaf, value) in changes { keys[leaf] = value }
        return ActionPlan.handover(Succession(Pictures.picture("orders", keys), occasion), candidate: candidate).text
    }

    @Test func aSwitchoverThatCanBeDone() {
        let plan = text([:], to: "pg-b")
        #expect(plan.hasPrefix("switchover of orders to pg-b\nMembers:\n  pg-b: could take over now\n"))
        #expect(plan.contains("Steps:\n  1. pg-a is told of it"))
        #expect(!plan.contains("In the way"))
    }

    @Test(
        arguments: [
            ("pg-c", [:], "pg-c: it does not run (stopped)"), ("pg-a", [:], "pg-a leads already"),
            ("pg-x", [:], "pg-x is no member"), (nil, ["members/pg-b": nil], "no member could take over now"),
            ("pg-b", ["sync": #"{"leader": "pg-a", "sync_standby": "pg-c"}"#], "pg-b: it is not synchronous"),
            (
                "pg-b", ["config": #"{"failsafe_mode": true}"#, "failsafe": #"{"pg-a": "http://a"}"#],
                "pg-b: it is not in /failsafe"
            ),
            ("pg-b", ["status": #"{"optime": 999999999}"#], "bytes behind, and maximum_lag_on_failover is 1048576"),
            ("pg-b", ["leader": nil], "no member leads: use failover"),
        ] as [(String?, [String: String?], String)])
    func whatIsInTheWay(candidate: String?, changes: [String: String?], obstacle: String) {
        let plan = text(changes, to: candidate)
        #expect(plan.contains("In the way:\n"))
        #expect(plan.contains(obstacle), "\(plan)")
        #expect(!plan.contains("Steps"))
    }

    /// The leader knows more than the store; where nobody could take over, nothing is asked for.
    @Test func whatCannotWorkIsKnownBefore() {
        let picture = Pictures.picture("orders", Pictures.orders)
        func document(_ possible: Bool, leader: String = "pg-a") -> JSONObject {
            let verdict: JSONValue = ["possible": .bool(possible), "reasons": possible ? [] : ["no WAL is sent to it"]]
            let members = ["pg-a", "pg-b", "pg-c"].map {
                JSONValue.object(["name": .string($0), "switchover": verdict])
            }
            return ["leader": .string(leader), "members": .array(members)]
        }
        let able = Succession(picture, .switchover, document: document(true))
        #expect(able.obstacle(to: nil) == nil && able.obstacle(to: "pg-c") == nil)
        #expect(able.obstacle(to: "pg-a") == "pg-a cannot take over now: it leads")
        let none = Succession(picture, .switchover, document: document(false))
        #expect(none.obstacle(to: "pg-b") == "pg-b cannot take over now: no WAL is sent to it")
        #expect(
            none.obstacle(to: nil)
                == "nobody could take over now: pg-b: no WAL is sent to it; pg-c: no WAL is sent to it")
        #expect(!ActionPlan.handover(none, candidate: nil).isPossible)
        // Where nobody leads any member tells.
        let leaderless = Pictures.picture("orders", Pictures.orders.filter { $0.key != "leader" })
        var word = document(false)
        word["leader"] = .null
        #expect(Succession(leaderless, .switchover, document: word).obstacle(to: "pg-b")?.contains("no WAL") == true)
        #expect(Succession(picture, .switchover, document: word).obstacle(to: "pg-b")?.contains("no WAL") != true)
        // What somebody said who does not lead any more counts for nothing.
        let stale = Succession(picture, .switchover, document: document(true, leader: "pg-b"))
        #expect(stale.obstacle(to: "pg-c")?.contains("it does not run (stopped)") == true)
    }

    /// The leader hands over to it, and does not know what its logical slots are like: the member says so itself.
    @Test func whoseLogicalSlotsAreNotReadyIsNotHandedOverTo() {
        let more: JSONObject = [
            "api_url": "http://h:1/patroni", "xlog_location": .int(240 << 20), "slots_not_ready": ["l", "m"],
        ]
        let keys = ["members/pg-b": Pictures.member("h", more)]
        let why = "its logical slots are not ready (l, m): their readers would miss changes"
        let plan = text(keys.mapValues { $0 }, to: "pg-b")
        #expect(plan.contains("In the way:\n  pg-b: \(why)\n"), "\(plan)")
        let picture = Pictures.picture("orders", Pictures.orders.merging(keys) { $1 })
        let verdict: JSONValue = ["name": "pg-b", "switchover": ["possible": true, "reasons": []]]
        let told: JSONObject = ["leader": "pg-a", "members": [verdict]]
        let asked = Succession(picture, .switchover, document: told)
        #expect(asked.obstacle(to: "pg-b") == "pg-b cannot take over now: \(why)")
        // A failover is for when there is nothing better; what it costs is told.
        #expect(text(keys.mapValues { $0 }, .failover, to: "pg-b").contains("  pg-b: \(why)\n"))
        #expect(SuccessionText.of(picture, told, names: []).contains("\n      \(why)\n"))
    }

    @Test func aFailoverMayLoseCommits() {
        #expect(text([:], .failover, to: nil).contains("a failover needs a candidate"))
        #expect(text([:], .failover, to: "pg-b").contains("commits that pg-b has not received are lost"))
    }

    @Test func restartsSayWhoseTurnItIs() {
        let picture = Pictures.picture("orders", Pictures.orders)
        let plan = ActionPlan.restart(picture, .any)
        #expect(plan.text.contains("  1. pg-a, which leads and goes on leading: "))
        #expect(plan.text.contains("nothing is written while the leader restarts"))
        let one = ActionPlan.restart(picture, .replica, names: ["pg-b"])
        #expect(one.steps == ["pg-b: a checkpoint, a fast stop, a start"] && one.isPossible)
        #expect(ActionPlan.restart(picture, .replica, names: ["pg-a", "x"]).obstacles.count == 2)
        #expect(ActionPlan.restart(picture, .any, names: ["x"]).obstacles == ["x is no member"])
        #expect(ActionPlan.restart(picture, .any, isForPending: true).obstacles == ["no member waits for a restart"])
        #expect(
            ActionPlan.restart(Pictures.picture("none", [:]), .any).obstacles == ["there is no such member"])
    }

    @Test func theScreenIsCutToTheTerminal() {
        let picture = Pictures.picture("orders", Pictures.orders)
        let events = (1...30).map { "event \($0)" }
        let place = WatchPlace(cluster: "orders", group: nil, member: "pg-a")
        let guardians: [WatchPlace: JSONObject] = [place: ["armed": true, "lease_remaining_seconds": 17]]
        let screen = WatchScreen(time: "now", pictures: [picture], guardians: guardians, events: events)
        let lines = screen.frame(columns: 60, lines: 20).split(separator: "\r\n")
        #expect(lines.count == 19)
        #expect(lines.contains { $0.hasPrefix(" pg-a: guardian armed, lease 17 s") })
        #expect(lines.last?.hasPrefix("event 30") == true)
        #expect(lines.allSatisfy { $0.replacing("\u{1B}[K", with: "").replacing("\u{1B}[H", with: "").count <= 63 })
        let small = screen.frame(columns: 60, lines: 4).split(separator: "\r\n")
        #expect(small.count == 4 && small.last?.hasPrefix("... ") == true)
    }

    @Test func aScreenThatIsTooSmallMoves() {
        let picture = Pictures.picture("orders", Pictures.orders)
        var screen = WatchScreen(time: "now", pictures: [picture], guardians: [:], events: ["event 1"])
        let all = MemberListing(picture, .format(.pretty)).text.split(separator: "\n").map(String.init)
        func rows(_ lines: Int) -> [String] {
            screen.frame(columns: 200, lines: lines).split(separator: "\r\n").map {
                String($0).replacing("\u{1B}[K", with: "").replacing("\u{1B}[J", with: "")
            }
        }
        #expect(Array(rows(6)[1..<5]) == Array(all[0..<4]))
        #expect(rows(6).last == "... lines 1 to 4 of \(all.count): j, k, space and b move")
        screen.move(UInt8(ascii: "j"), lines: 6)
        #expect(Array(rows(6)[1..<5]) == Array(all[1..<5]))
        for _ in 1...9 { screen.move(UInt8(ascii: " "), lines: 6) }
        #expect(Array(rows(6)[1..<5]) == Array(all.suffix(4)), "the end stays at the end")
        screen.move(UInt8(ascii: "A"), lines: 6)
        #expect(screen.offset == all.count - 5)
        // A terminal that has become larger shows more; one where all fit shows all, and events.
        #expect(Array(rows(7)[1..<6]) == Array(all.suffix(5)))
        #expect(rows(40).dropFirst().prefix(all.count).elementsEqual(all) && rows(40).last == "event 1")
        screen.move(UInt8(ascii: "b"), lines: 6)
        for _ in 1...9 { screen.move(UInt8(ascii: "b"), lines: 6) }
        #expect(screen.offset == 0)
    }

    @Test func eventsAreReadAsTheyCome() {
        var buffer = Array("id: 1\nevent: role\ndata: {\"role\": \"replica\", \"leader\": \"n1\"}\n\nid: 2\neve".utf8)
        let events = MemberEvents.events(&buffer, of: "n2")
        #expect(events.map(\.json) == [#"{"member": "n2", "event": "role", "role": "replica", "leader": "n1"}"#])
        #expect(events.first?.text.hasSuffix("n2 role: replica, the leader is n1") == true)
        #expect(String(decoding: buffer, as: UTF8.self) == "id: 2\neve")
    }

    @Test func pagesOfTheManual() throws {
        let page = try ManualPage(SwitchoverCommand.self).text
        #expect(page.contains(".Sh OPTIONS"))
        #expect(page.contains(".It Fl -candidate Ar candidate\n"), "\(page)")
    }

    @Test(arguments: ["bash", "zsh", "fish"]) func completion(shell: String) async {
        let terminal = ScriptedTerminal()
        let words = ["matriarchctl", "completion", shell]
        #expect(await Program.run(words, environment: [:], terminal: terminal) == 0)
        #expect(terminal.output.contains("switchover"))
    }
}
