import ClusterModel
import HighAvailability
import Node

/// A node: the machine (nil while its daemon is dead), its PostgreSQL, and what is wrong with it.
struct SimulatedNode {
    var name: String
    var machine: CycleMachine?
    /// Grows with every end of the daemon.
    var incarnation = 0
    /// The session of the daemon's last claim, by which its requests say that they are the leader's.
    var leaderSession: String?
    /// What outlives its daemons of the store that they have known.
    var storeMark: KeptMark?
    var timers = 0
    var postgreSQL = SimulatedPostgreSQL()
    /// What was committed since the last look was committed without a break.
    var wasWriting = false
    var operation: Operation?
    /// What an earlier daemon has begun and nobody has ended.
    var orphan: Operation?
    var records = Records()
    var operations = 0
    var ttl = Duration.seconds(30)
    var replicationDelay = Duration.zero
    /// When its daemon last saw each member's key.
    var sawKey: [String: BootInstant] = [:]
    var wallOffset: Int64 = 0

    // How many faults do each of these to it at present.
    var heldDown = 0
    var frozen = 0
    var suspended = 0
    var hung = 0
    var stalled = 0
    var stalledSince: BootInstant?
    var blocked = 0
    /// Its server is killed, and the kernel lets it go only when it hangs no more.
    var isDoomed = false
    /// Since when it has led without a primary, with operations that do not return.
    var stuckLeaderSince: BootInstant?
    var slow = 0
    var cutFromStore = 0
    var losesAnswers = 0
    var muted = 0
    var repeats = 0
    var compacted = 0
    var failsStarts = 0
    var crashesPromotions = 0
    var failsCopies = 0
    /// What its `pre_promote` does by each fault: whether it hangs rather than says no.
    var refusals: [Bool] = []
    /// When it last did.
    var refusedAt: BootInstant?
    /// Which daemon has asked for its last promotion, and how many have failed in a row.
    var promotedIn = 0
    var failedPromotions = 0
    /// The life of PostgreSQL that was last told to stop, by whichever daemon.
    var stoppedEra: Int?
    /// When a daemon heard that its promotion is refused, and which.
    var refusal: (incarnation: Int, at: BootInstant)?
    /// How many faults keep its guardian from answering.
    var deaf = 0
    /// The last order that its daemon gave, heard or not.
    var standingOrder: GuardOrder?
    /// Until when its daemon waits in vain for the guardian to take the last order; nil where that was taken.
    var unheardUntil: BootInstant?
    var staleness: [Duration] = []
    /// How late its requests come to the store.
    var lateness: [Duration] = []
    /// How long its daemon may wait for a processor.
    var starvation: [Duration] = []
    /// Until then it does.
    var busyUntil = BootInstant(nanoseconds: 0)
    var replicationFaults: [Duration] = []
    var replayFaults: [Duration] = []

    /// Since when its PostgreSQL has owed an answer.
    var silentSince: BootInstant?
    /// Since when it has been the one thing that is wrong, while it leads.
    var hungLeaderSince: BootInstant?

    var isBeingReinitialised = false
    /// It has led a standby cluster, and nobody was promoted since.
    var hasLedStandbys = false

    /// What waits for the end of a freeze, in its order.
    var deferred: [World.Event] = []
    /// Of the daemon that runs.
    var published: PublishedSnapshot?
    /// The lease that the guardian enforces.
    var enforced: Lease?
    var guardianLooksAt: BootInstant?
    /// The cluster is paused by the daemon's last word.
    var isPaused = false
    /// When the node's own view last said that the cluster is paused.
    var pausedUntil: BootInstant?
    /// Since when its daemon has seen the pause that it sees.
    var sawPauseAt: BootInstant?
    /// When its checkpointer last hung; since when, as the one thing that is wrong, while it leads.
    var checkpointerHungAt: BootInstant?
    var uncheckpointedSince: BootInstant?
    /// What its daemon has seen of the leader key.
    var leaderKey = World.SeenKey()
    /// How much it had of what it streamed when it was last looked at, and when a look last found more.
    var inflow: (records: Int, grewAt: BootInstant?)?
    /// When its daemon began.
    var daemonBegan = BootInstant(nanoseconds: 0)
    /// When something was last wrong with its network or its processes.
    var disturbedAt = BootInstant(nanoseconds: 0)
    /// L3: until then its restarted daemon has no reason to touch PostgreSQL.
    var leftAloneUntil: BootInstant?

    init(name: String) { self.name = name }

    var isFrozen: Bool { frozen > 0 || suspended > 0 }
    /// PostgreSQL's processes run and answer.
    var answers: Bool { hung == 0 && suspended == 0 }
}
