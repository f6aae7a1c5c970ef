public import ClusterModel

/// What is done to `/sync` and to PostgreSQL, one thing at a time.
public enum SynchronousStep: Sendable, Hashable {
    /// Write `/sync`, if it has not changed since the view.
    case writeSync(SyncState)
    /// Delete it, under the same condition.
    case deleteSync
    case setNames(SynchronousSetting)
}

/// What the leader does next for its synchronous standbys, and why.
public struct SynchronousPlan: Sendable, Hashable {
    /// Nil where all is as wanted, or something has to be waited for.
    public var step: SynchronousStep?
    public var reasons: [SynchronousReason] = []
    /// Something is under way that a look at PostgreSQL soon will tell more of.
    public var isUnsettled = false

    public init(
        step: SynchronousStep? = nil, reasons: [SynchronousReason] = [], isUnsettled: Bool = false
    ) {
        self.step = step
        self.reasons = reasons
        self.isUnsettled = isUnsettled
    }
}

/// The leader's rule for `/sync` and `synchronous_standby_names` (ha-loop.md §17.2). `handed` is what PostgreSQL was
/// last told to go by, nil where this daemon has told it nothing yet.
public func synchronousRule(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ local: PostgreSQLStatus,
    _ ledger: SynchronousLedger, handed: SynchronousSetting?
) -> SynchronousPlan {
    // Half of what is to be known is not known: what stands is safe.
    guard let facts = local.facts, !facts.inRecovery, !facts.isDetailStale, let synchronous = facts.synchronous else {
        return SynchronousPlan()
    }
    if settings.synchronousMode == .off { return turnedOff(view, handed) }
    let spelling = MemberSpelling(view, me)
    let names = spelling.names(synchronous.inForce)
    let state = SynchronousState(
        leader: spelling.of(view.sync.leader ?? ""), quorum: view.sync.quorum,
        voters: Set(view.sync.voters.map(spelling.of)), number: names.number, standbys: names.names)
    // What stands in the file comes into force at any moment, by a reload of whomever or by a crash. It is covered, or
    // would not have been written; so nothing else is changed before.
    if synchronous.written != synchronous.inForce {
        let setting = writtenAgain(spelling.names(synchronous.written), settings)
        // Where PostgreSQL has read just that, to set it again changes nothing, without end.
        let isOverridden = handed == setting
        var plan = SynchronousPlan(
            step: isOverridden ? nil : .setNames(setting),
            reasons: [
                isOverridden
                    ? .overridden(written: synchronous.written, inForce: synchronous.inForce)
                    : .notInForce(written: synchronous.written)
            ], isUnsettled: true)
        if state.leader == me.name, !state.isCovered { plan.step = step(state.alone(me.name), settings, view) }
        return plan
    }
    let selection = StandbySelection(me, view, settings, facts)
    return plan(me, view, settings, state, names, selection, ledger)
}

/// In strict mode commits wait until somebody is named; "nobody" may have been written while the mode was off. Waiting
/// asks for more, so whatever covered nobody covers it.
private func writtenAgain(_ names: SynchronousNames, _ settings: DynamicConfiguration) -> SynchronousSetting {
    guard names.isEmpty, settings.isStrictlySynchronous else { return .names(names) }
    return .names(.waiting(settings.synchronousMode == .quorum ? .quorum : .priority))
}

/// `/sync` goes first: without it any standby may lead, as is configured then, and until it is gone commits wait.
private func turnedOff(_ view: ClusterView, _ handed: SynchronousSetting?) -> SynchronousPlan {
    if !view.sync.isEmpty { return SynchronousPlan(step: .deleteSync, reasons: [.turnedOff]) }
    return handed == .configured ? SynchronousPlan() : SynchronousPlan(step: .setNames(.configured))
}

private func plan(
    _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ state: SynchronousState,
    _ names: SynchronousNames, _ selection: StandbySelection, _ ledger: SynchronousLedger
) -> SynchronousPlan {
    let confirmed = selection.active.filter(ledger.hasConfirmed)
    let isStrict = settings.isStrictlySynchronous
    let isQuorum = settings.synchronousMode == .quorum
    let wanted = isQuorum ? selection.electors() : selection.picked()
    let next =
        isQuorum
        ? QuorumResolver(state).next(
            .init(
                leader: me.name, active: wanted, confirmed: confirmed, count: settings.synchronousNodeCount,
                isStrict: isStrict))
        : PriorityResolver(state).next(
            .init(
                leader: me.name, picked: wanted, active: selection.active, confirmed: confirmed, isStrict: isStrict))
    var plan = SynchronousPlan(reasons: reasons(state, wanted, confirmed, selection, isStrict: isStrict))
    let shared = sharedZones(view, settings)
    if !shared.isEmpty { plan.reasons.append(.zonesShared(shared)) }
    plan.isUnsettled = next != nil || !wanted.isSubset(of: state.voters) || selection.isAwaitingSomebody
    if let next {
        plan.step = step(next, settings, view)
        return plan
    }
    // The same names in the other mode's words.
    let method: SynchronousNames.Method = isQuorum ? .quorum : .priority
    if !names.isEmpty, names.method != method {
        plan.step = .setNames(.names(SynchronousNames(method, names.number, names.names)))
    } else if view.sync.isEmpty {
        plan.step = step(state.alone(me.name), settings, view)
    }
    return plan
}

