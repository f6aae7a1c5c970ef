public import ClusterModel
public import HighAvailability
import Ports

/// The cycle of one node as a step function: events in, effects out. It holds all that the node knows, waits for
/// nothing, reads no clock and draws no lots, so that a simulated world can run it as the daemon does.
///
/// A cycle is: observe PostgreSQL and load the store, decide, ask what the decision needs, act, keep the keys current,
/// wait. One plan of PostgreSQL operations may run beside the cycles, which renew the lease meanwhile.
public struct CycleMachine: Sendable {
    /// What is fixed when the node starts.
    public struct Setup: Sendable {
        public var scope: String
        public var me: NodeIdentity
        public var addresses: MemberKey.Addresses
        /// The dynamic configuration before the first load: the cached one, else `bootstrap.dcs`.
        public var document: JSONObject
        /// A guardian stands over PostgreSQL: nothing becomes writable without its word.
        public var hasGuardian = false
        /// `guardian.safety_margin`; nil is the margin of `LeaseArithmetic`.
        public var safetyMargin: Duration?
        /// What the guardian of an earlier daemon enforces still: PostgreSQL goes on under it (architecture.md §4).
        public var adoptedLease: Lease?

        public init(scope: String, me: NodeIdentity, addresses: MemberKey.Addresses, document: JSONObject) {
            self.scope = scope
            self.me = me
            self.addresses = addresses
            self.document = document
        }
    }

    /// Where the cycle stands.
    enum Phase: Sendable, Hashable {
        /// Waits for the timer or for a wake-up. Goes to `observing`.
        case idle
        /// Waits for the answers of PostgreSQL and of the store. Goes to `asking`, `acting` or `idle`.
        case observing(local: Bool, store: Bool)
        /// Waits for an answer that a rule asked for. Goes to `asking`, `acting` or `idle`.
        case asking
        /// Waits for the outcome of a write to the store. Goes to `observing` or `idle`.
        case acting
    }

    /// A plan that is being carried out, and where it stands.
    struct Progress: Sendable {
        var number: Int
        var running: RunningPlan
        var step = 0
        /// When the present step began: what was observed before tells nothing of its outcome.
        var stepBegan: BootInstant
        var positions: ShutdownPositions?
        /// PostgreSQL accepted writes when it began, as far as was known.
        var beganWritable: Bool
        /// The new cluster's keys are being written.
        var isPublishing = false
        /// The identifier was sent and no answer came.
        var mayBePublished = false
        var receiptUntil: BootInstant?
        /// What takes over when the step that was broken off returns.
        var successor: Plan?
        /// The command that waits for the plan's end.
        var command: Int?
        /// A start ended before PostgreSQL had replayed everything.
        var isStillStarting = false
    }

    let scope: String
    var me: NodeIdentity
    var addresses: MemberKey.Addresses
    var settings: DynamicConfiguration
    var life = Life.running
    var tenure: Tenure
    /// The checkpoint after a promotion makes the control file show its timeline (postgresql.md §21.8).
    var chores = Chores()
    var commands = Commands()
    var memory = Memory()
    var sight: Sight
    var slotLedger = SlotLedger()
    /// What the log has been told of slots last.
    var toldOfSlots: [SlotReason] = []
    /// What others were last told of PostgreSQL.
    var told: Standing?
    var backOff = BackOff()
    /// What fails, and with which text.
    var complaints: [String: String] = [:]
    /// Of every lease that is won.
    let safetyMargin: Duration?
    var guardian: GuardianLink?
    var phase = Phase.idle
    /// Something happened during the cycle: another follows at once.
    var again = false
    /// The cycle that is under way, or the last one.
    var cycle: Cycle
    var progress: Progress?
    var plans = 0
    var decision: Decision?
    var lastLogged: Decision.Gist?
    var decisions = DecisionLog()
    var nextCycle: BootInstant
    var timer: BootInstant?
    var configurationRevision: Revision?
    /// What the log has been told of as not built yet.
    var toldUnbuilt: [UnbuiltSetting] = []
    /// What stands in the cache beside the data.
    var cachedDocument: JSONObject?
    /// A document that waits for the end of a plan.
    var documentToAdopt: JSONObject?
    /// The addresses that this node has had since the daemon started, the newest last.
    var ownAddresses: [MemberKey.Addresses]
    /// Another node of our name, as the last view showed it.
    var foundNamesake: String?
    /// The other node of our name that the log has told of.
    var knownNamesake: String?
    var initializeRevision: Revision?
    var memberMarks: [String: String] = [:]

