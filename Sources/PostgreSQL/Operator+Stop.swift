import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// How long a server gets after SIGQUIT before it is killed.
    private static let immediateStopAllowance = Duration.seconds(3)
    /// "No timeout" of a caller must not run over the end of time.
    private static let longest = Duration.seconds(30 * 24 * 3600)

    /// Stops the server; where its WAL ends, if the control file says so. Without `announce` it is a part of a restart:
    /// the state does not tell of it, and nobody asks where the WAL ends.
    func stop(_ mode: StopMode, timeout: Duration, announce: Bool = true) async throws(PostgreSQLError)
        -> ShutdownPositions?
    {
        let timeout = min(timeout, Self.longest)
        let deadline = BootClock.now() + timeout
        if let postmaster = instance.postmaster() {
            guard !postmaster.isSingleUser else {
                throw .failed("a single-user server (\(postmaster.pid)) works in the data directory")
            }
            if mode == .fastAfterCheckpoint { checkpointBeforeStop(timeout) }
            if announce { instance.set(.stopping) }
            do throws(PostgreSQLError) {
                try await end(postmaster.pid, mode, deadline)
            } catch {
                if announce, error != .cancelled { instance.set(.stopFailed) }
                throw error
            }
        }
        if announce { instance.set(.stopped) }
        instance.remember { $0.launched = nil }
        return announce ? await instance.shutdownPositions(deadline: BootClock.now() + .seconds(10)) : nil
    }

    /// Makes the checkpoint of the shutdown short, while sessions still work. Half of the time may go into it.
    private func checkpointBeforeStop(_ timeout: Duration) {
        guard instance.state != .starting else { return }
        let deadline = BootClock.now() + timeout / 2
        do throws(PostgreSQLError) {
            try instance.connect(statementTimeout: .zero, deadline: deadline).query("CHECKPOINT", deadline: deadline)
        } catch {
            log.warning("no checkpoint before the stop: \(error)")
        }
    }

    private func end(_ pid: Int32, _ mode: StopMode, _ deadline: BootInstant) async throws(PostgreSQLError) {
        if mode != .immediate {
            if try await signalAndWait(SIGINT, pid, deadline) { return }
            log.warning("postmaster \(pid) has not stopped in time; SIGQUIT")
        }
        if try await signalAndWait(SIGQUIT, pid, BootClock.now() + Self.immediateStopAllowance) { return }
        log.warning("postmaster \(pid) does not stop; SIGKILL")
        await instance.killTree(pid)
        guard await instance.watch.waitForExit(of: pid, deadline: BootClock.now() + .seconds(10)) else {
            throw Task.isCancelled ? .cancelled : .timedOut("the end of postmaster \(pid)")
        }
        try await instance.endOrphans(deadline: BootClock.now() + .seconds(10))
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
        let pid = remember { memory in
            memory.halts += 1
            return memory.launched
        }
        guard let pid = postmaster()?.pid ?? pid, ProcessTable.isAlive(pid) else { return }
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
        remember { $0.state = ProcessTable.isAlive(pid) ? .stopFailed : .stopped }
    }
}
