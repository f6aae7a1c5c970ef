import ClusterModel
import HighAvailability
import Testing

/// Who is asked in a race although its key has run out.
@Suite struct ExpiredKeyTests {
    /// Seed 200040242 of the simulation: a standby's key ran out a moment before the leader's, and it was not asked.
    @Test(arguments: [(Duration.seconds(29), ["n2", "n3"]), (.seconds(30), ["n2"])])
    func whoseKeyHasRunOutLatelyIsAsked(_ ago: Duration, _ asked: [String]) {
        var memory = Memory()
        func look(_ leader: String?, _ members: [String], at instant: BootInstant) -> Decision {
            let view = Scene.view(leader: leader, members: members.map { Scene.member($0, role: "replica") })
            var seen = Scene.seen(view, Scene.standby())
            seen.now = instant
            return decide(seen, &memory)
        }
        _ = look("n2", ["n1", "n2", "n3"], at: Scene.now - ago - .seconds(10))
        _ = look("n2", ["n1", "n2"], at: Scene.now - ago)
        _ = look("n2", ["n1", "n2"], at: Scene.now)
        let decision = look(nil, ["n1", "n2"], at: Scene.now)
        guard case .ask(.peers(let members)) = decision.action else {
            Issue.record("\(decision)")
            return
        }
        #expect(members.map(\.name) == asked)
    }
}
