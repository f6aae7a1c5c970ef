import ClusterModel
import HTTPServer
import HighAvailability
import JSON
import Testing

@testable import ControlAPI

/// `GET /explain`: decisions with their facts, and who could lead now.
@Suite struct ExplainTests {
    private func explained(_ bench: Bench, _ target: String = "/explain") async throws -> JSONValue {
        let answer = try await bench.ask("GET", target)
        #expect(answer.status == 200)
        #expect(answer.headers["Content-Type"] == "application/json")
        return try JSON.parse(answer.text)
    }

    private func member(_ name: String, _ document: JSONValue) throws -> JSONValue {
        try #require(document["members"]?.array?.first { $0["name"]?.string == name })
    }

    @Test func decisionsComeWithTheirFacts() async throws {
        var snapshot = Scene.snapshot()
        for _ in 0..<3 {
            snapshot.decisions.record(
                Decision(.wait, .lease(.leaderKeyHeldBy("pg-a")), .follow(.following("pg-a"))),
                wallTime: 1_801_656_000_000_000_000)
        }
        let document = try await explained(Bench(snapshot))
        #expect(document["name"] == "pg-b" && document["role"] == "replica" && document["leader"] == "pg-a")
        #expect(
            document["decisions"]?.array == [
                [
                    "action": "no action", "reasons": ["pg-a holds the leader key", "a secondary, and following pg-a"],
                    "because": [
                        ["code": "leader-key-held-by", "facts": ["leader": "pg-a"]],
                        ["code": "following", "facts": ["member": "pg-a"]],
                    ], "times": 3, "first_at": "2027-02-03T12:00:00+00:00", "last_at": "2027-02-03T12:00:00+00:00",
                ]
            ])
    }

    @Test(arguments: [
        ("/explain", 16), ("/explain?decisions=2", 2), ("/explain?decisions=0", 0), ("/explain?decisions=999999", 40),
        ("/explain?decisions=-1", 0), ("/explain?decisions=x", 16),
    ]) func asManyDecisionsAsAreAskedFor(_ target: String, _ count: Int) async throws {
        var snapshot = Scene.snapshot()
        for number in 0..<40 {
            let reason = number % 2 == 0 ? Reason.paused : .lease(.leaderKeyFree)
            snapshot.decisions.record(Decision(.wait, reason), wallTime: Int64(number))
        }
        #expect(try await explained(Bench(snapshot), target)["decisions"]?.array?.count == count)
    }

    @Test func everyMemberHasItsVerdict() async throws {
        let end = PeerAnswer.status(
            PeerStatus(isPrimary: false, position: WALPosition(251_658_240), timeline: 4, tags: Tags([:])))
        let bench = Bench(Scene.leading(), peers: ["pg-a": end])
        let document = try await explained(bench)
        let usable = try member("pg-a", document)
        #expect(usable["leads"] == false && usable["position"] == 251_658_240 && usable["timeline"] == 4)
        #expect(usable["race"] == ["possible": true, "reasons": [], "because": []])
        let silent = try member("pg-c", document)
        #expect(silent["race"]?["possible"] == false)
        #expect(
            silent["race"]?["because"] == [
                ["code": "candidate-unreachable", "facts": ["member": "pg-c", "why": "silent"]]
            ])
        let leader = try member("pg-b", document)
        #expect(leader["leads"] == true && leader["switchover"]?["reasons"] == ["pg-b leads already"])
        // What this node sees: nothing is sent to either.
        #expect(
            usable["switchover"]?["because"] == [
                ["code": "candidate-receives-nothing", "facts": ["member": "pg-a"]]
            ])
    }

    @Test func aStoreThatIsSilentStandsAgainstEverybody() async throws {
        let document = try await explained(Bench(Scene.snapshot(storeFailure: "gone")))
        #expect(document["store_failure"] == "gone")
        for member in document["members"]?.array ?? [] {
            guard member["leads"] == false else { continue }
            let codes = member["race"]?["because"]?.array?.compactMap { $0["code"]?.string } ?? []
            #expect(codes.first == "candidate-store-silent")
        }
        let blank = try await explained(Bench(Scene.snapshot(view: nil)))
        #expect(blank["members"] == [] && blank["leader"] == .null)
    }

    @Test func manyRequestsAskTheMembersOnce() async throws {
        let (peers, clock) = (CountingPeers(), FakeClock())
        let rounds = PeerRounds(peers, clock)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask { _ = await rounds.answers(of: [Scene.member("pg-a")], within: .seconds(2)) }
            }
        }
        #expect(peers.rounds == 1)
        await clock.sleep(until: clock.now() + .milliseconds(1001))
        _ = await rounds.answers(of: [Scene.member("pg-a")], within: .seconds(2))
        #expect(peers.rounds == 2)
    }

    /// `stands_back` of `/patroni`, which the `/explain` of another node reads.
    @Test func aStandbySaysWhatKeepsItFromLeading() async throws {
        var memory = Memory()
        memory.heldBackUntil = Scene.now + .seconds(5)
        var snapshot = Scene.snapshot()
        snapshot.keptBack = KeptBack(memory, FailsafeFacts())
        let told = try JSON.parse(try await Bench(snapshot).ask("GET", "/patroni").text)
        #expect(told["stands_back"]?.array?.count == 1)
        #expect(told["stands_back"]?.array?.first?["code"] == "held-back")
        #expect(told["stands_back"]?.array?.first?["also_if_named"] == false)
        let bench = Bench(Scene.leading(), peers: ["pg-a": PeerAnswer(json: told)])
        let against = try member("pg-a", try await explained(bench))["race"]
        #expect(against?["possible"] == false)
        #expect(against?["because"]?.array?.first?["facts"]?["code"] == "held-back")
        #expect(try JSON.parse(try await Bench(Scene.leading()).ask("GET", "/patroni").text)["stands_back"] == nil)
    }
}
