import ClusterModel
import HighAvailability
import Ports
import Testing

@testable import Node

/// A pause that comes upon a plan (ha-loop.md §15): what that has taken down nobody else would start, or lead for.
@Suite struct PausedPlanTests {
    typealias Scene = GuardianOrderTests.Scene

    static let config: JSONObject = ["ttl": 30, "pause": true]

    static func pause(_ scene: inout Scene, _ request: FailoverRequest? = nil) throws {
        scene.machine.configuration.settings = try #require(DynamicConfiguration(document: config))
        var view = try #require(scene.machine.view)
        view.failover = request
        _ = scene.machine.sight.see(view, isMine: true, asked: scene.now, wallTime: 0)
    }

    static func callsOff(_ effects: [CycleEffect]) -> [String] {
        effects.compactMap { effect in
            guard case .store(.write(.failover, let value, _, .clearFailover), _) = effect else { return nil }
            return value.object?["failed"]?.string
        }
    }

    /// The member that is asked says that it has everything.
    static func receipt(_ scene: inout Scene) throws -> [CycleEffect] {
        let number = try #require(scene.machine.progress?.number)
        let peer = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        return scene.step(.peers(.receipt(plan: number), ["n2": .status(peer)]))
    }

    static let requests: [(request: FailoverRequest?, isOvertaken: Bool)] = [
        (FailoverRequest(leader: "n1", candidate: nil, revision: 7), true),
        (FailoverRequest(leader: "n1", candidate: "n2", scheduledAt: "2030-01-01T00:00:00Z", revision: 7), true),
        // An operator has taken it back.
        (nil, true),
        (FailoverRequest(leader: "n1", candidate: "n2", revision: 7), false),
        (FailoverRequest(leader: nil, candidate: "n2", revision: 7), false),
    ]

    /// In pause the key is taken by who is named, or by nobody.
    @Test(arguments: requests, [true, false])
    func thePauseKeepsTheKeyHere(_ row: (request: FailoverRequest?, isOvertaken: Bool), whileItLooks: Bool) throws {
        var scene = try LeaderKeyFlowTests.handingOver(.shutDown(LeaderKeyFlowTests.positions))
        if !whileItLooks { try Self.pause(&scene, row.request) }
        var effects = try Self.receipt(&scene)
        if whileItLooks { try Self.pause(&scene, row.request) }
        var status = LeaderKeyFlowTests.down(scene)
        status.observedAt = scene.now
        effects += scene.step(.node(.observed(status)))
        #expect(LeaderKeyFlowTests.releases(effects) != row.isOvertaken)
        #expect((scene.machine.lease != nil) == row.isOvertaken)
        let why = Self.callsOff(effects)
        #expect(why.count == (row.isOvertaken && row.request != nil ? 1 : 0))
        #expect(why.allSatisfy { $0.contains("paused meanwhile") })
    }

    /// A leader that has called the handing over off, as far as its server was asked to start again.
    static func startsAgain(_ scene: inout Scene, _ settings: JSONObject = config) throws -> [CycleEffect] {
        var status = LeaderKeyFlowTests.down(scene)
        status.observedAt = scene.now
        _ = scene.step(.node(.observed(status)))
        let view = ShortLeaseTests.view(["n1:0.1", "n2:0.1"], config: settings, revision: 8)
        _ = scene.step(.store(.loaded(.success(view))))
        _ = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        let peer = PeerStatus(isPrimary: false, position: WALPosition(1000), timeline: 1)
        return scene.step(.peers(.decision, ["n2": .status(peer)]))
    }

    private static let anybody = FailoverRequest(leader: "n1", candidate: nil, revision: 7)

    @Test(arguments: [config, ["ttl": 30, "pause": true, "primary_start_timeout": 0]])
    func whoKeepsTheKeyStartsAgain(_ settings: JSONObject) throws {
        var scene = try LeaderKeyFlowTests.handingOver(.shutDown(LeaderKeyFlowTests.positions))
        try Self.pause(&scene, Self.anybody)
        _ = try Self.receipt(&scene)
        let effects = try Self.startsAgain(&scene, settings)
        #expect(BreakingOffTests.operations(effects).map(\.name) == [PostgreSQLOperation.CommonName.startPrimary])
    }

    /// A stop that has failed may have ended it all the same.
    @Test func soDoesWhoseStopHasFailed() throws {
        var scene = HonestTimeTests.leader()
        BreakingOffTests.begin(
            Plan(.handOver, [.postgreSQL(.stop(.fast, timeout: .seconds(60), heirs: ["n2"]))]), &scene)
        try Self.pause(&scene, Self.anybody)
        let number = try #require(scene.machine.progress?.number)
        let failed = scene.step(.node(.performed(plan: number, .failure(.timedOut("the stop")))))
        #expect(Self.callsOff(failed).count == 1)
        _ = scene.step(.woken("the next cycle"))
        let effects = try Self.startsAgain(&scene)
        #expect(BreakingOffTests.operations(effects).map(\.name) == [PostgreSQLOperation.CommonName.startPrimary])
    }
}