    /// Decides what a node does next: `HighAvailability.decide`.
    public typealias Decider = @Sendable (Observation, inout Memory) -> Decision

    /// The rules. Another decider is for the test of the simulation, which must notice rules that are wrong.
    public var decider: Decider = { decide($0, &$1) }
    /// Says what becomes of the slots: `HighAvailability.slotRule`. Another one is for the same test.
    public typealias SlotDecider =
        @Sendable (NodeIdentity, ClusterView, DynamicConfiguration, PostgreSQLStatus, SlotLedger, BootInstant) ->
        SlotPlan

    public var slotDecider: SlotDecider = { slotRule($0, $1, $2, $3, $4, at: $5) }
    /// Whether the cycle looks once more before the key goes. Off for the test of the simulation alone, which must
    /// notice a rule that releases it too early.
    public var looksBeforeRelease = true
    /// Whether lines for the log are made at all. A simulated world that nobody reads needs none.
    public var writesLog = true

    public init(_ setup: Setup, now: BootInstant) {
        scope = setup.scope
        me = setup.me
        addresses = setup.addresses
        ownAddresses = [setup.addresses]
        settings = DynamicConfiguration(document: setup.document) ?? DynamicConfiguration()
        sight = Sight(now: now)
        nextCycle = now
        cycle = Cycle(began: now)
        tenure = Tenure(adopted: setup.adoptedLease)
        safetyMargin = setup.safetyMargin
        if setup.hasGuardian { guardian = GuardianLink(acknowledged: setup.adoptedLease, now: now) }
    }

    /// Takes one event and answers what is to be done. `wallTime` is nanoseconds since the epoch.
    public mutating func step(_ event: CycleEvent, now: BootInstant, wallTime: Int64) -> [CycleEffect] {
        var run = Run(now: now, wallTime: wallTime, writesLog: writesLog)
        let roleBefore = role
        take(event, &run)
        leave(&run)
        goOnWithoutObservation(&run)
        guardLease(&run)
        keepSchedule(&run)
        if life.hasEnded { refuseCommands(&run) }
        tellGuardian(&run)
        arm(&run)
        if run.isNews || role != roleBefore { run.published = snapshot() }
        return run.all
    }

    /// One step's clock and the effects that it gathers. Their order is a safety rule: the guardian knows of the lease
    /// before PostgreSQL may become writable under it, and health checks know of what was lost before it is given away.
    struct Run {
        let now: BootInstant
        let wallTime: Int64
        let writesLog: Bool
        /// What comes before everything else that the step does: orders to the guardian.
        var before: [CycleEffect] = []
        /// Something that others are shown has changed.
        var isNews = false
        /// What is shown of it, once, as it is at the end of the step.
        var published: NodeSnapshot?
        /// An operation was begun after which PostgreSQL may accept writes.
        var opensTheDoor = false
        private var effects: [CycleEffect] = []

        init(now: BootInstant, wallTime: Int64, writesLog: Bool) {
            self.now = now
            self.wallTime = wallTime
            self.writesLog = writesLog
        }

        /// In the order in which they are to be carried out.
        var all: [CycleEffect] { before + (published.map { [.local(.publish($0))] } ?? []) + effects }

        mutating func emit(_ effect: CycleEffect) { effects.append(effect) }
        mutating func log(_ level: CycleEffect.LogLevel, _ text: @autoclosure () -> String) {
            if writesLog { effects.append(.local(.log(level, text()))) }
        }
    }

