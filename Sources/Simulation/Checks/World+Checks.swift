import ClusterModel
import HighAvailability
import Node
import Ports

/// The safety rules of architecture.md §3; S2, S6 and S8 are in World+Synchronous.swift.
extension World {
    mutating func violate(_ rule: Violation.Rule, _ text: String) {
        violations.append(Violation(rule: rule, text: text, at: now - Self.began))
        note("VIOLATION of \(rule.rawValue): \(text)")
    }

    /// After every event: S1, S4, S10.
    mutating func checkAlways() {
        var writable: Int?
        for index in nodes.indices {
            checkLease(index)
            guard nodes[index].commits || hasElder(index) else { continue }
            if let other = writable, !isExcusedByPause(index), !isExcusedByPause(other) {
                violate(.S1, "\(name(other)) and \(name(index)) accept commits at once")
            }
            writable = index
        }
        checkHistory()
    }

    /// S10: lines come, none goes and none changes; but of two timelines of one number one must give way.
    private mutating func checkHistory() {
        guard store.revision != checkedRevision else { return }
        checkedRevision = store.revision
        guard let value = store.keys["history"], value.revision != historyRevision else { return }
        historyRevision = value.revision
        let lines = store.view(now).history.lines
        let isContinued =
            lines.count >= history.count
            && zip(history, lines).allSatisfy { $0.timeline == $1.timeline && $0.position == $1.position }
        // Who has followed another site goes on with its history.
        if !isContinued, coverage.reached[.timelineTwice] == nil, otherSite == nil {
            violate(.S10, "the history went from \(history.count) lines to \(lines.count), and not by growing")
        }
        history = lines
    }

    /// S1 is not promised while the cluster is paused: PostgreSQL goes on without a lease, as its operator wants. Nor
    /// after it where the guardian hung when it was told of the lease: its daemon alone could end PostgreSQL.
    func isExcusedByPause(_ index: Int) -> Bool {
        let node = nodes[index]
        if node.isPaused { return true }
        guard let until = node.pausedUntil else { return false }
        return now - until < .seconds(20) || node.records.hasMissedOrders && node.enforced == nil
    }

    /// S4: who calls itself leader is the one whose key stands in the store.
    private mutating func checkLease(_ index: Int) {
        guard let published = nodes[index].published, published.snapshot.lease?.isValid(at: now) ?? false else {
            return
        }
        let holder = store.leader?.text
        if holder != name(index), let lease = published.snapshot.lease, isOfFormerLife(lease) { return }
        // Another daemon goes on under the promises that an earlier one was given, and the guardian knows.
        let mayBePromised = setup.isFailsafe && holder == nil
        if holder != name(index), !published.leadsByPromises(at: now), !mayBePromised {
            violate(.S4, "\(name(index)) counts its lease as valid while \(holder ?? "nobody") holds the key")
        }
        if published.leadsByPromises(at: now) { checkPromises(index) }
    }

    /// S1 again: the next leader may be a primary at once, so who gives the key away must be none any more.
    mutating func checkRelease(_ index: Int, _ status: JSONObject?) {
        // S3: what was handed over stands in the store before the key is free.
        if let status, store.keys["status"]?.value != .object(status) {
            violate(.S3, "\(name(index)) gives the leader key away, and /status does not say where its WAL ends")
        }
        if isExcusedByPause(index) { return }
        if nodes[index].commits {
            violate(.S1, "\(name(index)) gives the leader key away while it accepts commits")
        }
        if hasElder(index) {
            violate(.S1, "\(name(index)) gives the leader key away while its earlier server accepts commits")
        }
        if nodes[index].postgreSQL.isPromoting {
            violate(.S1, "\(name(index)) gives the leader key away while its promotion may come to an end")
        }
    }

    // MARK: Intentions

    /// S5, S7, L3, pause: what a daemon sets out to do.
    mutating func checkIntention(_ doing: Late, _ index: Int) {
        checkPause(doing, index)
        switch doing {
        case .perform(let operation, _, _): checkIntention(operation, index)
        case .breakOff:
            checkLeftAlone(index, "to break off")
            checkAlarm("to break off", index)
        case .applySlots: break
        case .nameSynchronous(let setting): checkNames(setting, index)
        }
    }

