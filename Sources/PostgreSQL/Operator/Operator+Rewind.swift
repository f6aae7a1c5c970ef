import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Synchronization

extension Operator {
    /// pg_rewind: the local data directory becomes one of `source`'s timeline (postgresql.md §21.6).
    ///
    /// Throws `.rewindRefused` where pg_rewind gave up although the source was the same healthy primary before and
    /// after: only that speaks against the directory. Everything else (a source that died, a full disk, a program that
    /// cannot be run) may be tried again.
    func rewind(from source: Upstream) async throws(PostgreSQLError) {
        try refuseWhileRunning()
        try await instance.endOrphans(deadline: BootClock.now() + .seconds(10))
        await archiveReadySegments()
        try writer.writePasswords(configuration.rewindCredentials, to: source.address)
        let primary = try health(of: source)
        if source.remote != nil { try settleTimeline(of: source) }
        let wasBegun = directory.hasRewindMark
        let began = Mutex(false)
        do throws(PostgreSQLError) {
            try mark { () throws(SystemError) in try directory.markRewind() }
            try await runRewind(source, isSecond: wasBegun) { line in
                if RewindProgress.hasBegun(line) { began.withLock { $0 = true } }
            }
        } catch {
            // Until pg_rewind says what it is about to do it has only read: the directory is what it was.
            if !began.withLock({ $0 }), !wasBegun { try? directory.removeRewindMark() }
            throw verdict(error, source, primary)
        }
        // pg_rewind has made the result durable itself; but not what an earlier one wrote, of which it may say that
        // nothing is to be done.
        if wasBegun || ToolArguments.leaveOutSync(configuration.rewindOptions) { sync() }
        try mark { () throws(SystemError) in try directory.removeRewindMark() }
    }

    /// Which primary answers at `source`: it is the same as long as it was not restarted. Throws where none does.
    private func health(of source: Upstream) throws(PostgreSQLError) -> String {
        let deadline = BootClock.now() + .seconds(5)
        let target = instance.rewindTarget(source.address, timeout: .seconds(3))
        let rows = try PostgreSQLConnection.connect(to: target, deadline: deadline).query(
            "SELECT pg_is_in_recovery(), pg_postmaster_start_time()::text", deadline: deadline)
        guard let row = rows.first, row.count == 2, row[0] == "f", let began = row[1] else {
            throw .failed("\(source.name) is no primary: nothing is taken from it")
        }
        return began
    }

    /// A primary elsewhere does not say whether it has written a checkpoint since its promotion, and before that its
    /// control file shows the timeline that it came from (postgresql.md §21.5). Where it has not, it is asked for one.
    private func settleTimeline(of source: Upstream) throws(PostgreSQLError) {
        let deadline = BootClock.now() + .seconds(60)
        let target = instance.rewindTarget(source.address, timeout: .seconds(55))
        let connection = try PostgreSQLConnection.connect(to: target, deadline: deadline)
        let isSettled =
            "SELECT timeline_id = ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int "
            + "FROM pg_control_checkpoint()"
        if try connection.query(isSettled, deadline: deadline).first?.first == "t" { return }
        log.info("\(source.name) has not written a checkpoint since its promotion: it is asked for one")
        try connection.query("CHECKPOINT", deadline: deadline)
    }

    private func verdict(_ error: PostgreSQLError, _ source: Upstream, _ before: String) -> PostgreSQLError {
        guard case .tool(let name, let status, let output) = error,
            name == lastComponent(instance.program("pg_rewind")),
            RewindProgress.isVerdict(status: status, output), (try? health(of: source)) == before
        else { return error }
        return .rewindRefused(output)
    }

    private func mark(_ change: () throws(SystemError) -> Void) throws(PostgreSQLError) {
        do throws(SystemError) {
            try change()
        } catch {
            throw .failed("cannot mark the data directory: \(error)")
        }
    }

    private func runRewind(_ source: Upstream, isSecond: Bool, onLine: @escaping @Sendable (String) -> Void)
        async throws(PostgreSQLError)
    {
        // Where an earlier one was broken off, the server that pg_rewind would start to end a recovery could write on
        // the source's own timeline.
        let more = isSecond && directory.version >= 130_000 ? ["--no-ensure-shutdown"] : []
        let (gate, log, watch) = (ProgressGate(), log, CopyWatch(at: BootClock.now()))
        let teller = tell(of: watch, "pg_rewind", from: source)
        defer {
            teller.cancel()
            instance.remember { $0.waitingFor = nil }
        }
        // It runs restore_command.
        let environment = UserCommand.environmentOfServer().merging([
            "PGPASSFILE": configuration.passwordFile, "LANG": "C", "LC_ALL": "C",
            "PGOPTIONS": "-c statement_timeout=0",
        ]) { $1 }
        let text = try await instance.tools.succeed(
            .init(
                program: instance.program("pg_rewind"),
                arguments: ToolArguments.rewind(
                    configuration, from: source.address, serverVersion: directory.version) + more,
                environment: environment, deadline: BootClock.now() + .seconds(24 * 3600),
                onLine: { line in
                    onLine(line)
                    watch.noteProgress(at: BootClock.now())
                    if let progress = BaseBackupProgress(line), !gate.admits(progress, now: BootClock.now()) { return }
                    log.info("\(line.trimmed)")
                }))
        instance.remember { $0.control = nil }
        log.debug("pg_rewind: \(text)")
    }
}

/// What pg_rewind tells. Pure.
enum RewindProgress {
    /// It knows where the timelines parted, and goes on to write in the directory.
    static func hasBegun(_ line: String) -> Bool { line.contains("rewinding from last common checkpoint") }

    /// Whether a failure says something of the two directories, and not of this host or of the way to the source.
    static func isVerdict(status: Int32, _ output: String) -> Bool {
        // Not found, not executable, killed.
        if status >= 126 { return false }
        return !passing.contains { output.contains($0) }
    }

    /// Ends of messages of the C library and of libpq, which pg_rewind prints behind its own (its locale is C).
    private static let passing = [
        "No space left on device", "Disk quota exceeded", "Input/output error", "Read-only file system",
        "Permission denied", "Operation not permitted", "Cannot allocate memory", "out of memory",
        "Too many open files", "Text file busy", "Resource temporarily unavailable",
        "connection to server", "could not connect", "server closed the connection", "could not receive data",
        "could not send", "connection not open", "SSL error", "SSL SYSCALL", "lost synchronization",
        "terminating connection", "canceling statement", "the database system is", "too many clients",
        "too many connections", "remaining connection slots", "could not translate host name", "timeout expired",
    ]
}
