import ClusterModel
import HighAvailability
import Testing

/// Why a request for a switchover or failover comes to nothing, as whoever asked is told.
@Suite struct RequestAnswersTests {
    /// Stricter than Patroni: a node that is away answers still, and would not take over. It is told why.
    @Test(arguments: ["reinitialize", "restarting", "creating replica"])
    func whoIsBusyIsNoCandidate(_ what: String) {
        let request = SwitchoverRequest(kind: .switchover, leader: "n1", candidate: "n2")
        let text = "switchover is not possible: no good candidates have been found: n2 is busy (\(what))"
        #expect(throws: SwitchoverRequest.Refusal(.precondition, text)) {
            try request.check(answers: ["n2": Self.busy(what)], of: [Scene.member("n2")])
        }
    }

    /// One that is being copied has no positions, and its member key says why.
    @Test func whoIsBeingCopiedIsNoCandidate() {
        let request = SwitchoverRequest(kind: .switchover, leader: "n1", candidate: "n2")
        let text = "switchover is not possible: no good candidates have been found: n2 is busy (creating replica)"
        #expect(throws: SwitchoverRequest.Refusal(.precondition, text)) {
            try request.check(
                answers: ["n2": .unreachable("no WAL position in its answer")],
                of: [Scene.member("n2", state: "creating replica")])
        }
    }

    /// The leader judges the same: the request ends, and says why.
    @Test func theLeaderHandsNothingOverToWhoIsBusy() {
        let (decision, _) = Scene.decided(
            RequestTests.leader(RequestTests.requested("n1", "n2"), peers: ["n2": Self.busy("reinitialize")]))
        #expect(decision.action == RequestTests.clear)
        #expect("\(decision)".contains("n2 is busy (reinitialize)"))
    }

    static func busy(_ what: String) -> PeerAnswer {
        .status(PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1, busy: what))
    }

    /// What the winner of the key leaves in `/failover`, and whether it hands over again for the same request.
    @Test(
        arguments: [
            ("n2", "n1", false, [:], false), ("n1", "n2", false, ["failed": .string(untaken)], true),
            (nil, "n1", true, ["member": "n1"], false), (nil, "n2", true, [:], false),
            ("n1", nil, true, ["failed": .string(untaken)], true),
        ] as [(String?, String?, Bool, JSONObject, Bool)])
    func whatTheWinnerLeaves(
        _ leader: String?, _ candidate: String?, isPaused: Bool, _ expected: JSONObject, isCalledOff: Bool
    ) {
        var memory = Memory()
        memory.refusedPromotion = .init(why: "pre_promote failed", at: Scene.now)
        let rest = requestWhenWon(
            FailoverRequest(leader: leader, candidate: candidate, revision: 7), NodeIdentity(name: "n1"),
            isPaused: isPaused, &memory)
        #expect(rest == expected)
        #expect((memory.calledOff == 7) == isCalledOff)
        #expect((memory.refusedPromotion == nil) == (candidate == "n1" && !isPaused))
    }

    private static let untaken = "nobody has taken the leader key that was given away"

    /// What a node of ours is doing, or the state of another's PostgreSQL.
    @Test(
        arguments: [
            (["state": "running"], nil), (["state": "running", "operation": "reinitialize"], "reinitialize"),
            (["state": "restarting"], "restarting"), (["state": "unknown"], nil), ([:], nil),
        ] as [(JSONObject, String?)])
    func whatAPeerIsBusyWith(_ more: JSONObject, _ expected: String?) {
        var object: JSONObject = ["xlog": ["received_location": 5, "replayed_location": 5], "timeline": 1]
        for member in more.members { object[member.key] = member.value }
        guard case .status(let status) = PeerAnswer(json: .object(object)) else {
            Issue.record("it has positions")
            return
        }
        #expect(status.busy == expected)
    }

    /// The cycle says it, where a hand-over that was begun comes to nothing.
    @Test func whatIsCalledOffSaysWhy() {
        func check(_ reason: Reason, because codes: [String]) {
            #expect([reason.code] == codes && "\(reason)".hasSuffix(": nobody has everything"))
        }
        check(.request(.calledOff(why: "nobody has everything")), because: ["called-off"])
        check(.request(.calledOffBefore(why: "nobody has everything")), because: ["called-off-before"])
    }

    @Test func whatFailedSaysWhy() {
        let request = SwitchoverRequest(kind: .switchover, leader: "n1", candidate: "n2")
        var view = Scene.view(leader: "n1")
        view.failoverFailure = "n2 is not reachable"
        #expect(throws: SwitchoverRequest.Refusal(.unavailable, "Switchover failed: n2 is not reachable")) {
            var course = SwitchoverCourse(request, formerLeader: "n1")
            _ = try course.outcome(view)
        }
    }
}
