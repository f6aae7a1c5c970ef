import ClusterModel
import HighAvailability
import Ports
import Posix
import Testing

@testable import Node

/// A daemon that is told to end while it leads: who gets the key, and when.
@Suite struct ShutdownTests {
    static let positions = ShutdownPositions(checkpoint: WALPosition(1000), required: WALPosition(990), timeline: 1)

    /// Seed 7104553 of the simulation: an operator had started a PostgreSQL again that the daemon took for ended.
    @Test(arguments: [
        (isKnownToRun: true, positions, asks: true, releases: false),
        (true, nil, true, false),
        (false, positions, true, false),
        (false, nil, false, true),
    ])
    func theKeyGoesToOneThatHasEverything(
        isKnownToRun: Bool, found: ShutdownPositions?, asks: Bool, releases: Bool
    ) throws {
        var scene = HonestTimeTests.leader()
        if !isKnownToRun {
            scene.now = scene.now + .seconds(1)
            let ended = PostgreSQLStatus(dataDirectory: .initialized, state: .stopped, observedAt: scene.now)
            _ = scene.step(.node(.observed(ended)))
        }
        _ = scene.step(.shutdownRequested)
        let plan = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: plan, .success(.shutDown(found)))))
        let asked = effects.contains { if case .peers(_, .receipt, _) = $0 { true } else { false } }
        let released = effects.contains { if case .store(.release, _) = $0 { true } else { false } }
        #expect(asked == asks)
        #expect(released == releases)
    }

    /// Seed 7186468: a member that came back from long ago took the key of a leader that was only being restarted.
    @Test func withNobodyElseThereTheKeyWaitsForThisNode() throws {
        var scene = HonestTimeTests.leader(of: ["n1"])
        _ = scene.step(.shutdownRequested)
        let plan = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: plan, .success(.shutDown(Self.positions)))))
        #expect(!effects.contains { if case .store(.release, _) = $0 { true } else { false } })
        #expect(effects.contains { if case .local(.exit(code: 0)) = $0 { true } else { false } })
    }

    /// The longest that a stop may take by its own bounds, part by part, and what packages and containers give it.
    @Test func aServiceManagerHasThePatience() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let stop = PostgreSQLOperation.stop(.fast, timeout: DynamicConfiguration().stopTimeout)
        let now = BootInstant(nanoseconds: 0)
        let hangs = try #require(LeaseArithmetic.endIsDue(.postgreSQL(stop), since: now, nil)) - now
        let byForce = Duration.seconds(5)
        let receipt = ReceiptRule.patience + .seconds(2)
        let look = Duration.seconds(4)
        let callbacks = Duration.seconds(10)
        let sum = hangs + byForce + receipt + look + ClusterTimings().retryTimeout + callbacks
        #expect(sum == .seconds(101))
        for unit in ["matriarch", "matriarch@"] {
            let text = try Files.readText("\(root)/packaging/systemd/\(unit).service")
            #expect(text.contains("\nTimeoutStopSec=120\n"))
        }
        for file in ["compose.yaml", "compose.small.yaml"] {
            #expect(try Files.readText("\(root)/\(file)").contains("stop_grace_period: 2m\n"))
        }
    }

    /// S6: who is outside /sync may not lead, and so is not asked whether it has everything.
    @Test func inSynchronousModeOnlyAVoterIsAnHeir() {
        var view = ShortLeaseTests.view(["n2:0.1", "n3:0.1"], config: ["ttl": 30, "synchronous_mode": true])
        view.sync = SyncState(leader: "n1", voters: ["n3"])
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        let armed = scene.step(.node(.observed(scene.status(writable: true))))
        HonestTimeTests.acknowledge(armed, &scene)
        _ = scene.step(.store(.loaded(.success(view))))
        let renewed = scene.step(.store(.renewed(.success(.held(since: scene.now, ttl: .seconds(30), session: "s")))))
        HonestTimeTests.acknowledge(renewed, &scene)
        let heirs = scene.step(.shutdownRequested).compactMap { effect -> [String]? in
            if case .node(.perform(.stop(_, _, let heirs), _, _)) = effect { heirs } else { nil }
        }
        #expect(heirs == [["n3"]])
    }
}
