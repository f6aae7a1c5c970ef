import ClusterModel
import HighAvailability
import Testing

/// Wherever a server may accept writes and this node has lost the right to it, the same is done: it is ended; in pause
/// it is its operator's, and the decision says so.
@Suite struct GiveUpWritesTests {
    struct Room: Sendable, CustomStringConvertible {
        let description: String
        let seen: @Sendable (JSONObject) -> Observation
    }

    static let leading = Scene.view(leader: "n1")
    static let following = Scene.view(leader: "n2")

    static func running(_ kind: Plan.Kind) -> RunningPlan {
        RunningPlan(
            plan: Plan(kind, [.postgreSQL(.stopToRestart(timeout: .seconds(300)))]), since: Scene.now - .seconds(2))
    }

    static func inaccessible() -> PostgreSQLStatus {
        var status = Scene.primary()
        status.dataDirectory = .inaccessible("input/output error")
        return status
    }

    static func startingWithoutSignal() -> PostgreSQLStatus {
        var status = Scene.primary()
        status.facts = nil
        status.readiness = .rejecting
        return status
    }

    static let rooms: [Room] = [
        Room(description: "the store refuses the lease") {
            Scene.seen(leading, Scene.primary(), lease: Scene.lease(), renewal: .refused, settings: $0)
        },
        Room(description: "somebody else leads") { Scene.seen(following, Scene.primary(), settings: $0) },
        Room(description: "nobody leads, and the cluster is on a newer timeline") {
            Scene.seen(Scene.view(history: RaceTests.history(1)), Scene.primary(timeline: 1), settings: $0)
        },
        Room(description: "the store is silent, and there is no lease") {
            Scene.seen(leading, Scene.primary(), settings: $0, storeFailure: "down")
        },
        Room(description: "the store is silent, and the lease ends while a restart runs") {
            Scene.seen(leading, Scene.primary(), running: running(.restart), settings: $0, storeFailure: "down")
        },
        Room(description: "the lease is lost while a promotion runs") {
            Scene.seen(
                leading, Scene.standby(), lease: Scene.lease(), renewal: .refused, running: running(.promote),
                settings: $0)
        },
        Room(description: "the data directory cannot be read, and somebody else leads") {
            Scene.seen(following, inaccessible(), settings: $0)
        },
    ]

    @Test(arguments: rooms) func itIsEndedAndInPauseItIsNot(_ room: Room) {
        var (decision, memory) = Scene.decided(room.seen([:]))
        memory.begins(decision)
        switch decision.action {
        case .carryOut(let plan), .breakOff(let plan):
            #expect([.demote, .demoteOffline].contains(plan.kind), "\(room): \(decision)")
        case .wait, .ask, .acquireLeader, .releaseLeader, .initializeCluster, .write, .exit:
            Issue.record("\(room): \(decision)")
        }
        #expect(memory.rewind == .suspected, "\(room)")
        let (paused, _) = Scene.decided(room.seen(["pause": true]))
        #expect(paused.action == .wait || paused.action == .acquireLeader, "\(room): \(paused)")
        #expect(paused.reasons.contains(.paused), "\(room): \(paused)")
    }

    /// A server that comes up without a standby signal will accept writes: the leader's alone.
    @Test func whatStartsAsAPrimaryUnderAnotherLeaderIsEnded() {
        let (decision, _) = Scene.decided(Scene.seen(Self.following, Self.startingWithoutSignal()))
        #expect(Row.Expectation.plan(.demote).matches(decision), "\(decision)")
        #expect(decision.reasons.map(\.code) == ["primary-without-lease"])
    }
}
