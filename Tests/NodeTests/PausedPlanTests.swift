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

    static func ends(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .local(.exit) = $0 { true } else { false } }
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

    // MARK: The end of the daemon

    private static let restart = Plan(
        .restart,
        [
            .postgreSQL(.stopToRestart(timeout: .seconds(60))),
            .postgreSQL(.startPrimary(timeout: .seconds(60), on: nil)),
        ])
    private static let copy = Plan(.copySlots, restart.steps)

    @Test(arguments: [restart, copy]) func whatIsDownForAPlanIsStartedBeforeTheDaemonEnds(_ plan: Plan) throws {
        var scene = HonestTimeTests.leader()
        try Self.pause(&scene)
        BreakingOffTests.begin(plan, &scene)
        let number = try #require(scene.machine.progress?.number)
        #expect(!Self.ends(scene.step(.shutdownRequested)))
        let started = scene.step(.node(.performed(plan: number, .success(.shutDown(nil)))))
        #expect(BreakingOffTests.operations(started).count == 1 && !Self.ends(started))
        #expect(Self.ends(scene.step(.node(.performed(plan: number, .success(.done))))))
    }

    /// What would last, or leaves PostgreSQL as it is, is not waited for; nor does anybody wait who says it twice.
    @Test func otherwiseItEndsAtOnce() throws {
        for kind in [Plan.Kind.follow, .rewind, .reclone, .promote, .shutdown] {
            var scene = HonestTimeTests.leader()
            try Self.pause(&scene)
            BreakingOffTests.begin(Plan(kind, Self.restart.steps), &scene)
            #expect(Self.ends(scene.step(.shutdownRequested)), "\(kind)")
        }
        var scene = HonestTimeTests.leader()
        try Self.pause(&scene)
        BreakingOffTests.begin(Self.restart, &scene)
        _ = scene.step(.shutdownRequested)
        #expect(Self.ends(scene.step(.shutdownRequested)))
    }

    /// The start comes after the plan then, by a rule.
    @Test(arguments: [true, false]) func norDoesItEndBeforeWhoKeepsTheKeyHasStarted(_ starts: Bool) throws {
        var scene = try LeaderKeyFlowTests.handingOver(.shutDown(LeaderKeyFlowTests.positions))
        try Self.pause(&scene, Self.anybody)
        #expect(!Self.ends(scene.step(.shutdownRequested)))
        #expect(!Self.ends(try Self.receipt(&scene)))
        #expect(scene.machine.progress == nil)
        guard starts else {
            // For so long, and no longer.
            #expect(!Self.ends(scene.step(.timer, after: .seconds(9))))
            return #expect(Self.ends(scene.step(.timer, after: .seconds(2))))
        }
        let effects = try Self.startsAgain(&scene)
        let number = try #require(scene.machine.progress?.number)
        #expect(!Self.ends(effects))
        #expect(!Self.ends(scene.step(.node(.performed(plan: number, .success(.done))))))
        var status = scene.status(writable: true)
        status.observedAt = scene.now
        let seen = scene.step(.node(.observed(status)))
        let view = ShortLeaseTests.view(["n1:0.1", "n2:0.1"], config: Self.config, revision: 9)
        #expect(Self.ends(seen + scene.step(.store(.loaded(.success(view))))))
    }
}