    private mutating func checkIntention(_ operation: PostgreSQLOperation, _ index: Int) {
        switch operation {
        case .promote:
            checkPromotion(index)
            checkOpening(operation, index)
        case .stop, .stopToRestart, .startPrimary, .rewind, .clone:
            checkLeftAlone(index, operation.name)
            checkAlarm(operation.name, index)
            checkFailsafe(index)
        case .bootstrap, .finishBootstrap, .startStandby, .follow, .resumeReplay, .recoverSingleUser,
            .setAsideDataDirectory, .copyLogicalSlots, .prePromote, .restore, .archiveLastSegment:
            break
        case .nameSynchronous(let setting): checkNames(setting, index)
        }
        guard case .startPrimary = operation else { return }
        checkOpening(operation, index)
        if nodes[index].published?.snapshot.view?.failover != nil { coverage.count(.handOverAbandoned) }
    }

    private mutating func checkPromotion(_ index: Int) {
        guard let lease = nodes[index].published?.snapshot.lease, lease.isValid(at: now) else {
            return violate(.S5, "\(name(index)) promotes without a valid lease")
        }
        if store.leader?.text != name(index), !isOfFormerLife(lease) {
            violate(.S5, "\(name(index)) promotes while \(store.leader?.text ?? "nobody") holds the key")
        }
    }

    /// L3: a daemon that comes back to a healthy PostgreSQL leaves it alone.
    mutating func watchInherited(_ index: Int) {
        let server = nodes[index].postgreSQL
        guard server.process == .running, server.isInitialized, nodes[index].answers, !configuration.isPaused,
            !mayFollow
        else { return }
        coverage.count(.inherited)
        let expires = store.leader.flatMap { store.sessions[$0.session]?.expires }
        let leads = store.leader?.text == name(index) && expires.map { $0 > now + .seconds(3) } == true
        let holder = store.leader.flatMap { self.index(of: $0.text) }
        // A whole cascade may have parted from the leader: who streams in it is not healthy.
        let follows =
            isStreaming(index)
            && holder.map { leader in
                server.upstream == wantedSource(of: index, under: leader)
                    && server.log.isBeginning(of: nodes[leader].postgreSQL.log)
            } ?? false
        // A guardian that is about to halt PostgreSQL does so before the daemon has renewed anything.
        let haltsAt = nodes[index].enforced.map(LeaseArithmetic.haltBy)
        let isGuarded = !setup.guardian || haltsAt.map { $0 > now + .seconds(3) } == true
        // What an earlier daemon has told it to do it does: its stop may have been on its way.
        let isHealthy = nodes[index].stoppedEra != server.era && (server.isStandby ? follows : leads && isGuarded)
        let rolls = isRolling
        let isQuiet =
            storeIsDown == 0 && storeDelay == .zero && isStoreFaithful && nodes[index].cutFromStore == 0
            && nodes[index].losesAnswers == 0 && nodes[index].staleness.isEmpty && nodes[index].lateness.isEmpty
            && nodes[index].starvation.isEmpty && nodes[index].deaf == 0 && nodes[index].records.isPlain
            && store.keys["initialize"]?.value == .text(clusterIdentifier)
            && store.failover == nil && !rolls
        // A leader whose disk takes no WAL for a ttl makes way (SilenceArithmetic), whichever daemon sees it.
        let isStalled = nodes[index].stalledSince.map { now - $0 + .seconds(5) >= .seconds(configuration.ttl) } ?? false
        if isHealthy && isQuiet && !isStalled && server.checkpointer == nil {
            nodes[index].leftAloneUntil = now + .seconds(5)
        }
    }

    private mutating func checkLeftAlone(_ index: Int, _ what: String) {
        guard let until = nodes[index].leftAloneUntil, now < until else { return }
        violate(.L3, "\(name(index)) was restarted and now does to a healthy PostgreSQL: \(what)")
    }

    /// S7: nothing is rewound or removed whose timeline has not parted, and not without a source.
    mutating func checkRemoval(_ index: Int, _ source: Upstream, _ operation: PostgreSQLOperation) {
        let mine = nodes[index].postgreSQL
        guard mine.isInitialized, let peer = self.index(of: source.name) else { return }
        let theirs = self[server: peer]
        if mine.log.isBeginning(of: theirs.log) && mine.log.timeline == theirs.log.timeline {
            violate(.S7, "\(name(index)) does \(operation.name) although its log is the beginning of \(source.name)'s")
        }
        // It may have stopped leading a moment ago: then the copy fails, or has all that it has.
        if theirs.isStandby, theirs.process == .running, now - theirs.cameUpAt > .seconds(2) {
            violate(.S7, "\(name(index)) does \(operation.name) from \(source.name), a standby")
        }
    }

