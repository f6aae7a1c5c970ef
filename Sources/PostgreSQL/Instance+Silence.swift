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

    func owed() -> Owed { remember { $0.owed } }

    func door() -> Knock.Door? { remember { $0.door } }

    /// The postmaster as it was last seen, while its pidfd says that it lives.
    func knownPostmaster() -> Int32? {
        guard let pid = remember({ $0.launched }), watch.isWatching(pid), ProcessTable.isAlive(pid) else { return nil }
        return pid
    }

    /// What is known of the server while nothing has been seen of its data directory since the daemon asked first: a
    /// postmaster that is known, by its pid file, by the kernel or by the guardian, may accept writes.
    func unseen(since: BootInstant) -> PostgreSQLStatus {
        let pid = knownPostmaster()
        let path = configuration.dataDirectory
        let isFirst = remember { memory in
            defer { memory.hasToldUnseen = true }
            return !memory.hasToldUnseen
        }
        if isFirst {
            let running = pid.map { "postmaster \($0) counts as one that accepts writes" } ?? "no postmaster is known"
            log.error("\(path) has not answered since the daemon started, its disk hangs: \(running)")
        }
        return PostgreSQLStatus(
            dataDirectory: .unseen("\(path) has not answered since the daemon started"),
            state: pid == nil ? .stopped : .starting, postmaster: pid, readiness: pid == nil ? .down : .rejecting,
            observedAt: since)
    }

    /// SIGKILL for the server and all its processes; throws where one of them lives still at the end of `timeout`: a
    /// process in the kernel ends when the kernel lets it.
    func endByForce(timeout: Duration) async throws(PostgreSQLError) {
        guard let pid = knownPostmaster() ?? postmaster()?.pid else { return }
        // What is under way starts nothing any more.
        remember { memory in
            memory.halts += 1
            memory.state = .stopping
        }
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
        forgetEnded()
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
