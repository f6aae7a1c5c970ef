import ClusterModel
import HighAvailability
import JSON
import Ports
import Testing

@testable import Node

/// Failsafe mode in the cycle, as the simulation has found it wanting (L4).
@Suite struct FailsafeFlowTests {
    static let config: JSONObject = ["ttl": 30, "failsafe_mode": true, "failsafe_timeout": 5]
    static let ping = FailsafePing(
        name: "n2", connectionURL: "postgres://b:1/p", apiURL: "http://b:2/patroni", slots: [:])

    /// A standby that has the leader key, by a lease that holds, and does nothing yet.
    static func standbyWithKey() -> GuardianOrderTests.Scene {
        var scene = GuardianOrderTests.Scene(adopted: GuardianOrderTests.lease)
        _ = scene.step(.timer)
        HonestTimeTests.acknowledge(scene.step(.node(.observed(scene.status(writable: false)))), &scene)
        _ = scene.step(.store(.loaded(.success(ShortLeaseTests.view(["n2:0.1"], config: config)))))
        scene.machine.schedule.cycle = nil
        scene.machine.plans = Plans()
        // The server that was to be promoted has been started again since.
        var status = scene.status(writable: false)
        status.postmaster = 43
        scene.machine.sight.see(status)
        return scene
    }

    static func isPromised(_ effects: [CycleEffect]) -> Bool {
        effects.contains { if case .local(.replyFailsafe(_, .accepted)) = $0 { true } else { false } }
    }

    /// Seeds 50104873 and 60082318: who had led, and had lost the store since, refused for ever.
    @Test func aLeaseThatHasEndedForbidsNoPromise() {
        var scene = Self.standbyWithKey()
        #expect(!Self.isPromised(scene.step(.failsafeAsked(1, Self.ping), after: .seconds(5))))
        #expect(Self.isPromised(scene.step(.failsafeAsked(2, Self.ping), after: .seconds(30))))
    }

    /// Seed 50021788: the look after a promotion waited for the store until it was too late to ask the others, because
    /// nobody had seen the new primary yet.
    @Test func theLookAfterAPromotionLeavesTimeToAskTheOthers() throws {
        var scene = Self.standbyWithKey()
        let lease = try #require(scene.machine.lease)
        let askBy = LeaseArithmetic.stopBy(lease) - .seconds(5)
        scene.now = askBy - .seconds(2)
        var run = CycleMachine.Run(now: scene.now, wallTime: 0, writesLog: false)
        scene.machine.begin(Plan(.promote, [.postgreSQL(.promote)]), &run)
        let plan = try #require(scene.machine.progress?.number)
        let effects = scene.step(.node(.performed(plan: plan, .success(.done))))
        let deadlines = effects.compactMap { effect -> BootInstant? in
            if case .store(.load, let deadline) = effect { deadline } else { nil }
        }
        #expect(deadlines == [askBy])
    }

    /// Seed 50117863: after the last moment to ask a renewal was waited for until PostgreSQL had to be stopped.
    @Test func aLateRequestLeavesTheOthersHalfOfWhatIsLeft() {
        let lease = Lease(since: BootInstant(nanoseconds: 0), ttl: .seconds(5), session: "s")
        let timings = ClusterTimings()
        let (askBy, stopBy) = (LeaseArithmetic.askBy(lease, timings), LeaseArithmetic.stopBy(lease))
        func ends(_ now: BootInstant, asksOthers: Bool) -> BootInstant {
            LeaseArithmetic.requestEnds(now + .seconds(3), lease, timings, asksOthers: asksOthers, at: now)
        }
        #expect(ends(lease.since, asksOthers: true) == min(askBy, lease.since + .seconds(3)))
        #expect(ends(askBy - .seconds(1), asksOthers: true) == askBy)
        #expect(ends(stopBy - .milliseconds(400), asksOthers: true) == stopBy - .milliseconds(200))
        #expect(ends(stopBy - .milliseconds(400), asksOthers: false) == stopBy + .milliseconds(100))
        #expect(ends(stopBy, asksOthers: true) == stopBy + .milliseconds(500))
    }
}
