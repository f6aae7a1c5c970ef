import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes

extension Operator {
    /// How long a server gets after SIGQUIT before it is killed.
    private static let immediateStopAllowance = Duration.seconds(3)
    /// How long what a postmaster has left behind is waited for: it is killed, and the kernel needs no longer, or keeps
    /// it.
    private static let orphanPatience = Duration.seconds(3)
    /// "No timeout" of a caller must not run over the end of time.
    private static let longest = Duration.seconds(30 * 24 * 3600)

    /// Stops the server; where its WAL ends, if the control file says so. With `heirs` done as soon as that is written.
    /// Without `announce` it is a part of a restart: the state does not tell of it, and nobody asks where the WAL ends.
    func stop(_ mode: StopMode, timeout: Duration, heirs: [String]? = nil, announce: Bool = true)
        async throws(PostgreSQLError) -> OperationResult
    {
        let timeout = min(timeout, Self.longest)
        let running = try postmaster(toStop: mode)
        if let running {
            if mode == .fastAfterCheckpoint { try checkpointBeforeStop(isOptional: heirs == nil) }
            let deadline = BootClock.now() + timeout
            if announce { instance.set(.stopping) }
            do throws(PostgreSQLError) {
                if mode.isClean { try await runBeforeStop(timeout) }
                if let positions = try await end(running, mode, deadline, heirs, isRestart: !announce) {
                    if announce { instance.hasStopped(running) }
                    return .archiving(positions)
                }
            } catch {
                if announce, error != .cancelled { instance.set(.stopFailed) }
                throw error
            }
        } else {
            // A postmaster that was killed leaves backends that go on until they wait for a client, and acknowledge.
            try await instance.endOrphans(deadline: BootClock.now() + Self.orphanPatience, isKillEnough: true)
        }
        if announce { instance.set(.stopped) }
        instance.forgetEnded()
        if announce, let running { instance.hasStopped(running) }
        // What was ended at once has written nothing of where its WAL ends, and its disk may not answer.
        guard announce, mode.isClean || running == nil else { return .shutDown(nil) }
        return .shutDown(await instance.shutdownPositions(deadline: BootClock.now() + .seconds(10)))
    }

    /// Whom the stop is for. What has to end at once is known by its process: its pid file may be on a disk that does
    /// not answer any more.
    private func postmaster(toStop mode: StopMode) throws(PostgreSQLError) -> Int32? {
        if !mode.isClean, let known = instance.knownPostmaster() { return known }
        guard let postmaster = instance.postmaster() else { return nil }
        guard !postmaster.isSingleUser else {
            throw .failed("a single-user server (\(postmaster.pid)) works in the data directory")
        }
        return postmaster.pid
    }

    /// Makes the checkpoint of the shutdown short, while sessions still work: none of this is time without a primary.
    /// Who hands over does not go on without it: nothing is down yet, and the shutdown would not end in time either.
    private func checkpointBeforeStop(isOptional: Bool) throws(PostgreSQLError) {
        guard instance.state != .starting else { return }
        let deadline = BootClock.now() + StopMode.checkpointPatience
        do throws(PostgreSQLError) {
            try instance.connect(statementTimeout: .zero, deadline: deadline).query("CHECKPOINT", deadline: deadline)
        } catch {
            if case .timedOut = error, !isOptional { throw error }
            log.warning("no checkpoint before the stop: \(error)")
        }
    }

    /// Where the WAL ends, of a postmaster that is left to archive; nil where it has ended.
    private func end(
        _ pid: Int32, _ mode: StopMode, _ deadline: BootInstant, _ heirs: [String]?, isRestart: Bool
    ) async throws(PostgreSQLError) -> ShutdownPositions? {
        if mode.isClean {
            switch try await stopFast(pid, deadline, heirs: heirs, isRestart: isRestart) {
            case .ended: return nil
            case .archiving(let positions): return positions
            case .archiverHangs where isRestart:
                log.warning("archive_command goes on when PostgreSQL is up again: it is not waited for")
            case .archiverHangs: instance.giveUpArchiver()
            case .tooLong: log.warning("postmaster \(pid) has not stopped in time; SIGQUIT")
            }
        }
        if try await signalAndWait(SIGQUIT, pid, BootClock.now() + Self.immediateStopAllowance) { return nil }
        log.warning("postmaster \(pid) does not stop; SIGKILL")
        let killed = await instance.killTree(pid)
        if await !instance.watch.waitForExit(of: pid, deadline: BootClock.now() + .seconds(10)) {
            if Task.isCancelled { throw .cancelled }
            guard killed.allSatisfy(ProcessTable.isDoomed) else { throw .timedOut("the end of postmaster \(pid)") }
            // On a disk that hangs, say. It runs no more, and whoever waits for it may go on.
            log.error("postmaster \(pid) is killed, and the kernel does not let it go")
            instance.remember { $0.finished = (pid, .killed) }
            return nil
        }
        try await instance.endOrphans(deadline: BootClock.now() + Self.orphanPatience, isKillEnough: true)
        return nil
    }

    private func signalAndWait(_ signal: Int32, _ pid: Int32, _ deadline: BootInstant) async throws(PostgreSQLError)
        -> Bool
    {
        _ = await instance.launcher.signal(signal, to: pid)
        if await instance.watch.waitForExit(of: pid, deadline: deadline) { return true }
        if Task.isCancelled { throw .cancelled }
        return false
    }
}

extension Instance {
    /// Ends the server whatever else goes on (architecture.md, S4): SIGQUIT, then SIGKILL of the whole tree early
    /// enough for it to be over by `deadline`.
    func halt(deadline: BootInstant) async {
        // One that is being started meanwhile is ended by whoever starts it.
        remember { $0.halts += 1 }
        let time = max(.zero, deadline - BootClock.now())
        guard let pid = await findPostmaster(patience: min(.seconds(1), time / 4)), ProcessTable.isAlive(pid) else {
            return
        }
        remember { $0.state = .stopping }
        log.warning("halting postmaster \(pid)")
        _ = await launcher.signal(SIGQUIT, to: pid)
        let now = BootClock.now()
        // A third of the time is kept for the kill, which the kernel must carry out too.
        let patience = min(now + .seconds(2), now + (deadline - now) * 2 / 3)
        if await !watch.waitForExit(of: pid, deadline: patience) {
            await killTree(pid)
            _ = await watch.waitForExit(of: pid, deadline: max(deadline, BootClock.now() + .milliseconds(100)))
        }
        let isAlive = ProcessTable.isAlive(pid)
        remember { $0.state = isAlive ? .stopFailed : .stopped }
        if !isAlive { hasStopped(pid) }
    }
}
