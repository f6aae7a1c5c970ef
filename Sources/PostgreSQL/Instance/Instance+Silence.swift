import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes

/// What is known of a server that is silent, and its end by force. Nothing here touches the disk.
extension Instance {
    /// What the server owes.
    struct Owed: Sendable, Hashable {
        var unansweredSince: BootInstant?
        var unflushedSince: BootInstant?
    }

    /// A look at the server begins, at `now`; until it has answered, the answer is owed.
    func noteQuestion(at now: BootInstant) {
        remember { $0.owed.unansweredSince = $0.owed.unansweredSince ?? now }
    }

    /// The server has said something, or there is none.
    func noteAnswer() { remember { $0.owed.unansweredSince = nil } }

    /// Since when sessions have waited for WAL to reach the disk and none did; nil for not.
    func noteUnflushed(since: BootInstant?) { remember { $0.owed.unflushedSince = since } }

    /// Which process makes the checkpoints, as the server says.
    func noteCheckpointer(_ pid: Int32?) { remember { $0.checkpointer = pid ?? $0.checkpointer } }

    func checkpointer() -> Int32? { remember { $0.checkpointer } }

    func owed() -> Owed { remember { $0.owed } }

    func door() -> Knock.Door? { remember { $0.door } }

    /// The postmaster as it was last seen, while its pidfd says that it lives.
    func knownPostmaster() -> Int32? {
        guard let pid = remember({ $0.launched }), watch.isWatching(pid), ProcessTable.isAlive(pid) else { return nil }
        return pid
    }

    /// What is known of the server while nothing has been seen of its data directory since the daemon asked first, or
    /// since the last operation ended: a postmaster that is known, by its pid file, by the kernel or by the guardian,
    /// may accept writes, unless it is known to be a standby.
    func unseen(since: BootInstant) -> PostgreSQLStatus {
        let pid = knownPostmaster()
        let path = configuration.dataDirectory
        let (isFirst, isStandby, hasBeenSeen, finish) = remember { memory in
            defer { memory.hasToldUnseen = true }
            let finish = memory.finished.flatMap { $0.pid == pid ? $0.how : nil }
            return (!memory.hasToldUnseen, pid != nil && memory.standby == pid, memory.hasBeenSeen, finish)
        }
        let blind = "\(path) has not answered since \(hasBeenSeen ? "the last operation in it" : "the daemon started")"
        if isFirst {
            let counts = isStandby ? "is a standby" : "counts as one that accepts writes"
            let running = pid.map { "postmaster \($0) \(counts)" } ?? "no postmaster is known"
            log.error("\(blind), its disk hangs: \(running)")
        }
        var status = PostgreSQLStatus(
            dataDirectory: .unseen(blind), state: pid == nil ? .stopped : .starting, postmaster: pid,
            readiness: pid == nil ? .down : .rejecting, hasStandbySignal: isStandby, observedAt: since)
        // One that was killed, and that the kernel keeps, accepts nothing.
        status.finish = finish
        return status
    }

    /// The data directory was seen. A standby stays one until it is promoted, or ends.
    func noteSeen(_ status: PostgreSQLStatus) {
        remember { memory in
            memory.hasBeenSeen = true
            memory.hasToldUnseen = false
            let isStandby = status.hasStandbySignal && status.facts?.inRecovery ?? true
            guard let pid = status.postmaster, isStandby, memory.promoted != pid else {
                memory.standby = nil
                return
            }
            memory.standby = pid
        }
    }

    /// SIGKILL for the server and all its processes; throws where one of them lives still at the end of `timeout`: a
    /// process in the kernel ends when the kernel lets it.
    func endByForce(timeout: Duration) async throws(PostgreSQLError) {
        // What is under way starts nothing any more, whether a postmaster is found now or not.
        remember { $0.halts += 1 }
        try await waitForLaunch(BootClock.now() + timeout / 3)
        guard let pid = await findPostmaster(patience: timeout / 6) else { return }
        remember { $0.state = .stopping }
        log.warning("ending postmaster \(pid) by force")
        let killed = await killTree(pid)
        // A third of the time is for what the kernel may do yet; what it keeps for longer runs no more all the same.
        if await watch.waitForExit(of: pid, deadline: BootClock.now() + timeout / 3) {
            try await endKilled(killed, BootClock.now() + timeout / 3)
        } else {
            if Task.isCancelled { throw .cancelled }
            guard killed.allSatisfy(ProcessTable.isDoomed) else { throw .timedOut("the end of postmaster \(pid)") }
            log.error("postmaster \(pid) is killed, and the kernel does not let it go")
            remember { $0.finished = (pid, .killed) }
        }
        remember { memory in
            memory.state = .stopped
            memory.owed = Owed()
        }
        hasStopped(pid)
        forgetEnded()
    }

    /// The postmaster: as it is known, else as the kernel tells, else as its pid file says, where the disk answers
    /// within `patience`. What is to be signalled waits for no disk.
    func findPostmaster(patience: Duration) async -> Int32? {
        if let known = knownPostmaster() { return known }
        let started = ProcessTable.postmasters(startedOn: [configuration.dataDirectory], programs: serverPrograms)
        if let pid = started.first, ProcessTable.isAlive(pid), watch.watch(pid) { return pid }
        // One thread at most hangs there.
        let isFree = remember { memory in
            defer { memory.isSeeking = true }
            return !memory.isSeeking
        }
        guard isFree else { return nil }
        let answer = FirstAnswer<Int32?>()
        let timeout = Task {
            try? await Task.sleep(for: patience)
            if !Task.isCancelled { answer.give(nil) }
        }
        do throws(SystemError) {
            try NamedThread.start("pg-seek") {
                let found = self.postmaster()?.pid
                self.remember { $0.isSeeking = false }
                timeout.cancel()
                answer.give(found)
            }
        } catch {
            remember { $0.isSeeking = false }
            timeout.cancel()
            return nil
        }
        return await answer.wait()
    }

    /// Until then nobody can say that none runs.
    private func waitForLaunch(_ deadline: BootInstant) async throws(PostgreSQLError) {
        while remember({ $0.isLaunching }) {
            if BootClock.now() >= deadline { throw .timedOut("the start of a postmaster that is under way") }
            if Task.isCancelled { throw .cancelled }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Waits until none of `killed` is left that could do anything yet.
    private func endKilled(_ killed: [Int32], _ deadline: BootInstant) async throws(PostgreSQLError) {
        for pid in killed {
            while ProcessTable.isAlive(pid) {
                if BootClock.now() >= deadline {
                    if ProcessTable.isDoomed(pid) { break }
                    throw .timedOut("the end of server process \(pid)")
                }
                if Task.isCancelled { throw .cancelled }
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}
