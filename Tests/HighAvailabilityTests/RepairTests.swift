import ClusterModel
import HighAvailability
import Testing

/// A store that is full refuses every write and prolongs sessions all the same: a leader renews before it repairs, and
/// what it cannot repair keeps it from nothing.
@Suite struct RepairTests {
    /// What of the store may have to be written again.
    static let spoiled: [(String, ClusterView)] = [
        ("/config", Scene.view(leader: "n1", config: nil)),
        ("/config", Scene.view(leader: "n1", config: [:])),
        ("/initialize", Scene.view(leader: "n1", initialize: .absent)),
        ("/failover", Scene.view(leader: "n1", failover: FailoverRequest(leader: "n3", candidate: "n2", revision: 7))),
    ]

    static let servers: [(String, PostgreSQLStatus)] = [
        ("a primary", Scene.primary()), ("a standby", Scene.standby()), ("a stopped one", Scene.stopped(.shutDown)),
    ]

    /// Every answer that is asked for comes, and is good.
    static func outcome(
        _ view: ClusterView, _ local: PostgreSQLStatus, repairsWait: Bool, renewal: Observation.Renewal = .held
    ) -> (asked: [Question], decision: Decision) {
        var seen = Scene.seen(view, local, settings: ["ttl": 30])
        seen.repairsWait = repairsWait
        var memory = Memory()
        memory.hasWonKey = true
        var asked: [Question] = []
        while asked.count < 5 {
            let decision = decide(seen, &memory)
            guard case .ask(let question) = decision.action else { return (asked, decision) }
            asked.append(question)
            switch question {
            case .renewal, .renewalAndPeers:
                seen.renewal = renewal
                if renewal == .held { seen.lease = Scene.lease() }
            case .peers, .failsafe, .divergence: break
            }
            seen.peers = ["n2": Scene.peer(1000), "n3": Scene.peer(1000)]
        }
        return (asked, decide(seen, &memory))
    }

    @Test func nothingIsWrittenBeforeTheLeaseIsRenewed() {
        for (key, view) in Self.spoiled {
            for (what, local) in Self.servers {
                let (asked, _) = Self.outcome(view, local, repairsWait: false)
                switch asked.first {
                case .renewal?, .renewalAndPeers?: break
                case .peers?, .failsafe?, .divergence?, nil: Issue.record("\(key), \(what): asks \(asked)")
                }
            }
        }
    }

    /// What a leader does while the store refuses is what it does with a store that has lost nothing.
    @Test func whatCannotBeWrittenHoldsNothingUp() {
        for (what, local) in Self.servers {
            let whole = Self.outcome(Scene.view(leader: "n1"), local, repairsWait: false).decision.action
            for (key, view) in Self.spoiled {
                let first = Self.outcome(view, local, repairsWait: false).decision.action
                if case .write = first {} else if what != "a stopped one" { Issue.record("\(key), \(what): \(first)") }
                let action = Self.outcome(view, local, repairsWait: true).decision.action
                #expect(action == whole, "\(key), \(what)")
            }
        }
    }

    /// Who is no leader any more writes nothing.
    @Test func aRefusedRenewalRepairsNothing() {
        for (key, view) in Self.spoiled {
            let (_, decision) = Self.outcome(view, Scene.primary(), repairsWait: false, renewal: .refused)
            guard case .carryOut(let plan) = decision.action else {
                Issue.record("\(key): \(decision)")
                continue
            }
            #expect(plan.kind == .demote, "\(key)")
        }
    }
}