    private mutating func take(_ event: CycleEvent, _ run: inout Run) {
        if life.hasEnded {
            if case .commanded(let id, _) = event { run.emit(.local(.reply(id, .failed))) }
            return
        }
        switch event {
        case .timer:
            timer = nil
            if isIdle { run.now >= nextCycle ? beginCycle(&run, isRoutine: true) : lookAgain(&run) }
        case .woken: wake(&run)
        case .storeChanged(let change): if matters(change, &run) { wake(&run) }
        case .postmasterExited(let pid):
            // initdb, single-user mode and every planned stop end a server too.
            run.log(progress == nil ? .warning : .debug, "the postmaster \(pid) has ended")
            wake(&run)
        case .store(let answer): take(answer, &run)
        case .node(let answer): take(answer, &run)
        case .peers(.decision, let answers):
            guard phase == .asking else { return }
            cycle.peers = answers
            decideNow(&run)
        case .peers(.receipt(let plan), let answers): receiptAnswered(plan, answers, &run)
        case .guardian(let order, let result): guarded(order, result, &run)
        case .receiptRetry(let plan): askForReceipt(plan, &run)
        case .reloaded(let identity, let addresses):
            me = identity
            self.addresses = addresses
            noteOwn(addresses)
            adopt(settings.document, &run)
            wake(&run)
        case .commanded(let id, let command): commanded(id, command, &run)
        case .shutdownRequested: shutDown(&run)
        case .leaveRequested: life.leave()
        }
    }

    private mutating func take(_ answer: StoreAnswer, _ run: inout Run) {
        switch answer {
        case .loaded(let result): loaded(result, &run)
        case .renewed(let result): renewed(result, &run)
        case .acquired(let result): acquired(result, &run)
        case .released(let result): released(result, &run)
        case .wrote(let purpose, let result): wrote(purpose, result, &run)
        case .touched(let result): touched(result, &run)
        }
    }

    private mutating func take(_ answer: NodeAnswer, _ run: inout Run) {
        switch answer {
        case .observed(let status): observed(status, &run)
        case .felt(let pulse): felt(pulse, &run)
        case .compared(let result): compared(result, &run)
        case .performed(let plan, let result): performed(plan, result, &run)
        case .checkpointed(let result): checkpointed(result, &run)
        case .historyRead(let timeline, let lines, let writtenAt): historyRead(timeline, lines, writtenAt, &run)
        case .configurationAdopted(let result):
            if case .failure(let error) = result { run.log(.error, "adopting the configuration failed: \(error)") }
            wake(&run)
        }
    }

    /// Between two operations, as a daemon that is killed; but no operation is cut off, and no answer is lost.
    private mutating func leave(_ run: inout Run) {
        guard life == .leaving, progress == nil else { return }
        run.log(.info, "the daemon ends; PostgreSQL and its guardian stay")
        life.end()
        run.emit(.local(.exit(code: 0)))
    }

    /// Begins a cycle now, or another one right after the present one.
    mutating func wake(_ run: inout Run) {
        if isIdle {
            beginCycle(&run)
        } else {
            again = true
        }
    }

    /// Asks for the next moment at which something must happen even if no event comes.
    private mutating func arm(_ run: inout Run) {
        if life.hasEnded { return }
        var next = isIdle ? nextCycle : BootInstant(nanoseconds: .max)
        if let lease, local.mayAcceptWrites {
            let stopBy = LeaseArithmetic.stopBy(lease)
            if run.now < stopBy { next = min(next, stopBy) }
        }
        if let end = observationEnd { next = min(next, end) }
        if let look = nextLook { next = min(next, max(look, run.now)) }
        if let due = scheduleDue(run) { next = min(next, due) }
        if let retry = guardian?.retryAt { next = min(next, max(retry, run.now)) }
        if next.nanoseconds == .max || timer == next { return }
        timer = next
        run.emit(.local(.setTimer(next)))
    }

    /// The state as others see it.
    public func snapshot() -> NodeSnapshot {
        var snapshot = NodeSnapshot(
            scope: scope, version: addresses.version, me: me, settings: settings, view: view, viewAt: sight.viewAt,
            storeFailure: storeFailure, storeLastSeen: sight.storeLastSeen, local: local, role: role, lease: lease,
            running: progress?.running, decision: decision, nextCycle: nextCycle)
        snapshot.scheduledRestart = commands.scheduledRestart
        snapshot.guarding = guardian?.facts
        snapshot.decisions = decisions
        return snapshot
    }

    var role: NodeRole { shownRole(local, running: progress?.running.plan, wasPrimary: sight.wasPrimary) }

    var lease: Lease? { tenure.lease }

    var local: PostgreSQLStatus { sight.local }

    var pulse: Pulse? { sight.pulse }

    var view: ClusterView? { sight.view }

    var storeFailure: String? { sight.storeFailure }

    /// Nothing is under way that a cycle waits for.
    var isIdle: Bool { phase == .idle && !life.hasEnded }

    var isLeading: Bool { view?.leaderName == me.name && lease != nil && namesake == nil }
}
