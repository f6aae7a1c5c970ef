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
        /// There is none, and what is told the lease in its place does nothing but pet the host's watchdog.
        public var hasWatchdogOnly = false
        /// `guardian.safety_margin`; nil is the margin of `LeaseArithmetic`.
        public var safetyMargin: Duration?
        /// What the guardian of an earlier daemon enforces still: PostgreSQL goes on under it (architecture.md §4).
        public var inheritedLease: Lease?
        public var rules = Rules()
        /// Whether lines for the log are made at all. A simulated world that nobody reads needs none.
        public var writesLog = true

        public init(scope: String, me: NodeIdentity, addresses: MemberKey.Addresses, document: JSONObject) {
            self.scope = scope
            self.me = me
            self.addresses = addresses
            self.document = document
        }
    }

    let rules: Rules
    // Boxed is what is large: every part of a step moves the machine about.
    var identity: Identity
    var configuration: AdoptedConfiguration
    var life = Life.running
    @Boxed var sight: Sight
    var tenure: Tenure
    @Boxed var schedule: Schedule
    @Boxed var plans = Plans()
    var chores = Chores()
    var commands = Commands()
    var guardian: GuardianLink?
    @Boxed var memory = Memory()
    @Boxed var told: Told

    public init(_ setup: Setup, now: BootInstant) {
        rules = setup.rules
        identity = Identity(scope: setup.scope, me: setup.me, addresses: setup.addresses)
        configuration = AdoptedConfiguration(document: setup.document)
        let inherited = setup.inheritedLease.flatMap { $0.isOfSession ? $0 : nil }
        sight = Sight(now: now, inheritsLease: inherited != nil)
        tenure = Tenure(
            inherited: inherited, safetyMargin: setup.safetyMargin,
            failsafe: FailsafeStanding(began: now, slip: setup.rules.failsafeSlip))
        schedule = Schedule(now: now)
        told = Told(writesLog: setup.writesLog)
        if inherited == nil { memory.beganWithoutLease = now }
        if setup.hasGuardian || setup.hasWatchdogOnly {
            guardian = GuardianLink(acknowledged: setup.inheritedLease, now: now, isReal: setup.hasGuardian)
        }
        told.role = role
    }

    /// Takes one event and answers what is to be done. `wallTime` is nanoseconds since the epoch.
    public mutating func step(_ event: CycleEvent, now: BootInstant, wallTime: Int64) -> [CycleEffect] {
        var run = Run(now: now, wallTime: wallTime, writesLog: told.writesLog)
        take(event, &run)
        leave(&run)
        goOnWithoutObservation(&run)
        leaveDuty(&run)
        guardLease(&run)
        goOnWithoutOperation(&run)
        keepSchedule(&run)
        if life.hasEnded { refuseCommands(&run) }
        if lease == nil { tenure.failsafe.forgetMembers() }
        tellGuardian(&run)
        arm(&run)
        let role = role
        if run.isNews || role != told.role {
            run.published = .local(.publish(PublishedSnapshot(snapshot(role))))
            told.role = role
        }
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
        var published: CycleEffect?
        /// An operation was begun after which PostgreSQL may accept writes.
        var opensTheDoor = false
        private var effects: [CycleEffect] = []

        init(now: BootInstant, wallTime: Int64, writesLog: Bool) {
            self.now = now
            self.wallTime = wallTime
            self.writesLog = writesLog
        }

        /// In the order in which they are to be carried out.
        var all: [CycleEffect] {
            if before.isEmpty, published == nil { return effects }
            return before + [published].compactMap(\.self) + effects
        }

        mutating func emit(_ effect: CycleEffect) { effects.append(effect) }
        mutating func log(_ level: CycleEffect.LogLevel, _ text: @autoclosure () -> String) {
            if writesLog { effects.append(.local(.log(level, text()))) }
        }
    }

    private mutating func take(_ event: CycleEvent, _ run: inout Run) {
        if life.hasEnded {
            if case .commanded(let id, _) = event { run.emit(.local(.reply(id, .failed))) }
            if case .failsafeAsked(let id, _) = event {
                run.emit(.local(.replyFailsafe(id, .refused("the daemon ends"))))
            }
            return
        }
        switch event {
        case .timer:
            schedule.timerFired()
            if isIdle { run.now >= schedule.next ? beginCycle(&run, isRoutine: true) : lookAgain(&run) }
        case .woken: wake(&run)
        case .storeChanged(let change): if matters(change, &run) { wake(&run) }
        case .postmasterExited(let pid):
            sight.serverEnded(pid)
            // initdb, single-user mode and every planned stop end a server too.
            run.log(progress == nil ? .warning : .debug, "the postmaster \(pid) has ended")
            wake(&run)
        case .store(let answer): heard(answer, &run)
        case .node(let answer): heard(answer, &run)
        case .peers(.decision, let answers):
            guard stage == .asking, schedule.cycle?.takes(.peers, at: run.now) ?? false else { return }
            schedule.cycle?.answers.peers = answers
            decideWhenAnswered(&run)
        case .peers(.start(let plan), let answers): witnessesAnswered(plan, answers, &run)
        case .peers(.receipt(let plan), let answers): receiptAnswered(plan, answers, &run)
        case .failsafe(let sent, let answers): failsafeAnswered(sent, answers, &run)
        case .failsafeAsked(let id, let ping): promised(id, ping, &run)
        case .guardian(let order, let result): guarded(order, result, &run)
        case .receiptRetry(let plan): askForReceipt(plan, &run)
        case .reloaded(let identity, let addresses):
            self.identity.reload(identity, addresses)
            adopt(settings.document, &run)
            wake(&run)
        case .commanded(let id, let command): commanded(id, command, &run)
        case .shutdownRequested: shutDown(&run)
        case .leaveRequested:
            life.leave()
            if let progress { run.log(.info, "the daemon ends as soon as this is done: \(progress.kind.name)") }
        }
    }

    private mutating func heard(_ answer: StoreAnswer, _ run: inout Run) {
        switch answer {
        case .loaded(let result): loaded(result, &run)
        case .renewed(let result): renewed(result, &run)
        case .acquired(let result): acquired(result, &run)
        case .released(let result): released(result, &run)
        case .wrote(let purpose, let result): wrote(purpose, result, &run)
        case .touched(let result): touched(result, &run)
        }
    }

    private mutating func heard(_ answer: NodeAnswer, _ run: inout Run) {
        switch answer {
        case .observed(let status): observed(status, &run)
        case .felt(let pulse): felt(pulse, &run)
        case .compared(let result): compared(result, &run)
        case .performed(let plan, let result): performed(plan, result, &run)
        case .checkpointed(let result): checkpointed(result, &run)
        case .historyRead(let timeline, let lines, let writtenAt): historyRead(timeline, lines, writtenAt, &run)
        case .synchronousNamed(let setting, let result): named(setting, result, &run)
        case .configurationAdopted(let result):
            if case .failure(let error) = result { run.log(.error, "adopting the configuration failed: \(error)") }
            wake(&run)
        }
    }

    /// Begins a cycle now, or another one right after the present one.
    mutating func wake(_ run: inout Run) {
        if isIdle {
            beginCycle(&run)
        } else {
            schedule.cycle?.again = true
        }
    }

    /// Asks for the next moment at which something must happen even if no event comes.
    private mutating func arm(_ run: inout Run) {
        if life.hasEnded { return }
        var next = isIdle ? schedule.next : BootInstant(nanoseconds: .max)
        if let lease, mayBeWritable {
            let stopBy = LeaseArithmetic.stopBy(lease)
            if run.now < stopBy { next = min(next, stopBy) }
        }
        if let end = operationEnd { next = min(next, max(end, run.now)) }
        if let end = observationEnd { next = min(next, end) }
        if let look = nextLook { next = min(next, max(look, run.now)) }
        if let end = dutyEnds { next = min(next, max(end, run.now)) }
        if let due = scheduleDue(run) { next = min(next, due) }
        if let retry = guardianRetry { next = min(next, max(retry, run.now)) }
        if let due = unledRenewal { next = min(next, max(due, run.now)) }
        if next.nanoseconds == .max || !schedule.setsTimer(to: next) { return }
        run.emit(.local(.setTimer(next)))
    }

    /// The state as others see it.
    public func snapshot() -> NodeSnapshot { snapshot(role) }

    private func snapshot(_ role: NodeRole) -> NodeSnapshot {
        NodeSnapshot(
            scope: identity.scope, version: identity.addresses.version, me: shownIdentity,
            settings: configuration.$settings, view: sight.$view, viewAt: sight.viewAt,
            storeFailure: storeFailure, storeLastSeen: sight.storeLastSeen, local: sight.$local, role: role,
            lease: lease, running: progress?.running, decision: told.decision, decisions: told.decisions,
            scheduledRestart: commands.scheduledRestart, guarding: guardian.flatMap { $0.isReal ? $0.facts : nil },
            failsafeUntil: failsafeUntil, keptBack: KeptBack(memory, tenure.failsafe.facts(granted: nil)),
            nextCycle: schedule.next)
    }

    /// Whether it has seen the cluster in the store.
    public var hasView: Bool { view != nil }

    /// The leader that it has seen there last; nil where there is none.
    public var seenLeader: String? { view?.leaderName }

    var role: NodeRole {
        shownRole(
            local, running: progress?.running.plan, wasPrimary: sight.wasPrimary,
            leadsStandbys: settings.isStandbyCluster && isLeading)
    }

    var me: NodeIdentity { identity.me }

    // Lent, not copied.
    var settings: DynamicConfiguration { _read { yield configuration.$settings.wrappedValue } }

    var lease: Lease? { tenure.lease }

    var local: PostgreSQLStatus { _read { yield sight.$local.wrappedValue } }

    var pulse: Pulse? { sight.pulse }

    var view: ClusterView? { _read { yield sight.$view.wrappedValue } }

    var storeFailure: String? { sight.storeFailure }

    /// Where the cycle stands that runs.
    var stage: Cycle.Stage? { schedule.cycle?.stage }

    /// Nothing is under way that a cycle waits for.
    var isIdle: Bool { schedule.cycle == nil && !life.hasEnded }

    /// Where another node of our name is.
    var namesake: String? {
        identity.namesake(local, hasGuardian: guardian?.isReal == true, hasHeldKey: tenure.hasHeld)
    }

    var isLeading: Bool { lease != nil && view?.leaderName == me.name && namesake == nil }
}
