import ClusterModel
import HighAvailability
import Ports

/// Failsafe mode (ha-loop.md §16): the question to the others and what they grant, the promise to one that asks, and
/// the key `/failsafe`, which says who is asked.
extension CycleMachine {
    // MARK: The leader asks

    mutating func askFailsafe(_ members: [String: String], _ run: inout Run) {
        let timings = settings.timings
        var deadline = run.now + LeaseArithmetic.failsafePatience(timings, ttl: timings.ttl)
        if let lease { deadline = min(deadline, LeaseArithmetic.stopBy(lease)) }
        tenure.failsafe.asks(until: deadline, ttl: timings.ttl)
        schedule.cycle?.failsafeAsked = Set(members.keys)
        let asked = members.sorted { $0.key < $1.key }.map { Member(name: $0.key, apiURL: $0.value) }
        run.emit(.failsafe(ping, to: asked, sent: run.now, deadline: deadline))
    }

    private var ping: FailsafePing {
        FailsafePing(
            name: me.name, connectionURL: identity.addresses.connectionURL, apiURL: identity.addresses.apiURL,
            slots: local.facts.map { publishedSlots(me, $0, settings) }, ttl: settings.timings.ttl)
    }

    /// `sent` is the instant before the question went out: the lease counts from there, whenever the answers came.
    mutating func failsafeAnswered(_ sent: BootInstant, _ answers: [String: FailsafeAnswer], _ run: inout Run) {
        guard stage == .asking, schedule.cycle?.takes(.promises, at: run.now) ?? false,
            let asked = schedule.cycle?.failsafeAsked
        else { return }
        schedule.cycle?.answers.failsafe = answers
        tenure.failsafe.hear(answers)
        if let granted = failsafeLease(
            lease, asked: asked, answers, sent: sent, ttl: settings.timings.ttl, at: run.now)
        {
            if tenure.granted == nil {
                run.log(.warning, "the DCS is away, and all other members let this primary go on: failsafe mode")
            }
            tenure.isGranted(granted, by: asked.sorted())
        }
        run.isNews = true
        decideNow(&run)
    }

    /// When who leads by promises has to ask for the next ones. A store that half answers may let claims fail one after
    /// another meanwhile, and the pause after them grows: it does not outlast the time to ask.
    func promisesDue(_ now: BootInstant) -> BootInstant? {
        guard tenure.granted != nil, let lease, now < LeaseArithmetic.stopBy(lease) else { return nil }
        let due = lease.since + LeaseArithmetic.renewalInterval(settings.timings, safetyMargin: lease.safetyMargin)
        let soon = now + LeaseArithmetic.retryInterval(settings.timings)
        let latest = LeaseArithmetic.askBy(lease, settings.timings)
        return max(due, soon <= latest ? soon : now + .milliseconds(100))
    }

    /// The key is free, and the others' word still holds: nobody can have led since.
    func goesOnWithoutKey(_ view: ClusterView, at now: BootInstant) -> Bool {
        view.isUnlocked && namesake == nil && tenure.granted != nil && lease?.isValid(at: now) == true
    }

    // MARK: A member is asked

    mutating func promised(_ id: Int, _ ping: FailsafePing, _ run: inout Run) {
        // A lease that has ended makes nobody a primary; who has lost the store keeps it, and would refuse for ever.
        let refusal = failsafeRefusal(
            me, local, progress?.running, settings, hasLease: lease?.isValid(at: run.now) ?? false,
            isClaiming: schedule.cycle?.isClaiming ?? false, from: ping.name)
        if let refusal {
            run.log(.warning, "\(ping.name) asks to go on without the DCS, and is refused: \(refusal)")
            return run.emit(.local(.replyFailsafe(id, .refused(refusal))))
        }
        if tenure.failsafe.kept(at: run.now) == nil {
            run.log(.warning, "\(ping.name) goes on without the DCS: this node takes part in no race meanwhile")
        }
        tenure.failsafe.accept(ping, settings, at: run.now)
        run.isNews = true
        run.emit(.local(.replyFailsafe(id, .accepted(local.facts?.position))))
        // Whoever was about to race, or has nobody to follow, has now.
        if view?.isUnlocked == true { wake(&run) }
    }

    /// The cluster as the slots go by it: with what was told over REST, which the store has not heard of. Nil where
    /// nothing is known, or where the store is silent and no failsafe mode stands in for it.
    func slotView(at now: BootInstant) -> ClusterView? {
        guard let view else { return nil }
        if let promise = tenure.failsafe.kept(at: now), settings.failsafeMode { return view.led(by: promise.ping) }
        if tenure.granted != nil { return view.standing(at: tenure.failsafe.positions) }
        return storeFailure == nil ? view : nil
    }

    /// Until when failsafe mode counts as active.
    var failsafeUntil: BootInstant? {
        let own = tenure.granted == nil ? nil : lease?.deadline
        return [own, tenure.failsafe.promise?.until].compactMap(\.self).max()
    }

    // MARK: /failsafe

    /// Every member that can be asked, and this node itself (ha-loop.md §16.2). It is not deleted when the mode is
    /// turned off.
    mutating func keepFailsafe(_ run: inout Run) {
        guard settings.failsafeMode, let view else { return }
        var present = [me.name: identity.addresses.apiURL]
        for member in view.members where member.name != me.name {
            if let url = member.apiURL { present[member.name] = url }
        }
        let wanted = tenure.failsafe.wanted(present, ttl: settings.timings.ttl, at: run.now)
        guard let condition = tenure.failsafe.write(wanted, seen: view) else { return }
        chores.begin(.failsafe)
        let value = JSONObject(wanted.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
        run.emit(
            .store(
                .write(.failsafe, .object(value), .leadingAsSeen(condition), .failsafe),
                deadline: storeDeadline(run.now)))
    }

    mutating func wroteFailsafe(_ result: Result<WriteOutcome, DCSError>, _ run: inout Run) {
        chores.end(.failsafe)
        if case .success(.written(let revision)) = result, lease != nil {
            tenure.failsafe.wrote(at: revision)
            run.log(.info, "/failsafe names \(tenure.failsafe.written.keys.sorted().joined(separator: ", "))")
        }
    }
}
