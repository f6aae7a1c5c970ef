import ClusterModel
import Logging
import Ports
import Posix

/// Observes on a thread and a connection of its own, so that looking never waits behind an operation.
actor Monitor {
    private let instance: Instance
    private let executor: ThreadExecutor
    private var connection: PostgreSQLConnection?
    private var timeline: CachedTimeline?
    private var flushed: Flushed?
    private var hasBegun = false

    /// How far WAL has reached the disk, and since when it has not gone further.
    private struct Flushed {
        var position: WALPosition
        var since: BootInstant
        var isWaitedFor = false
    }

    /// The timeline of a standby without a receiver, valid as long as nothing that could change it has moved.
    private struct CachedTimeline {
        var replayed: WALPosition
        var control: TimelineID?
        var timeline: TimelineID
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ instance: Instance) throws(SystemError) {
        self.instance = instance
        executor = try ThreadExecutor(name: "pg-monitor")
    }

    func observe(deadline: BootInstant) async -> PostgreSQLStatus {
        let asked = BootClock.now()
        instance.noteQuestion(at: asked)
        if !hasBegun {
            hasBegun = true
            // A server that runs already is ours again: its end is watched for from now on.
            instance.adoptRunning()
        }
        let directory = instance.dataDirectory
        let postmaster = instance.postmaster()
        let found = directory.look()
        var status = PostgreSQLStatus(
            dataDirectory: found.state, unfinished: found.unfinished, state: .stopped, postmaster: postmaster?.pid,
            observedAt: asked)
        // Removed under a running server, which goes on writing into what it makes again: that is no data directory.
        if postmaster != nil, found.state == .initialized, Files.kind(directory.controlFile) == .missing {
            status.dataDirectory = .inaccessible("\(directory.controlFile) is gone")
        }
        status.finish = postmaster.flatMap { instance.finish(of: $0.pid) }
        status.waitingFor = instance.remember { $0.waitingFor }
        if postmaster == nil {
            connection = nil
            timeline = nil
            flushed = nil
            instance.noteAnswer()
            instance.noteUnflushed(since: nil)
        } else {
            (status.readiness, status.facts) = look(deadline)
        }
        if status.dataDirectory == .initialized, instance.state != .creatingReplica {
            await readControl(&status, isDown: postmaster == nil, deadline)
        }
        status.hasStandbySignal = directory.hasStandbySignal
        // What pg_rewind needs of the cluster is fixed while it runs, so the last control file tells.
        status.canRewind = instance.remember { memory in
            memory.configuration.usesRewind && (memory.control?.output.controlData?.supportsRewind ?? false)
        }
        status.mayRemove = instance.configuration.mayRemove
        status.state = settle(isAlive: postmaster != nil, status.readiness, isFinishing: status.finish != nil)
        status.pendingRestart = instance.remember { $0.pendingRestart }
        return status
    }

    private func readControl(_ status: inout PostgreSQLStatus, isDown: Bool, _ deadline: BootInstant) async {
        if isDown {
            let control = await instance.control(deadline: deadline)?.controlData
            status.control = control
            status.systemIdentifier = control?.systemIdentifier
            return
        }
        status.systemIdentifier = instance.remember { $0.systemIdentifier }
        if status.systemIdentifier == nil {
            status.systemIdentifier = await instance.control(deadline: deadline)?.controlData?.systemIdentifier
        }
    }

    private func settle(isAlive: Bool, _ readiness: PostgreSQLStatus.Readiness, isFinishing: Bool) -> PostgreSQLState {
        if isFinishing { return .stopping }
        return instance.remember { memory in
            memory.state = StateRule.next(
                memory.state, isAlive: isAlive, readiness: readiness, isOperating: memory.operation != nil)
            return memory.state
        }
    }

    /// Tries the connection that is open, and a new one where that is lost.
    private func look(_ deadline: BootInstant) -> (PostgreSQLStatus.Readiness, PostgreSQLStatus.Facts?) {
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

    private func verdict(_ error: PostgreSQLError) -> (PostgreSQLStatus.Readiness, PostgreSQLStatus.Facts?) {
        switch error {
        case .query("57P03", _), .query("", _): return (.rejecting, nil)
        case .timedOut, .cancelled:
            // A server that hangs has not turned to starting: what was known of it stays, its facts are unknown.
            return (instance.state == .running ? .accepting : .rejecting, nil)
        case .query(let state, _) where state.hasPrefix("28") && instance.postmaster()?.isStarting == true:
            // It was another server that refused us: ours does not accept connections yet.
            return (.rejecting, nil)
        case .query, .tool, .rewindRefused, .failed:
            instance.log.warning("cannot observe PostgreSQL: \(error)")
            return (.accepting, nil)
        }
    }

    private func facts(_ deadline: BootInstant) throws(PostgreSQLError) -> PostgreSQLStatus.Facts? {
        let connection = try openConnection(deadline)
        let version = connection.serverVersion
        let rows = try connection.query(StatusQuery.statement(version: version), deadline: deadline)
        instance.noteAnswer()
        guard let row = rows.first, let answer = StatusQuery.decode(row, version: version) else { return nil }
        var facts = answer.facts
        if facts.inRecovery, facts.timeline == nil {
            facts.timeline = replayTimeline(facts.replayedPosition, answer.controlTimeline, deadline)
        }
        if !facts.slots.isEmpty { facts.walSpace = Files.fileSystemSize(instance.dataDirectory.path + "/pg_wal") }
        let ready = instance.remember { $0.copiedSlots.ready }
        for index in facts.slots.indices { facts.slots[index].isReady = ready.contains(facts.slots[index].name) }
        if facts.inRecovery { facts.alteredRecovery = alteredRecovery(connection, deadline) }
        if !instance.remember({ $0.knowsPendingRestart }) { _ = try? instance.comparePending(connection, deadline) }
        noteFlush(facts, connection, deadline)
        return facts
    }

    /// The recovery settings in force that are not ours. Until this node was told whom to follow it has none.
    private func alteredRecovery(_ connection: PostgreSQLConnection, _ deadline: BootInstant) -> [String] {
        guard case .known(let upstream) = instance.remember({ $0.upstream }) else { return [] }
        // What cannot be asked counts as unchanged: the question comes again in the next cycle.
        guard
            let rows = try? connection.query(
                RecoveryDrift.statement, [RecoveryDrift.names], deadline: deadline)
        else { return [] }
        let wanted = RecoveryParameters.forStandby(
            of: upstream, instance.configuration, serverVersion: instance.dataDirectory.version)
        return RecoveryDrift.altered(rows, wanted: wanted)
    }

    private func openConnection(_ deadline: BootInstant) throws(PostgreSQLError) -> PostgreSQLConnection {
        if let connection { return connection }
        let fresh = try instance.connect(deadline: deadline)
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

    /// Without a receiver only a walsender knows on which timeline the server replays.
    private func replayTimeline(_ replayed: WALPosition, _ control: TimelineID?, _ deadline: BootInstant)
        -> TimelineID?
    {
        if let timeline, timeline.replayed == replayed, timeline.control == control { return timeline.timeline }
        guard
            let identity = try? ReplicationSession(local: instance, deadline: deadline)
                .identify(deadline: deadline)
        else { return control }
        timeline = CachedTimeline(replayed: replayed, control: control, timeline: identity.timeline)
        return identity.timeline
    }
}

/// What the state becomes by looking (postgresql.md §2). Pure.
enum StateRule {
    static func next(
        _ state: PostgreSQLState, isAlive: Bool, readiness: PostgreSQLStatus.Readiness, isOperating: Bool
    ) -> PostgreSQLState {
        // An operation says itself where it is; but it never leaves `running` standing over a server it is about to
        // stop.
        if isOperating { return state == .running && !isAlive ? .crashed : state }
        if isAlive { return readiness == .accepting ? .running : .starting }
        switch state {
        case .running: return .crashed
        case .starting, .startingAfterCustomBootstrap: return .startFailed
        case .restarting: return .restartFailed
        case .stopping: return .stopped
        case .initializing, .initdbFailed, .customBootstrap, .customBootstrapFailed, .creatingReplica, .startFailed,
            .restartFailed, .stopped, .stopFailed, .crashed:
            return state
        }
    }
}
