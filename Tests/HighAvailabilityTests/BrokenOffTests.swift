import ClusterModel
import HighAvailability
import Testing

/// L1 where an operation does not return: what is waited for, until when, and who prolongs the session meanwhile.
@Suite struct BrokenOffTests {
    struct Session: Sendable, CustomStringConvertible {
        let description: String
        var leader: String? = "n1"
        var lease: Lease?
        let touch: Bool
        let look: Bool
    }

    /// Ttl 30: a leader renews every 10 s.
    static let sessions: [Session] = [
        Session(description: "a follower", leader: "n2", touch: true, look: true),
        Session(description: "nobody leads", leader: nil, touch: true, look: true),
        Session(
            description: "the key was won, and the view does not show it", leader: nil, lease: Scene.lease(),
            touch: false, look: true),
        Session(
            description: "a leader that renews", lease: Scene.lease(heldFor: .seconds(8)), touch: false, look: true),
        Session(
            description: "a leader that renews no more", lease: Scene.lease(heldFor: .seconds(15)), touch: false,
            look: false),
        Session(description: "a leader that has given the key up", touch: false, look: false),
    ]

    @Test(arguments: sessions) func prolongsTheSession(_ row: Session) {
        let timings = ClusterTimings(ttl: .seconds(30), loopWait: .seconds(10), retryTimeout: .seconds(10))
        let view = Scene.view(leader: row.leader)
        let me = NodeIdentity(name: "n1")
        #expect(mayTouchProlong(me, view, lease: row.lease) == row.touch, "\(row)")
        #expect(mayLookProlong(me, view, lease: row.lease, timings, at: Scene.now) == row.look, "\(row)")
    }

    @Test func whatMayAcceptWritesEndsWithTheLease() {
        func ends(_ lease: Lease?, _ writable: Bool = true) -> Duration {
            LeaseArithmetic.breakOffEnds(lease, mayAcceptWrites: writable, at: Scene.now) - Scene.now
        }
        #expect(ends(Scene.lease()) == .seconds(5))
        #expect(ends(Scene.lease(heldFor: .seconds(28))) == .seconds(2))
        #expect(ends(Scene.lease(heldFor: .seconds(40))) == .milliseconds(500))
        #expect(ends(Scene.lease(heldFor: .seconds(28)), false) == .seconds(5))
        #expect(ends(nil) == .seconds(5))
    }

    /// Ttl 30: `haltBy` is 27 s after the renewal, the end of half the margin 28.5 s.
    @Test func aStopHasABound() {
        func due(_ operation: PostgreSQLOperation, _ lease: Lease? = nil) -> Duration? {
            LeaseArithmetic.endIsDue(.postgreSQL(operation), since: Scene.now, lease).map { $0 - Scene.now }
        }
        #expect(due(.stop(.immediate, timeout: .seconds(5))) == .seconds(10))
        #expect(due(.stop(.immediate, timeout: .seconds(5)), Scene.lease()) == .seconds(10))
        #expect(due(.stop(.fast, timeout: .seconds(27)), Scene.lease()) == .milliseconds(28_500))
        // A node that stood still begins late: what it tells PostgreSQL then does not hang from the beginning.
        #expect(due(.stop(.fast, timeout: .seconds(27)), Scene.lease(heldFor: .seconds(40))) == .milliseconds(500))
        // Sessions go on during the checkpoint before it.
        #expect(due(.stop(.fastAfterCheckpoint, timeout: .seconds(30))) == .seconds(155))
        #expect(due(.stop(.byForce, timeout: .seconds(5))) == nil)
        #expect(due(.startStandby(of: nil, timeout: .seconds(5))) == nil)
        #expect(LeaseArithmetic.endIsDue(.releaseLeader, since: Scene.now, nil) == nil)
    }

    @Test func besideAnOperationThatHangsWhatIsStoppedIsEndedByForce() {
        let force = Step.postgreSQL(.stop(.byForce, timeout: .seconds(5)))
        #expect(giveUpKeyPlan().byForce == Plan(.demote, [force, .releaseLeader]))
        let standby = Step.postgreSQL(.startStandby(of: nil, timeout: .seconds(9)))
        let offline = Plan(.demoteOffline, [.postgreSQL(.stop(.fast, timeout: .seconds(7))), standby])
        #expect(offline.byForce == Plan(.demoteOffline, [force, standby]))
    }
}