private func step(_ step: ResolverStep, _ settings: DynamicConfiguration, _ view: ClusterView) -> SynchronousStep {
    switch step {
    case .writeSync(let leader, let quorum, let voters):
        return .writeSync(SyncState(leader: leader, voters: voters.sorted(), quorum: quorum))
    case .setStandbys(let number, let names):
        let method: SynchronousNames.Method = settings.synchronousMode == .quorum ? .quorum : .priority
        return .setNames(.names(SynchronousNames(method, number, names)))
    }
}

private func reasons(
    _ state: SynchronousState, _ wanted: Set<String>, _ confirmed: Set<String>, _ selection: StandbySelection,
    isStrict: Bool
) -> [SynchronousReason] {
    var reasons: [SynchronousReason] = []
    let gone = state.voters.subtracting(wanted).sorted()
    for name in gone { reasons.append(.leaves(name, selection.obstacles[name])) }
    let known = confirmed.intersection(state.standbys).union(state.voters)
    let waiting = wanted.subtracting(known).sorted()
    if !waiting.isEmpty { reasons.append(.waitsFor(waiting)) }
    if wanted.isEmpty { reasons.append(isStrict ? .nobodyAndStrict : .nobody) }
    return reasons
}

/// Names are compared without regard to case, by PostgreSQL and by peers: each counts as its member spells it.
struct MemberSpelling {
    private var spelled: [String: String] = [:]

    init(_ view: ClusterView, _ me: NodeIdentity) {
        for member in view.members { spelled[member.name.lowercased()] = member.name }
        spelled[me.name.lowercased()] = me.name
    }

    func of(_ name: String) -> String { spelled[name.lowercased()] ?? name }

    /// What cannot be read covers nobody.
    func names(_ text: String) -> SynchronousNames {
        let names = SynchronousNames(text) ?? .nobody
        return SynchronousNames(names.method, names.number, Set(names.names.map(of)))
    }
}

// MARK: - Before a promotion

/// What stands in `/sync` before this node is promoted, and what its PostgreSQL goes by from its first commit on
/// (ha-loop.md §17.7).
public struct SynchronousClaim: Sendable, Hashable {
    /// Nil for no key.
    public var sync: SyncState?
    public var names: SynchronousSetting
    /// A write of before may still be done, and would take back what stands: another one makes an end of it.
    private var isUncertain = false

    /// The names are those that whoever may win by this `/sync` rests on. Patroni writes it after the promotion in
    /// quorum mode; written before, it also ends what a former leader, frozen until now, is still about to write.
    public init(
        _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, isUncertain: Bool = false
    ) {
        defer { self.isUncertain = isUncertain }
        guard settings.synchronousMode != .off else {
            self.init(sync: nil, names: .configured)
            return
        }
        let spelling = MemberSpelling(view, me)
        let sync = view.sync
        let members = Set(([sync.leader ?? me.name] + sync.voters).map(spelling.of))
        let others = members.subtracting([me.name])
        let isQuorum = settings.synchronousMode == .quorum
        let keeps = sync.quorum > 0 || isQuorum && !sync.voters.isEmpty || settings.isStrictlySynchronous
        let method: SynchronousNames.Method = isQuorum ? .quorum : .priority
        let number = others.count - sync.quorum
        guard keeps, !others.isEmpty, number > 0 else {
            self.init(
                sync: SyncState(leader: me.name),
                names: .names(settings.isStrictlySynchronous ? .waiting(method) : .nobody))
            return
        }
        self.init(
            sync: SyncState(leader: me.name, voters: others.sorted(), quorum: sync.quorum),
            names: .names(SynchronousNames(method, number, others)))
    }

    private init(sync: SyncState?, names: SynchronousSetting) {
        self.sync = sync
        self.names = names
    }

    /// Whether `/sync` says so already.
    func stands(in view: ClusterView) -> Bool {
        guard let sync else { return view.sync.isEmpty }
        return !isUncertain && view.sync.leader == sync.leader && view.sync.voters.sorted() == sync.voters
            && view.sync.quorum == sync.quorum
    }
}
