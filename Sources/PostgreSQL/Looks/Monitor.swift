import ClusterModel
import Logging
import Ports
import Posix

/// Observes on a thread and a connection of its own, so that looking never waits behind an operation.
actor Monitor {
    private let instance: Instance
    private let executor: ThreadExecutor
    private var connection: PostgreSQLConnection?
    private var timeline = ReplayTimeline()
    private var flushed: Flushed?
    private var hasBegun = false
    /// The postmaster that the rest is of, and when it began, where its pid file tells.
    private var known: Int32?
    private var knownStart: Int64?
    /// It has accepted connections.
    private var hasServed = false
    /// Of what is essential, and of each part beside it.
    private var trouble = Trouble()
    private var partTroubles: [StatusQuery.Part: Trouble] = [:]
    /// What the server that runs is known by instead of facts, while it refuses us.
    private var refusal: (text: String, readiness: PostgreSQLStatus.Readiness, lacksConnections: Bool)?
    /// It has said that it is a primary, which it is as long as it runs.
    private var isKnownPrimary = false
    /// How a server that starts comes on.
    private var recovery = RecoveryProgress()
    /// What the parts told last.
    private var detail: StatusQuery.Detail?
    private var control: TimelineID?
    private var synchronous: PostgreSQLStatus.Synchronous?

    private typealias Answer = (readiness: PostgreSQLStatus.Readiness, facts: PostgreSQLStatus.Facts?)

    /// How far WAL has reached the disk, and since when it has not gone further.
    private struct Flushed {
        var position: WALPosition
        var since: BootInstant
        var isWaitedFor = false
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ instance: Instance) throws(SystemError) {
        self.instance = instance
        executor = try ThreadExecutor(name: "pg-monitor")
    }

    func observe(deadline: BootInstant) async -> PostgreSQLStatus {
        let asked = BootClock.now()
        instance.noteQuestion(at: asked)
        begin()
        let directory = instance.dataDirectory
        let hadServed = hasServed
        var postmaster = instance.postmaster()
        noteIdentity(postmaster)
        let found = directory.look()
        var answer = postmaster == nil ? nil : look(deadline)
        if answer?.readiness == .rejecting, instance.postmaster() == nil {
            // It was killed while it was asked; nothing of it was starting.
            (postmaster, answer) = (nil, nil)
            noteIdentity(nil)
        }
        var status = PostgreSQLStatus(
            dataDirectory: found.state, unfinished: found.unfinished, state: .stopped, postmaster: postmaster?.pid,
            observedAt: asked)
        // Removed under a running server, which goes on writing into what it makes again: that is no data directory.
        if postmaster != nil, found.state == .initialized, Files.kind(directory.controlFile) == .missing {
            status.dataDirectory = .inaccessible("\(directory.controlFile) is gone")
        }
        status.finish = postmaster.flatMap { instance.finish(of: $0.pid) }
        if let postmaster, postmaster.isStopping, status.finish == nil, found.state == .initialized {
            status.finish = await instance.finishedBefore(postmaster, deadline: deadline)
        }
        instance.tellArchive(&status)
        if let answer {
            (status.readiness, status.facts) = answer
            status.unobservable = refusal?.text
            status.isFull = isKnownPrimary && refusal?.lacksConnections == true
        } else {
            instance.noteAnswer()
            instance.noteUnflushed(since: nil)
        }
        await readPrograms(&status, deadline)
        status.hasStandbySignal = directory.hasStandbySignal
        status.isUnproven = found.state == .initialized && directory.isUnproven
        status.promotionWasAsked = postmaster != nil && instance.remember { $0.promoted } == postmaster?.pid
        // What pg_rewind needs of the cluster is fixed while it runs, so the last control file tells.
        status.canRewind = instance.remember { memory in
            memory.configuration.usesRewind && (memory.control?.output.controlData?.supportsRewind ?? false)
        }
        instance.configuration.tellRules(&status)
        if postmaster != nil, status.readiness == .accepting { hasServed = true }
        status.state = settle(
            isAlive: postmaster != nil, status.readiness, hasServed: hadServed, isFinishing: status.finish != nil)
        status.pendingRestart = instance.remember { $0.pendingRestart }
        return status
    }

    /// A server that runs already is ours again: its end is watched for from now on.
    private func begin() {
        if !hasBegun { instance.inheritRunning() }
        hasBegun = true
    }

    private func noteIdentity(_ postmaster: PostmasterPidFile?) {
        let start = postmaster?.startTime.map { Int64($0) }
        // A number that is used again is another server's.
        let isAnother = knownStart.flatMap { known in start.map { $0 != known } } ?? false
        guard postmaster?.pid != known || isAnother else { return knownStart = start ?? knownStart }
        instance.forgetFinish(butOf: isAnother ? nil : postmaster?.pid)
        forget(postmaster?.pid)
        knownStart = start
    }

    private func forget(_ pid: Int32?) {
        known = pid
        hasServed = false
        connection = nil
        timeline = ReplayTimeline()
        flushed = nil
        trouble = Trouble()
        refusal = nil
        isKnownPrimary = false
        recovery = RecoveryProgress()
        partTroubles = [:]
        detail = nil
        control = nil
        synchronous = nil
    }

    /// What PostgreSQL's programs tell.
    private func readPrograms(_ status: inout PostgreSQLStatus, _ deadline: BootInstant) async {
        if status.facts != nil { status.installedVersion = await instance.installedVersion(deadline: deadline) }
        if status.dataDirectory == .initialized, instance.state != .creatingReplica {
            await readControl(&status, isDown: status.postmaster == nil, deadline)
            await instance.addUnreplayed(&status, deadline)
            await instance.addCheckpoint(&status, deadline)
        }
    }

    private func readControl(_ status: inout PostgreSQLStatus, isDown: Bool, _ deadline: BootInstant) async {
        if isDown {
            // First: what the rest was seen in is not younger than it.
            let stamp = DataDirectory.stamp(instance.dataDirectory.path)
            let output = await instance.control(deadline: deadline)
            let control = output?.controlData
            status.control = control
            if output == nil { status.controlTrouble = instance.remember { $0.controlTrouble } }
            // Half-way through an operation its files say nothing.
            if instance.remember({ $0.operation == nil }) {
                status.obstacle = instance.dataDirectory.obstacle(output)
            }
            status.systemIdentifier = control?.systemIdentifier
            status.stamp = stamp
            status.walEnd = control.flatMap { control in
                output?.walFiles(in: instance.dataDirectory.path)?.end(from: control.checkpointTimeline)
            }
            status.stamp?.walEnd = status.walEnd
            return
        }
        if status.readiness == .rejecting, status.finish == nil {
            let control = await instance.control(deadline: deadline)
            let hidden = recoveryObstacle(status.postmaster, control)
            status.obstacle = instance.dataDirectory.obstacle(control) ?? hidden
        }
        status.systemIdentifier = instance.remember { $0.systemIdentifier }
        if status.systemIdentifier == nil {
            status.systemIdentifier = await instance.control(deadline: deadline)?.controlData?.systemIdentifier
        }
    }

    /// What the files do not tell any more, but the server goes by.
    private func recoveryObstacle(_ postmaster: Int32?, _ control: ControlDataOutput?) -> PostgreSQLStatus.Obstacle? {
        guard let postmaster else { return nil }
        let directory = instance.dataDirectory
        return recovery.learn(
            RecoveryTitle.of(postmaster), label: directory.labelledFile, control, at: BootClock.now(),
            has: { directory.hasSegment($0) })
    }

    private func settle(
        isAlive: Bool, _ readiness: PostgreSQLStatus.Readiness, hasServed: Bool, isFinishing: Bool
    ) -> PostgreSQLState {
        if isFinishing { return .stopping }
        return instance.remember { memory in
            // Between the stop of a restart and its start PostgreSQL is looked at.
            let isRestarting = memory.restart.map { BootClock.now() < $0.until } ?? false
            memory.state = StateRule.next(
                memory.state, isAlive: isAlive, readiness: readiness, hasServed: hasServed,
                isOperating: memory.operation != nil || isRestarting)
            return memory.state
        }
    }

    /// Tries the connection that is open, and a new one where that is lost.
    private func look(_ deadline: BootInstant) -> Answer {
        guard trouble.isDue(at: BootClock.now()) else {
            // Its answer of a moment ago stands; this look asks nothing, so that nothing is owed.
            instance.noteAnswer()
            return (refusal?.readiness ?? .accepting, nil)
        }
        let hadConnection = connection != nil
        do throws(PostgreSQLError) {
            return (.accepting, try facts(deadline))
        } catch {
            connection = connection?.isUsable == true ? connection : nil
            note(error)
            guard hadConnection, !error.isTimeout else { return verdict(error) }
        }
        // A session that ended tells nothing of the server: it may have been restarted since.
        do throws(PostgreSQLError) {
            return (.accepting, try facts(deadline))
        } catch {
            connection = connection?.isUsable == true ? connection : nil
            note(error)
            return verdict(error)
        }
    }

    /// An error is a word of the server, too, or of the kernel that nobody is there.
    private func note(_ error: PostgreSQLError) {
        if !error.isTimeout, error != .cancelled { instance.noteAnswer() }
    }

    private func verdict(_ error: PostgreSQLError) -> Answer {
        refusal = nil
        switch error {
        case .query("", _) where error.isOfStranger:
            refuse(error, .rejecting)
            return (.rejecting, nil)
        case .query("57P03", _), .query("", _): return (.rejecting, nil)
        case .timedOut, .cancelled:
            // A server that hangs has not turned to starting: what was known of it stays, its facts are unknown.
            return (instance.state == .running ? .accepting : .rejecting, nil)
        case .query(let state, _) where state.hasPrefix("28") && instance.postmaster()?.isStarting == true:
            // It was another server that refused us: ours does not accept connections yet.
            return (.rejecting, nil)
        case .query, .tool, .rewindRefused, .failed:
            refuse(error, .accepting)
            return (.accepting, nil)
        }
    }

    private func refuse(_ error: PostgreSQLError, _ readiness: PostgreSQLStatus.Readiness) {
        let lacksConnections = if case .query("53300", _) = error { true } else { false }
        refusal = ("\(error)", readiness, lacksConnections)
        if trouble.fails("\(error)", at: BootClock.now()) {
            instance.log.warning("cannot observe PostgreSQL: \(error)")
        }
    }

    private func facts(_ deadline: BootInstant) throws(PostgreSQLError) -> PostgreSQLStatus.Facts? {
        let connection = try openConnection(deadline)
        guard var facts = try ask(connection, deadline) else { return nil }
        refusal = nil
        if trouble.ends() { instance.log.info("PostgreSQL is observed again") }
        isKnownPrimary = !facts.inRecovery
        if facts.inRecovery, facts.timeline == nil {
            facts.timeline = timeline.find(replayed: facts.replayedPosition, control, of: known, instance, deadline)
        }
        facts.slots = detail?.slots ?? []
        facts.walSenders = detail?.walSenders ?? []
        facts.isDetailStale = detail == nil || partTroubles[.detail] != nil
        if !facts.inRecovery, partTroubles[.synchronous] == nil, var synchronous {
            synchronous.written = instance.writtenSynchronousNames() ?? synchronous.inForce
            facts.synchronous = synchronous
        }
        if !facts.slots.isEmpty { facts.walSpace = Files.fileSystemSize(instance.dataDirectory.path + "/pg_wal") }
        let ready = instance.remember { $0.copiedSlots.ready }
        for index in facts.slots.indices { facts.slots[index].isReady = ready.contains(facts.slots[index].name) }
        if facts.inRecovery { facts.alteredRecovery = instance.alteredRecovery(connection, deadline) }
        if !instance.remember({ $0.knowsPendingRestart }) { _ = try? instance.comparePending(connection, deadline) }
        noteFlush(facts, connection, deadline)
        return facts
    }

    /// What is essential, and in the same round trip the parts that are due. A part that fails takes those after it
    /// along, which are asked for once more: that costs something only while it fails.
    private func ask(_ connection: PostgreSQLConnection, _ deadline: BootInstant) throws(PostgreSQLError)
        -> PostgreSQLStatus.Facts?
    {
        let version = connection.serverVersion
        let now = BootClock.now()
        var due = StatusQuery.Part.allCases.filter { partTroubles[$0]?.isDue(at: now) ?? true }[...]
        let first = [StatusQuery.essential(version: version)] + statements(of: due, version)
        let answer = try connection.series(first, deadline: deadline)
        instance.noteAnswer()
        take(answer.rows.dropFirst(), answer.failure, &due)
        while !due.isEmpty, connection.isUsable {
            let more = statements(of: due, version)
            do throws(PostgreSQLError) {
                let answer = try connection.series(more, deadline: deadline)
                take(answer.rows[...], answer.failure, &due)
            } catch {
                take([], error, &due)
            }
        }
        if !connection.isUsable { self.connection = nil }
        return answer.rows.first?.first.flatMap { StatusQuery.decode($0, version: version) }
    }

    private func statements(of parts: ArraySlice<StatusQuery.Part>, _ version: Int) -> [String] {
        parts.isEmpty ? [] : [StatusQuery.limit] + parts.map { StatusQuery.statement($0, version: version) }
    }

    /// Takes in what was answered, the limit first, and removes the parts that were answered or failed from `due`.
    private func take(
        _ answers: ArraySlice<[[String?]]>, _ failure: PostgreSQLError?, _ due: inout ArraySlice<StatusQuery.Part>
    ) {
        for rows in answers.dropFirst() {
            guard let part = due.popFirst() else { return }
            switch part {
            case .detail: detail = rows.first.flatMap(StatusQuery.decodeDetail) ?? detail
            case .synchronous:
                synchronous = StatusQuery.decodeSynchronous(rows)
                instance.noteCheckpointer(StatusQuery.decodeCheckpointer(rows))
            case .control: control = rows.first.flatMap(StatusQuery.decodeControl)
            }
            if partTroubles.removeValue(forKey: part) != nil {
                instance.log.info("\(part.name) of PostgreSQL can be read again")
            }
        }
        guard let part = due.popFirst() else { return }
        let error = failure ?? .failed("no answer")
        if partTroubles[part, default: Trouble()].fails("\(error)", at: BootClock.now()) {
            instance.log.warning(
                "cannot read \(part.name) of PostgreSQL, what was known of them last stands: \(error)")
        }
    }

    private func openConnection(_ deadline: BootInstant) throws(PostgreSQLError) -> PostgreSQLConnection {
        if let connection { return connection }
        // A lock that holds up a statement must not cost the connection: while it lasts, no other may be had.
        let fresh = try instance.connect(lockTimeout: StatusQuery.lockTimeout, deadline: deadline)
        connection = fresh
        return fresh
    }

    /// A primary on a disk that hangs answers from memory; but no WAL reaches the disk, and whoever commits waits.
    private func noteFlush(
        _ facts: PostgreSQLStatus.Facts, _ connection: PostgreSQLConnection, _ deadline: BootInstant
    ) {
        let now = BootClock.now()
        guard !facts.inRecovery, var known = flushed, known.position == facts.writePosition else {
            flushed = facts.inRecovery ? nil : Flushed(position: facts.writePosition, since: now)
            return instance.noteUnflushed(since: nil)
        }
        // Nobody need be asked as long as it moves once in a while.
        guard now - known.since >= .seconds(1) || known.isWaitedFor else { return }
        let isWaitedFor = (try? connection.query(StatusQuery.waitsForDisk, deadline: deadline))?.first?.first == "t"
        if !isWaitedFor || !known.isWaitedFor { known.since = now }
        known.isWaitedFor = isWaitedFor
        flushed = known
        instance.noteUnflushed(since: isWaitedFor ? known.since : nil)
    }
}
