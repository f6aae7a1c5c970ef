import ClusterModel
import HighAvailability
import Testing

/// A standby whose recovery somebody has changed by hand (ha-loop.md §9.3.6, §9.3.8).
@Suite struct RecoverySettingsTests {
    static let following = Scene.view(leader: "n2")
    static let told = LeaderAndFollowerTests.told("n2")
    static let follow = Action.carryOut(Plan(.follow, [.postgreSQL(.follow(Scene.upstream("n2")))]))

    static let rows: [Row] = [
        Row(
            description: "replay that was paused goes on",
            seen: Scene.seen(following, paused()), memory: told, expected: .plan(.resumeReplay),
            because: ["replay-paused"]),
        Row(
            description: "not in pause",
            seen: Scene.seen(following, paused(), settings: ["pause": true]), memory: told, expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "nor before 14, where only people pause it",
            seen: Scene.seen(following, paused(version: 130_010)), memory: told, expected: .action(.wait),
            because: ["following"]),
        Row(
            description: "nor without a leader",
            seen: Scene.seen(Scene.view(), paused(), peers: ["n2": Scene.peer(1001)]), memory: told,
            expected: .action(.wait), because: ["peer-is-ahead"]),
        Row(
            description: "settings that were changed are set back",
            seen: Scene.seen(following, altered()), memory: told, expected: .action(follow),
            because: ["recovery-settings-altered", "must-follow"]),
        Row(
            description: "also in pause, as with Patroni",
            seen: Scene.seen(following, altered(), settings: ["pause": true]), memory: told, expected: .action(follow),
            because: ["recovery-settings-altered", "must-follow"]),
        Row(
            description: "who was told to follow another does that",
            seen: Scene.seen(following, altered()), memory: LeaderAndFollowerTests.told("n3"),
            expected: .action(follow), because: ["must-follow"]),
        Row(
            description: "what is as it was told stays",
            seen: Scene.seen(following, Scene.standby()), memory: told, expected: .action(.wait), because: ["following"]
        ),
    ]

    @Test(arguments: rows) func decides(_ row: Row) {
        row.check()
    }

    @Test func whatCannotBeSetBackIsNotTriedAtEachLook() {
        var memory = Self.told
        let seen = Scene.seen(Self.following, Self.altered())
        #expect(decide(seen, &memory).action == Self.follow)
        #expect(decide(seen, &memory).action == .wait)
        var later = seen
        later.now = Scene.now + .seconds(5)
        #expect(decide(later, &memory).action == Self.follow)
        later.now = later.now + .seconds(9)
        #expect(decide(later, &memory).action == .wait)
        later.local = Scene.standby()
        _ = decide(later, &memory)
        #expect(memory.resetting == Memory.Retries())
    }

    static func paused(version: Int = 150_006) -> PostgreSQLStatus {
        var status = Scene.standby()
        status.facts?.replayPaused = true
        status.facts?.serverVersion = version
        return status
    }

    static func altered() -> PostgreSQLStatus {
        var status = Scene.standby(streaming: false)
        status.facts?.alteredRecovery = ["primary_conninfo"]
        return status
    }
}
