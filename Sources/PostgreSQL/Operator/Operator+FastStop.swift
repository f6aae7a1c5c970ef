import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes

/// A clean stop, watched: what it waits for is told, who holds it up is ended, and its last record is noticed.
extension Operator {
    /// How a clean stop went.
    enum FastStop {
        case ended
        /// The WAL ends there, and the postmaster is still there.
        case archiving(ShutdownPositions)
        /// It has archived nothing for so long that it is not waited for.
        case archiverHangs
        case tooLong
    }

    /// How long a receiver that is no heir may hold up a stop. PostgreSQL itself waits for all of them.
    private static let senderPatience = Duration.seconds(10)
    /// From here on a stop says what it waits for.
    private static let silence = Duration.seconds(2)
    private static let lookInterval = Duration.milliseconds(250)
    /// A server without anything to archive ends within this after its last record.
    private static let archivingGrace = Duration.milliseconds(500)

    /// How long the archiver of a server that is restarted may go on without one segment done: it has its time again
    /// when the server is up, and meanwhile nobody leads.
    private static let restartingArchiverPatience = Duration.seconds(2)

    func stopFast(_ pid: Int32, _ deadline: BootInstant, heirs: [String]?, isRestart: Bool)
        async throws(PostgreSQLError) -> FastStop
    {
        let began = BootClock.now()
        let senders = WALSenderProcess.list(instance, deadline: min(deadline, began + .seconds(2)))
        instance.noteStopping(pid)
        defer { instance.remember { ($0.waitingFor, $0.archiverStillSince) = (nil, nil) } }
        var archiver = ArchiverWatch()
        _ = await instance.launcher.signal(SIGINT, to: pid)
        let patience = min(Self.senderPatience, (deadline - began) / 3)
        var told = ""
        var nextSignal = began + patience
        var nextLook = began + min(patience, Self.silence)
        var finishedAt: BootInstant?
        while true {
            if await instance.watch.waitForExit(of: pid, deadline: min(deadline, BootClock.now() + .milliseconds(50))) {
                return .ended
            }
            if Task.isCancelled { throw .cancelled }
            let now = BootClock.now()
            if finishedAt == nil, await instance.hasWrittenLastRecord(pid) { finishedAt = now }
            if heirs != nil, let finishedAt, now - finishedAt >= Self.archivingGrace,
                let positions = await instance.shutdownPositions(deadline: now + .seconds(10))
            {
                return .archiving(positions)
            }
            if now >= nextLook {
                nextLook = now + Self.lookInterval
                let holdup = Holdup.of(pid, senders, hasWrittenLastRecord: finishedAt != nil)
                if now - began >= Self.silence { tellWaiting(pid, holdup, &told) }
                let archiverPatience = isRestart ? Self.restartingArchiverPatience : configuration.archiverPatience
                if holdup?.cause == .archiver, watch(&archiver, archiverPatience, now) { return .archiverHangs }
                if now >= nextSignal, holdup?.cause == .senders {
                    nextSignal = now + .seconds(1)
                    await end(senders, of: pid, sparing: heirs, after: now - began)
                }
            }
            if now >= deadline { return .tooLong }
        }
    }

    /// Whether it is not waited for any longer.
    private func watch(_ archiver: inout ArchiverWatch, _ patience: Duration, _ now: BootInstant) -> Bool {
        archiver.see(instance.readySegments(), at: now)
        let since = archiver.stillSince
        instance.remember { $0.archiverStillSince = since }
        return archiver.hasHung(for: patience, at: now)
    }

    private func tellWaiting(_ pid: Int32, _ holdup: Holdup?, _ told: inout String) {
        let waiting = holdup?.description ?? ""
        instance.remember { $0.waitingFor = waiting.isEmpty ? nil : waiting }
        guard waiting != told, !waiting.isEmpty else { return }
        told = waiting
        log.warning("the stop of postmaster \(pid) waits for \(waiting)")
    }

    /// SIGTERM, again and again: at the first one a sender tells its client, who does not listen, and waits; the next
    /// one ends that, too.
    private func end(
        _ senders: [WALSenderProcess], of pid: Int32, sparing heirs: [String]?, after waited: Duration
    ) async {
        // Where nobody was named as an heir, whoever replicates as a member may become one: it has all the time there
        // is.
        let members = configuration.replication.userName
        for sender in senders where sender.isChild(of: pid) {
            if heirs?.contains(sender.application) ?? (sender.user == members) { continue }
            log.warning("\(sender) has held up the stop for \(Int(waited.inSeconds)) s: it is ended")
            _ = await instance.launcher.signal(SIGTERM, to: sender.pid)
        }
    }
}

