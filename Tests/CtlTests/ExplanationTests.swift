import ClusterModel
import Testing

@testable import Ctl

/// What `explain` makes of what members say.
@Suite struct ExplanationTests {
    private static func verdict(_ reasons: [(code: String, sentence: String)] = []) -> JSONValue {
        [
            "possible": .bool(reasons.isEmpty), "reasons": .array(reasons.map { .string($0.sentence) }),
            "because": .array(reasons.map { ["code": .string($0.code), "facts": ["member": "pg-b"]] }),
        ]
    }

    private static func document(_ name: String, leader: JSONValue = "pg-a") -> JSONObject {
        let lagging = (code: "candidate-lagging", sentence: "pg-b is behind")
        let back = (code: "candidate-stands-back", sentence: "pg-b would\u{1B}[2J stand back")
        return [
            "name": .string(name), "leader": leader,
            "decisions": [
                [
                    "action": "no action", "reasons": ["pg-a holds the leader key"],
                    "because": [["code": "leader-key-held-by", "facts": ["leader": "pg-a", "n": 1.5]]], "times": 3,
                    "first_at": "2027-02-03T12:00:00+00:00", "last_at": "2027-02-03T12:00:09+00:00",
                ]
            ],
            "members": [
                ["name": "pg-a", "leads": true, "switchover": verdict(), "failover": verdict(), "race": verdict()],
                [
                    "name": "pg-b", "leads": false, "switchover": verdict([lagging]), "failover": verdict([lagging]),
                    "race": verdict([lagging, back]),
                ],
                ["name": "pg-c", "leads": false, "switchover": verdict(), "failover": verdict(), "race": verdict()],
            ],
        ]
    }

    private var picture: ClusterPicture { Pictures.picture("orders", Pictures.orders) }

    @Test func whyEachLeadsOrNot() {
        let members = picture.members(.any)
        let told = [
            MemberExplanation(member: members[0], document: Self.document("pg-a"), trouble: nil),
            MemberExplanation(member: members[1], document: Self.document("pg-b"), trouble: nil),
            MemberExplanation(member: members[2], document: nil, trouble: "it tells no reasons"),
        ]
        let lines = ExplanationText.of(picture, told).split(separator: "\n").map(String.init)
        #expect(
            lines.prefix(5) == [
                "orders: pg-a leads", "  pg-a leads: pg-a holds the leader key",
                "  pg-b does not lead: pg-a holds the leader key",
                "    if pg-a failed now it could not take over: pg-b is behind; pg-b would?[2J stand back",
                "  pg-c does not lead; it tells no reasons",
            ])
        #expect(lines[5] == "Last decisions of pg-a:")
        #expect(lines[6].hasSuffix("  no action (3 times, last at \(LocalTime.seconds(1_801_656_009_000_000_000)))"))
        #expect(lines[7] == "      pg-a holds the leader key [leader-key-held-by leader=pg-a n=1.5]")
    }

    @Test func whoCouldTakeOver() {
        let document = Self.document("pg-a")
        #expect(
            SuccessionText.of(picture, document, names: []) == """
                orders: who could take over from pg-a now, as pg-a sees it
                  pg-b  switchover: no, failover: no, if pg-a failed: no
                      pg-b is behind [candidate-lagging member=pg-b]
                      if pg-a failed: pg-b would?[2J stand back [candidate-stands-back member=pg-b]
                  pg-c  switchover: yes, failover: yes, if pg-a failed: yes

                """)
        #expect(SuccessionText.isPossible(document, names: []))
        #expect(!SuccessionText.isPossible(document, names: ["pg-b"]))
        #expect(!SuccessionText.of(picture, document, names: ["pg-b"]).contains("pg-c"))
        #expect(SuccessionText.of(picture, document, names: ["pg-a"]).hasSuffix("  there is no other member\n"))
    }

    @Test func withoutALeaderARaceDecides() {
        let document = Self.document("pg-b", leader: .null)
        #expect(SuccessionText.isPossible(document, names: ["pg-c"]))
        let text = SuccessionText.of(picture, document, names: ["pg-c"])
        #expect(text.contains("orders: who could take over now, as pg-b sees it"))
        #expect(text.contains("in a race: yes"))
    }

    @Test func wherePatroniIsAskedTheStoreAnswers() {
        let text = SuccessionText.of(picture, names: [])
        #expect(text.hasPrefix("orders: who could take over from pg-a now, as the store has it\n"))
        #expect(text.contains("  pg-c  could not take over\n      it does not run (stopped)\n"))
    }

    @Test(
        arguments: [
            (["explain", "a", "b"], "explain takes one cluster"),
            (["explain", "failover", "a", "b"], "explain takes one cluster"),
        ])
    func words(words: [String], says: String) async {
        let terminal = ScriptedTerminal()
        #expect(await Program.run(["matriarchctl"] + words, environment: [:], terminal: terminal) == 2)
        #expect(terminal.errors.contains(says))
    }
}
