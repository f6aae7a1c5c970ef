import ClusterModel
import HighAvailability
import Testing

/// What stands in `/sync` before a promotion, as tables.
@Suite struct SynchronousClaimTests {
    static let claims: [(String, JSONObject, SyncState, SyncState?, SynchronousSetting)] = [
        ("off", [:], SyncState(leader: "n2", voters: ["n1"]), nil, .configured),
        (
            "priority", ["synchronous_mode": true], SyncState(leader: "n2", voters: ["n1", "n3"]),
            SyncState(leader: "n1"),
            .names(.nobody)
        ),
        (
            "strict", ["synchronous_mode": true, "synchronous_mode_strict": true],
            SyncState(leader: "n2", voters: ["n1", "n3"]), SyncState(leader: "n1", voters: ["n2", "n3"]),
            .names(.init(.priority, 2, ["n2", "n3"]))
        ),
        (
            "strict, and nobody", ["synchronous_mode": true, "synchronous_mode_strict": true], SyncState(),
            SyncState(leader: "n1"), .names(.waiting(.priority))
        ),
        (
            "quorum", ["synchronous_mode": "quorum"], SyncState(leader: "n2", voters: ["n1", "n3"], quorum: 1),
            SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1), .names(.init(.quorum, 1, ["n2", "n3"]))
        ),
        (
            "quorum, by a node without a vote", ["synchronous_mode": "quorum"],
            SyncState(leader: "n2", voters: ["n3"], quorum: 0), SyncState(leader: "n1", voters: ["n2", "n3"]),
            .names(.init(.quorum, 2, ["n2", "n3"]))
        ),
        (
            "the mode has changed, the votes count", ["synchronous_mode": true],
            SyncState(leader: "n2", voters: ["n1", "n3"], quorum: 1),
            SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1), .names(.init(.priority, 1, ["n2", "n3"]))
        ),
        ("quorum without /sync", ["synchronous_mode": "quorum"], SyncState(), SyncState(leader: "n1"), .names(.nobody)),
    ]

    @Test(arguments: claims)
    func whatIsClaimed(
        _ what: String, _ settings: JSONObject, _ sync: SyncState, _ written: SyncState?, _ names: SynchronousSetting
    ) {
        let claim = SynchronousClaim(
            SynchronousRuleTests.me, Scene.view(leader: "n1", sync: sync),
            DynamicConfiguration(document: settings) ?? DynamicConfiguration())
        #expect(claim.sync == written, "\(what)")
        #expect(claim.names == names, "\(what)")
        if let written, case .names(let names) = names { #expect(SynchronousCover.holds(written, names), "\(what)") }
    }

    @Test(arguments: [
        Row(
            description: "a winner claims /sync",
            seen: Scene.seen(
                Scene.view(leader: "n1", sync: SyncState(leader: "n2", voters: ["n1"])), Scene.standby(),
                lease: Scene.lease(), renewal: .held, settings: ["synchronous_mode": true]), memory: wonKey(),
            expected: .action(.write(.sync(SyncState(leader: "n1")))), because: ["holding-lease", "sync-claimed"]),
        Row(
            description: "it does where /sync says so and another write may come after",
            seen: uncertain(["synchronous_mode": true], SyncState(leader: "n1")), memory: wonKey(),
            expected: .action(.write(.sync(SyncState(leader: "n1")))), because: ["holding-lease", "sync-claimed"]),
        Row(
            description: "not where the mode is off: /sync says nothing then", seen: uncertain([:], SyncState()),
            memory: wonKey(), expected: .plan(.promote), because: ["holding-lease"]),
    ]) func decides(_ row: Row) {
        row.check()
    }

    private static func uncertain(_ settings: JSONObject, _ sync: SyncState) -> Observation {
        var seen = Scene.seen(
            Scene.view(leader: "n1", sync: sync), Scene.standby(), lease: Scene.lease(), renewal: .held,
            settings: settings)
        seen.isSyncUncertain = true
        return seen
    }

    private static func wonKey() -> Memory {
        var memory = Memory()
        memory.hasWonKey = true
        return memory
    }

    /// The key is ours, and PostgreSQL a standby: `/sync` first, then the names, then the promotion.
    @Test func aWinnerWritesSyncBeforeItIsPromoted() {
        let settings: JSONObject = ["synchronous_mode": "quorum"]
        func decided(_ sync: SyncState) -> Action {
            var memory = Memory()
            memory.hasWonKey = true
            return Scene.decided(
                Scene.seen(
                    Scene.view(leader: "n1", sync: sync), Scene.standby(), lease: Scene.lease(), renewal: .held,
                    settings: settings), memory
            ).0.action
        }
        let claimed = SyncState(leader: "n1", voters: ["n2", "n3"], quorum: 1)
        #expect(decided(SyncState(leader: "n2", voters: ["n1", "n3"], quorum: 1)) == .write(.sync(claimed)))
        #expect(
            decided(claimed)
                == .carryOut(
                    Plan(
                        .promote,
                        [
                            .postgreSQL(.nameSynchronous(.names(.init(.quorum, 1, ["n2", "n3"])))),
                            .postgreSQL(.promote),
                        ])))
    }
}