    // MARK: Elections

    /// Who may take the key: S3 and S10, when the store gives it.
    mutating func checkElection(_ index: Int) {
        coverage.count(.leaderElected)
        if configuration.isPaused { coverage.count(.pausedWithoutLeader) }
        if setup.nofailover.contains(index), nodes[index].postgreSQL.isStandby {
            return violate(.nofailover, "\(name(index)) takes the key")
        }
        checkRefusal(index)
        receive(index)
        let server = nodes[index].postgreSQL
        guard let published = nodes[index].machine?.snapshot(), let view = published.view, server.process == .running
        else {
            return
        }
        let follows = published.settings.isStandbyCluster
        if checksTimeline, !follows, server.log.timeline < view.timeline {
            let text = "\(name(index)) leads with timeline \(server.log.timeline), the cluster was on \(view.timeline)"
            return violate(.S10, text)
        }
        guard server.isStandby else { return }
        judgeHandOver(to: index)
        if follows { coverage.count(.standbySucceeded) }
        // A manual failover, and nothing else, is above the limits of a race, and only for the node that its operator
        // has named (ha-loop.md §12.3); in a standby cluster, where nothing is lost by it, so is a switchover.
        if let request = view.failover, request.leader == nil || follows, request.candidate == name(index) {
            if handedOver?.candidates.contains(index) == false { handedOver = nil }
            promiseNothing()
            return
        }
        checkRaceBackoff(index, published)
        checkSynchronousElection(index, view, published.settings)
        if published.settings.isPaused, view.failover == nil { return }
        checkLag(index, view, published.settings.maximumLagOnFailover)
        checkPeers(index)
        checkPriority(index, view)
    }

    /// L1: who was refused a promotion leaves the key to the others for a ttl (ha-loop.md §9.2). Half of one is looked
    /// at: ttl may be edited meanwhile. Whom an operator names is asked once more.
    mutating func checkRefusal(_ index: Int) {
        // The request goes with the key that it was about.
        if nodes[index].machine?.snapshot().view?.failover?.candidate == name(index) {
            return nodes[index].refusal = nil
        }
        // So is everybody after another one has led.
        guard let refusal = nodes[index].refusal, refusal.incarnation == nodes[index].incarnation,
            now - refusal.at < nodes[index].ttl / 2, nodes[index].postgreSQL.isStandby
        else { return }
        violate(.L1, "\(name(index)) was refused a promotion, and is to lead again at once")
    }

    /// The candidates had everything when they were given the key: as long as one could have taken it, nobody else may.
    private mutating func judgeHandOver(to index: Int) {
        guard let handed = handedOver, !handed.candidates.isEmpty, !handed.candidates.contains(index) else { return }
        let isCalm = storeDelay == .zero && isStoreFaithful && isUndisturbed(index)
        let couldLead = handed.candidates.contains { other in
            // One that has lost the store cannot lead, and its key may be gone; a request that was lost keeps it for
            // retry_timeout.
            isUndisturbed(other, for: .seconds(13)) && !isCut(index, other) && nodes[other].cutFromStore == 0
                && nodes[other].losesAnswers == 0 && nodes[other].staleness.isEmpty
                && nodes[other].postgreSQL.process == .running && nodes[other].records.isPlain
                && !mayBeHeldBack(other) && !isBlind(other)
        }
        if !isCalm || !couldLead { return handedOver = nil }
        guard let request = nodes[index].machine?.snapshot().view?.failover, request.leader != nil,
            let candidate = request.candidate, let heir = self.index(of: candidate), handed.candidates == [heir]
        else { return }
        // Nobody is told that an outage of the store has ended: the candidate has not had its turn. And whose command
        // has refused a promotion leaves the key to the others for a ttl. Whether anything is lost is judged all the
        // same (`checkLoss`).
        if standsBack(heir) || storeCameBack.map({ now - $0 <= .seconds(13) }) ?? false { return }
        violate(.S3, "\(name(index)) leads by a switchover to \(candidate), who had everything and was there")
    }

