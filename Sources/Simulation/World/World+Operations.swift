import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    // MARK: Begin

    mutating func perform(_ operation: PostgreSQLOperation, _ plan: Int, _ index: Int, _ incarnation: Int) {
        nodes[index].operations += 1
        nodes[index].operation = .init(
            number: nodes[index].operations, plan: plan, incarnation: incarnation, operation: operation)
        if nodes[index].blocked > 0, !operation.asksNoDisk {
            nodes[index].operation?.failed = true
            return finish(after: 1...20, index)
        }
        takeLock(operation, index)
        switch operation {
        case .bootstrap: beginBootstrap(index)
        case .finishBootstrap: finish(after: 1...10, index)
        case .restore:
            let fails = nodes[index].failsCopies > 0
            nodes[index].operation?.failed = fails
            nodes[index].postgreSQL.isHalfMade = !fails
            finish(after: 1000...8000, index)
        case .clone(let source, let replaced, _): beginClone(from: source, replaced, operation, index)
        case .startPrimary(let timeout, _): start(asStandby: false, of: nil, timeout, index)
        case .startStandby(let upstream, let timeout):
            start(asStandby: true, of: upstream.flatMap { self.index(of: $0.name) }, timeout, index)
        case .follow, .resumeReplay: finish(after: 1...100, index)
        case .nameSynchronous(let setting):
            nameAtOnce(setting, index)
            finish(after: 1...20, index)
        case .prePromote: askBeforePromotion(index)
        case .promote: promote(index)
        case .stop(let mode, let timeout, _): stop(mode, timeout, index)
        case .stopToRestart(let timeout): stop(.fastAfterCheckpoint, timeout, index)
        case .rewind(let source): beginRewind(source, index)
        case .recoverSingleUser, .copyLogicalSlots: finish(after: 200...3000, index)
        case .archiveLastSegment: finish(after: 1...10, index)
        case .setAsideDataDirectory: setAside(index)
        }
    }

    mutating func finish(after range: ClosedRange<Int>, _ index: Int) {
        let at = now + generator.milliseconds(in: range) + burden(index)
        queue.add(.finish(node: index, operation: nodes[index].operations), at: at)
    }

    /// How much longer everything takes on a bad disk.
    private mutating func burden(_ index: Int) -> Duration {
        let slow = nodes[index].slow > 0 ? generator.milliseconds(in: 0...30_000) : .zero
        return nodes[index].stalled > 0 ? slow + generator.milliseconds(in: 1000...15_000) : slow
    }

    private mutating func start(asStandby: Bool, of upstream: Int?, _ timeout: Duration, _ index: Int) {
        checkMark(index)
        guard nodes[index].postgreSQL.process == .down, nodes[index].postgreSQL.isInitialized else {
            return refuseStart(index)
        }
        pids += 1
        nodes[index].postgreSQL.pid = pids
        nodes[index].isDoomed = false
        nodes[index].postgreSQL.process = .starting
        nodes[index].postgreSQL.isStandby = asStandby
        if asStandby { nodes[index].postgreSQL.written = .nobody }
        nodes[index].postgreSQL.upstream = upstream
        nodes[index].hung = 0
        hearBeforeLaunch(index, asStandby: asStandby)
        let hasParted = refusesParted(index, upstream)
        if hasParted { coverage.count(.partedRefused) }
        if nodes[index].failsStarts > 0 || hasParted || killsRewound(index) {
            let at = now + generator.milliseconds(in: 50...3000)
            return queue.add(.startFailed(node: index, era: nodes[index].postgreSQL.era), at: at)
        }
        let range = generator.oneIn(12) ? 1000...40_000 : 100...2000
        let took = generator.milliseconds(in: range) + burden(index)
        queue.add(.up(node: index, era: nodes[index].postgreSQL.era), at: now + took)
        queue.add(
            .finish(node: index, operation: nodes[index].operations),
            at: now + min(took, max(timeout, .seconds(1))) + .milliseconds(1))
    }

    private mutating func promote(_ index: Int) {
        // Nobody is promoted before the guardian knows of the lease (docs/guardian.md).
        if let until = nodes[index].unheardUntil {
            nodes[index].operation?.failed = true
            let wait = max(1, Int((until - now).nanoseconds / 1_000_000))
            return finish(after: wait...wait, index)
        }
        guard nodes[index].postgreSQL.process == .running, nodes[index].postgreSQL.isStandby else {
            return finish(after: 1...20, index)
        }
        nodes[index].postgreSQL.isPromoting = true
        nodes[index].promotedIn = nodes[index].incarnation
        if failsPromotion(index) { return }
        // What was received is replayed first.
        let replay = Self.commitInterval * unreplayed(index)
        let took = generator.milliseconds(in: generator.oneIn(10) ? 200...8000 : 50...500) + burden(index) + replay
        queue.add(.promoted(node: index, era: nodes[index].postgreSQL.era), at: now + took)
        queue.add(.finish(node: index, operation: nodes[index].operations), at: now + took + .milliseconds(1))
    }

    private mutating func stop(_ mode: StopMode, _ timeout: Duration, _ index: Int) {
        if !mode.isClean || nodes[index].postgreSQL.process == .down {
            if nodes[index].postgreSQL.acceptsWrites { coverage.count(.demotedAtOnce) }
            if mode == .byForce, nodes[index].hung > 0, generator.oneIn(3) {
                // In the kernel, on a dead disk: it ends when that lets it.
                nodes[index].isDoomed = true
                nodes[index].operation?.failed = true
                return finish(after: 5000...5000, index)
            }
            if mode == .byForce { coverage.count(.hungEnded) }
            if nodes[index].postgreSQL.process != .down { crash(index) }
            return finish(after: 1...20, index)
        }
        if nodes[index].machine?.snapshot().running?.plan.kind == .demoteOffline { coverage.count(.demotedOffline) }
        nodes[index].stoppedEra = nodes[index].postgreSQL.era
        nodes[index].records.stopBegan = now
        // A checkpoint first, while sessions still work.
        let range = mode == .fastAfterCheckpoint ? 10...1500 : 1...50
        let at = now + generator.milliseconds(in: range) + (mode == .fastAfterCheckpoint ? burden(index) : .zero)
        queue.add(
            .drain(node: index, era: nodes[index].postgreSQL.era, until: now + timeout), at: min(at, now + timeout))
    }

    // MARK: Stages

    /// A server has replayed what it must and accepts connections.
    mutating func comeUp(_ index: Int, _ era: Int) {
        guard nodes[index].postgreSQL.era == era, nodes[index].postgreSQL.process == .starting else { return }
        nodes[index].postgreSQL.process = .running
        nodes[index].postgreSQL.readNames()
        nodes[index].postgreSQL.cameUpAt = now
        guard !nodes[index].postgreSQL.isStandby else { return }
        beginWriting(index)
        coverage.count(.crashRestart)
        note("\(name(index)): PostgreSQL is up and accepts writes")
        enforce(index)
    }

    /// A primary goes on with its branch, or begins another where somebody else has written meanwhile.
    private mutating func beginWriting(_ index: Int) {
        let log = nodes[index].postgreSQL.log
        if writers[log.branch] != index {
            nodes[index].postgreSQL.log.begin(branch: newBranch(index), timeline: log.timeline)
        }
        nodes[index].postgreSQL.log.append(1)
        nodes[index].postgreSQL.wroteUntil = now
        presentBranch = nodes[index].postgreSQL.log.branch
    }

    mutating func newBranch(_ index: Int) -> Int {
        if writers.isEmpty {
            writers = [-1]
            acknowledged = [0]
            promised = [0]
        }
        writers.append(index)
        acknowledged.append(0)
        promised.append(0)
        return writers.count - 1
    }

    mutating func finishPromotion(_ index: Int, _ era: Int) {
        guard nodes[index].postgreSQL.era == era, nodes[index].postgreSQL.isPromoting else { return }
        nodes[index].failedPromotions = 0
        receive(index)
        checkLoss(index)
        nodes[index].postgreSQL.promote(branch: newBranch(index), now)
        if setup.tempers.checkpointsLate { nodes[index].postgreSQL.owesCheckpointUntil = now + .seconds(3600) }
        presentBranch = nodes[index].postgreSQL.log.branch
        let timeline = nodes[index].postgreSQL.log.timeline
        note("\(name(index)): PostgreSQL was promoted to timeline \(timeline)")
        checkTimelineGrows(index, timeline)
        coverage.count(.failover)
        notePromotionOfFollowers(index)
        if nodes.indices.contains(where: { $0 != index && nodes[$0].cutFromStore > 0 }) {
            coverage.count(.failoverUnderPartition)
        }
        enforce(index)
    }

    /// A fast stop: no session any more, the rest of the WAL goes to the standbys that stream, for a while.
    mutating func drain(_ index: Int, _ era: Int, _ until: BootInstant) {
        guard nodes[index].postgreSQL.era == era, nodes[index].postgreSQL.process != .down else { return }
        if nodes[index].answers, nodes[index].postgreSQL.process != .stopping {
            if nodes[index].postgreSQL.acceptsWrites {
                nodes[index].postgreSQL.log.append(1)
                nodes[index].postgreSQL.wroteUntil = now
            }
            nodes[index].postgreSQL.process = .stopping
        }
        for other in nodes.indices where nodes[other].postgreSQL.upstream == index { receive(other) }
        let isDone =
            nodes[index].postgreSQL.process == .stopping && nodes[index].stalled == 0
            && nodes[index].answers && nodes[index].postgreSQL.checkpointer == nil && !hasReaderBehind(index)
        if isDone {
            nodes[index].postgreSQL.endCleanly()
        } else if now >= until {
            checkPatience(index)
            crash(index)
        } else {
            let next = min(now + generator.milliseconds(in: 10...40), until)
            return queue.add(.drain(node: index, era: era, until: until), at: next)
        }
        if now >= until, !nodes[index].postgreSQL.isStandby { coverage.count(.lostWhileStopping) }
        if nodes[index].operation?.operation.isStop ?? false {
            queue.add(
                .finish(node: index, operation: nodes[index].operations), at: now + generator.milliseconds(in: 1...20))
        }
    }

    private func hasReaderBehind(_ index: Int) -> Bool {
        nodes.indices.contains { other in
            source(of: other) == index && nodes[other].postgreSQL.log.count < nodes[index].postgreSQL.log.count
                && nodes[other].postgreSQL.log.isBeginning(of: nodes[index].postgreSQL.log)
        }
    }

    // MARK: End

    /// PostgreSQL is killed; what was being done to it returns soon.
    mutating func crash(_ index: Int) {
        nodes[index].postgreSQL.crash()
        nodes[index].hung = 0
        nodes[index].isDoomed = false
        cancelOperation(index)
    }

    mutating func cancelOperation(_ index: Int) {
        guard let operation = nodes[index].operation else { return }
        switch operation.operation {
        case .bootstrap, .finishBootstrap, .startPrimary, .startStandby, .follow, .resumeReplay, .promote,
            .clone, .restore, .rewind, .recoverSingleUser, .copyLogicalSlots, .nameSynchronous, .prePromote:
            nodes[index].operation?.failed = true
        case .stop, .stopToRestart, .setAsideDataDirectory, .archiveLastSegment: break
        }
        queue.add(.finish(node: index, operation: operation.number), at: now + generator.milliseconds(in: 1...20))
    }

    mutating func finish(_ index: Int, _ number: Int) {
        if nodes[index].orphan?.number == number, nodes[index].blocked == 0 { nodes[index].orphan = nil }
        guard let operation = nodes[index].operation, operation.number == number else { return }
        if nodes[index].blocked > 0, !operation.operation.asksNoDisk {
            return queue.add(.finish(node: index, operation: number), at: now + .milliseconds(500))
        }
        nodes[index].operation = nil
        // What its daemon was doing itself has died with it.
        if operation.incarnation != nodes[index].incarnation { return }
        // A command that is ended for lack of a lease has refused nothing: it may say yes when there is one again, and
        // one that hangs has its time then.
        if operation.failed, !operation.isBrokenOff, case .prePromote = operation.operation,
            nodes[index].machine?.snapshot().running?.plan.kind == .promote
        {
            nodes[index].refusal = (operation.incarnation, now)
        }
        let result: Result<OperationResult, PostgreSQLError> =
            operation.failed
            ? .failure(.failed("PostgreSQL was killed meanwhile")) : result(of: operation.operation, index)
        reply(.node(.performed(plan: operation.plan, result)), to: index, operation.incarnation, after: 0...2)
    }

    private mutating func result(
        of operation: PostgreSQLOperation, _ index: Int
    ) -> Result<OperationResult, PostgreSQLError> {
        let server = nodes[index].postgreSQL
        switch operation {
        case .bootstrap:
            nodes[index].postgreSQL.initialize(branch: newBranch(index))
            planCut(isAtEnd: true, index)
            isBootstrapped(index)
        case .finishBootstrap:
            nodes[index].postgreSQL.unfinished = nil
            nodes[index].records.isCutOff = false
        case .clone(let source, _, _): return clone(source, index)
        case .restore: return restore(index)
        case .startPrimary, .startStandby:
            switch server.process {
            case .running: break
            case .starting, .stopping: return .success(.stillStarting)
            case .down: return .failure(.failed("PostgreSQL did not start"))
            }
        case .follow(let upstream):
            // A reload; one that starts takes it, too.
            guard server.process == .running || server.process == .starting else {
                return .failure(.failed("not running"))
            }
            nodes[index].postgreSQL.upstream = upstream.flatMap { self.index(of: $0.name) }
        case .promote:
            guard server.acceptsWrites else { return .failure(.failed("PostgreSQL was not promoted")) }
        case .stop: return .success(.shutDown(shutdownPositions(index)))
        case .stopToRestart, .resumeReplay, .prePromote, .archiveLastSegment: break
        case .nameSynchronous: guard server.process == .running else { return .failure(.failed("not running")) }
        // Worlds have no logical slots.
        case .copyLogicalSlots: return .failure(.failed("there is no logical slot"))
        case .rewind(let source): return rewind(source, index)
        case .recoverSingleUser:
            guard server.isInitialized, server.log.count > 0 else { return .failure(.failed("no data directory")) }
            checkRecovery(index)
            nodes[index].postgreSQL.log.append(1)
            nodes[index].postgreSQL.control = .shutDown
            coverage.count(.singleUserRecovery)
        case .setAsideDataDirectory:
            nodes[index].postgreSQL.isInitialized = false
            nodes[index].postgreSQL.unfinished = nil
            nodes[index].records.isCutOff = false
        }
        return .success(.done)
    }

    private mutating func isBootstrapped(_ index: Int) {
        pids += 1
        nodes[index].postgreSQL.pid = pids
        nodes[index].postgreSQL.process = .running
        hearBeforeLaunch(index, asStandby: false)
        nodes[index].postgreSQL.wroteUntil = now
        presentBranch = nodes[index].postgreSQL.log.branch
    }
}

extension PostgreSQLOperation {
    fileprivate var asksNoDisk: Bool { if case .stop(.byForce, _, _) = self { true } else { false } }

    fileprivate var isStop: Bool {
        switch self {
        case .stop, .stopToRestart: true
        case .bootstrap, .finishBootstrap, .clone, .startPrimary, .startStandby, .follow, .resumeReplay,
            .nameSynchronous, .prePromote, .promote, .rewind, .recoverSingleUser, .setAsideDataDirectory,
            .copyLogicalSlots, .restore, .archiveLastSegment:
            false
        }
    }
}