/// A walsender as it was known before the stop; afterwards nobody can ask.
struct WALSenderProcess: Sendable, Hashable, CustomStringConvertible {
    var pid: Int32
    /// A member's name, where it is one.
    var application: String
    var user: String
    var client: String
    var slot: String
    var isLogical: Bool

    var description: String {
        let at = client.isEmpty ? "" : " at \(client)"
        let by = slot.isEmpty ? "" : ", slot \(slot)"
        return "\(isLogical ? "logical " : "")walsender \(pid) of \(application.isEmpty ? user : application)\(at)\(by)"
    }

    func isChild(of postmaster: Int32) -> Bool { ProcessTable.stat(pid)?.parent == postmaster }

    /// Empty where the server does not answer.
    static func list(_ instance: Instance, deadline: BootInstant) -> [WALSenderProcess] {
        guard instance.state != .starting else { return [] }
        let statement = """
            SELECT s.pid, s.application_name, s.usename, host(s.client_addr), r.slot_name, r.slot_type = 'logical' \
            FROM pg_stat_replication s LEFT JOIN pg_replication_slots r ON r.active_pid = s.pid
            """
        guard let rows = try? instance.connect(deadline: deadline).query(statement, deadline: deadline) else {
            return []
        }
        return rows.compactMap { row in
            guard row.count == 6, let pid = row[0].flatMap({ Int32($0) }) else { return nil }
            return WALSenderProcess(
                pid: pid, application: row[1] ?? "", user: row[2] ?? "", client: row[3] ?? "", slot: row[4] ?? "",
                isLogical: row[5] == "t")
        }
    }
}

extension ProcessTable {
    /// Whether SIGKILL is pending for a process, or it has begun to end: it runs no more, however long the kernel keeps
    /// it.
    static func isDoomed(_ pid: Int32) -> Bool {
        guard let text = try? Files.readText("/proc/\(pid)/status") else { return true }
        return isDoomed(status: text) || stat(pid)?.isExiting ?? true
    }

    /// Of the text of `/proc/PID/status`: the ninth bit of the pending signals, of the process or of its thread.
    static func isDoomed(status text: String) -> Bool {
        text.split(separator: "\n").contains { line in
            guard line.hasPrefix("ShdPnd:") || line.hasPrefix("SigPnd:"),
                let mask = UInt64(line.dropFirst(7).trimmed, radix: 16)
            else { return false }
            return mask & (1 << UInt64(SIGKILL - 1)) != 0
        }
    }
}

// MARK: - What proves that a server has finished

extension Instance {
    /// The stop of a postmaster begins: how the control file stood then.
    func noteStopping(_ pid: Int32) {
        let stamp = Files.modificationTime(dataDirectory.controlFile)
        remember { memory in
            guard memory.stopping?.pid != pid else { return }
            memory.stopping = (pid, stamp)
        }
    }

    /// Whether the control file has come to say `shut down` since `pid` was told to stop: one that says so from an
    /// earlier stop proves nothing, a server that starts does not change it before it accepts writes.
    func hasWrittenLastRecord(_ pid: Int32) async -> Bool {
        if finish(of: pid) == .shutDown { return true }
        guard let stopping = remember({ $0.stopping }), stopping.pid == pid,
            let stamp = Files.modificationTime(dataDirectory.controlFile), stamp != stopping.stamp,
            await control(deadline: BootClock.now() + .seconds(5))?.controlData?.state == .shutDown
        else { return false }
        remember { $0.finished = (pid, .shutDown) }
        return true
    }

    /// What a daemon before this one may have told to stop: the pid file says so, and the control file, written since
    /// this postmaster began, says `shut down`. Nobody but the postmaster's own last checkpoint writes that while it
    /// lives, and one that was told to stop accepts no writes after it.
    func finishedBefore(_ postmaster: PostmasterPidFile, deadline: BootInstant) async -> PostgreSQLStatus.Finish? {
        guard postmaster.isStopping, !postmaster.isSingleUser, let start = postmaster.startTime, start > 0,
            start < 1 << 33,
            let stamp = Files.modificationTime(dataDirectory.controlFile), stamp >= (start + 1) * 1_000_000_000,
            await control(deadline: deadline)?.controlData?.state == .shutDown
        else { return nil }
        remember { $0.finished = (postmaster.pid, .shutDown) }
        return .shutDown
    }

    func finish(of pid: Int32) -> PostgreSQLStatus.Finish? {
        remember { memory in memory.finished.flatMap { $0.pid == pid ? $0.how : nil } }
    }
}