    private mutating func checkLag(_ index: Int, _ view: ClusterView, _ allowed: Int64) {
        let position = nodes[index].postgreSQL.position
        let lag = view.status.optime - position
        if lag > allowed {
            violate(
                .S3, "\(name(index)) at \(position) leads, \(lag) bytes behind the last status; allowed are \(allowed)")
        }
    }

    /// Nobody who could be asked was ahead.
    private mutating func checkPeers(_ index: Int) {
        guard storeDelay == .zero, isStoreFaithful, nodes[index].losesAnswers == 0, isUndisturbed(index) else {
            return
        }
        let position = nodes[index].postgreSQL.position
        for other in nodes.indices where other != index && isUndisturbed(other) && !isCut(index, other) {
            let server = nodes[other].postgreSQL
            if isOutsideSync(other) || setup.nofailover.contains(other) { continue }
            // The mode was edited while the others were asked.
            if let snapshot = nodes[index].machine?.snapshot(), let view = snapshot.view,
                snapshot.settings.synchronousMode != .off, !view.sync.isEmpty, !view.sync.includes(name(other))
            {
                continue
            }
            // Nor is one that tells no timeline, or nothing at all.
            if isBlind(other) || nodes[other].records.full > 0 { continue }
            if isOutsideFailsafe(other, store.view(now)) { continue }
            // Who may not lead because of its timeline is not waited for.
            if checksTimeline, server.log.timeline < store.view(now).timeline { continue }
            // Nor who has more on an older timeline than where this one is: that has parted.
            if server.log.timeline < nodes[index].postgreSQL.log.timeline { continue }
            let isAhead =
                server.process == .running && server.isStandby && server.position > position
                && now - max(server.grewAt, server.cameUpAt) > .seconds(6)
            if isAhead, nodes[other].machine != nil, store.keys["members/\(name(other))"] != nil {
                violate(
                    .S3, "\(name(index)) at \(position) leads although \(name(other)) is there with \(server.position)")
            }
        }
    }

    func isUndisturbed(_ index: Int, for time: Duration = .seconds(6)) -> Bool {
        let node = nodes[index]
        return now - node.disturbedAt > time && !node.isFrozen && node.answers && node.heldDown == 0
            && node.lateness.isEmpty && node.starvation.isEmpty
    }

    /// S3: what is lost when a new branch begins here.
    mutating func checkLoss(_ index: Int) {
        checkAcknowledged(index)
        let log = nodes[index].postgreSQL.log
        let kept = log.end(of: presentBranch) ?? 0
        if presentBranch < acknowledged.count, acknowledged[presentBranch] > kept {
            coverage.count(.commitsLost)
            note("\(acknowledged[presentBranch] - kept) acknowledged commits are lost")
        }
        guard let handed = handedOver else { return }
        handedOver = nil
        // Who lets the cluster follow another site gives up what that one lacks.
        if let site = otherSite, log.end(of: site.log.branch) != nil { return }
        if handed.branch == presentBranch, (log.end(of: handed.branch) ?? 0) < handed.end {
            violate(
                .S3,
                "\(name(index)) has \(log.end(of: handed.branch) ?? 0) of \(handed.end) records that were handed over")
        }
    }

    /// S10: no timeline twice, unless nobody could know of the first: its leader was lost before it wrote the history.
    mutating func checkTimelineGrows(_ index: Int, _ timeline: TimelineID) {
        let known = store.view(now).timeline
        // The timelines of who follows are the other site's: nobody compares them with those of its own past.
        if timeline <= lastPromoted, timeline > known || hasFollowed { coverage.count(.timelineTwice) }
        if checksTimeline, !hasFollowed, timeline <= known {
            violate(.S10, "\(name(index)) is promoted to timeline \(timeline) after \(lastPromoted)")
        }
        lastPromoted = max(lastPromoted, timeline)
    }

    /// S9: the store says that it has written, so the condition held.
    mutating func checkWrite(_ key: DCSKey, _ holds: Bool, _ outcome: WriteOutcome, _ index: Int) {
        if outcome == .refused { coverage.count(.compareFailed) }
        if case .written = outcome, !holds {
            violate(.S9, "\(name(index)) wrote /\(key.rawValue), which had changed since it looked")
        }
    }
}
