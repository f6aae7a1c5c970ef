import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// Ends recovery and waits until the server accepts writes (postgresql.md §20). By SQL: pg_ctl would cost a process
    /// and polls only every tenth of a second. What was received is replayed first: as long as that comes further, it
    /// is waited for.
    func promote() async throws(PostgreSQLError) {
        var deadline = BootClock.now() + configuration.startTimeout
        guard let postmaster = instance.postmaster() else { throw .failed("PostgreSQL is not running") }
        let connection: PostgreSQLConnection
        var replayed: String?
        do throws(PostgreSQLError) {
            connection = try instance.connect(deadline: min(deadline, BootClock.now() + .seconds(5)))
            guard try isInRecovery(connection, deadline) else { return }
            replayed = try replayedPosition(connection, deadline)
        } catch {
            // Nothing was asked for: this is no promotion that came no further.
            guard case .timedOut(let what) = error else { throw error }
            throw .failed("no answer in time before it was asked for: \(what)")
        }
        instance.remember { memory in
            memory.promoted = postmaster.pid
            memory.standby = nil
        }
        do throws(PostgreSQLError) {
            try connection.query("SELECT pg_promote(false)", deadline: deadline)
        } catch {
            log.warning("pg_promote failed, asking by signal: \(error)")
            try await promoteBySignal(postmaster.pid)
        }
        while try isInRecovery(connection, deadline + .seconds(5)) {
            if await instance.watch.waitForExit(of: postmaster.pid, deadline: BootClock.now() + .milliseconds(5)) {
                throw .failed("postmaster \(postmaster.pid) ended while it was promoted")
            }
            if Task.isCancelled { throw .cancelled }
            guard BootClock.now() >= deadline else { continue }
            let now = try replayedPosition(connection, deadline + .seconds(5))
            guard now != replayed else { throw .timedOut("the promotion") }
            replayed = now
            deadline = BootClock.now() + configuration.startTimeout
        }
        instance.remember { $0.upstream = .known(nil) }
        adoptPrimaryRole()
        instance.call(.roleChange, .primary)
    }

    /// What the configuration says of a primary alone takes effect now. Nobody waits for it: clients may write already,
    /// and whoever waits for the promotion has more to do. What does not succeed comes again with the next look.
    private func adoptPrimaryRole() {
        guard instance.take(role: .primary) else { return }
        log.info("the configuration is that of a primary from now on")
        instance.remember { memory in
            memory.isConfigurationWritten = false
            memory.retry = (BootClock.now(), .milliseconds(500))
        }
        Task { await catchUp() }
    }

    private func promoteBySignal(_ pid: Int32) async throws(PostgreSQLError) {
        do throws(SystemError) {
            _ = try writer.put("", directory.path + "/promote")
        } catch {
            throw .failed("cannot ask for the promotion: \(error)")
        }
        guard await instance.launcher.signal(SIGUSR1, to: pid) else { throw .failed("cannot signal postmaster \(pid)") }
    }

    func isInRecovery(_ connection: PostgreSQLConnection, _ deadline: BootInstant) throws(PostgreSQLError)
        -> Bool
    {
        try connection.query("SELECT pg_is_in_recovery()", deadline: deadline).first?.first == "t"
    }

    /// As the server prints it; nil for one that has replayed nothing.
    private func replayedPosition(
        _ connection: PostgreSQLConnection, _ deadline: BootInstant
    ) throws(PostgreSQLError) -> String? {
        try connection.query("SELECT pg_last_wal_replay_lsn()", deadline: deadline).first?.first ?? nil
    }

    /// Whatever has paused it. Nothing to do on a server that is no standby any more.
    func resumeReplay() throws(PostgreSQLError) {
        let deadline = BootClock.now() + .seconds(5)
        try instance.connect(deadline: deadline).query(
            "SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery() AND pg_is_wal_replay_paused()",
            deadline: deadline)
        log.info("the replay of WAL goes on")
    }

    /// Points the running standby to another upstream (postgresql.md §15).
    func follow(_ upstream: Upstream?, halts: Int) async throws(PostgreSQLError) -> OperationResult {
        guard instance.postmaster() != nil else { throw .failed("PostgreSQL is not running") }
        guard directory.hasStandbySignal else {
            throw .failed("PostgreSQL is not a standby: it must be stopped and started as one")
        }
        let version = directory.version
        let role = ConfigurationWriter.Role.standby(of: .known(upstream))
        instance.remember { $0.upstream = .known(upstream) }
        if let upstream, upstream.hasAddress {
            try writer.writePasswords(configuration.replication, to: upstream.address)
        }
        change(standby: upstream?.isFollowedByLeader == true ? .standbyLeader : .replica)
        if try await writeOrAmend(role) { instance.remember { $0.owesReload = true } }
        // Since 13 the receiver takes another primary by reload; restore_command too since 14.
        let hasRestoreCommand =
            configuration.recovery["restore_command"] != nil || !configuration.standbyCluster.isEmpty
        if version >= 140_000 || version >= 130_000 && !hasRestoreCommand {
            try await reload()
            return .done
        }
        try refuseUnfinished()
        try await stopToRestart(halts: halts)
        // As a standby, whatever stands there by now.
        return try await start(role, timeout: configuration.startTimeout, halts: halts)
    }

    /// A standby that becomes the leader of a standby cluster, or ceases to be, has another role from now on.
    private func change(standby role: LocalPostgreSQLConfiguration.Role) {
        let before = instance.remember { $0.role }
        guard before != role, before == .standbyLeader || role == .standbyLeader else { return }
        instance.take(role: role)
        if instance.remember({ $0.called.role }) != nil { instance.call(.roleChange, CallbackRole(role)) }
    }

    /// Runs crash recovery in a single-user server, which ends with a clean shutdown (postgresql.md §8).
    func recoverSingleUser() async throws(PostgreSQLError) {
        try refuseWhileRunning()
        try await instance.endOrphans(deadline: BootClock.now() + .seconds(10))
        let control = await instance.control(deadline: BootClock.now() + .seconds(10))?.controlData
        if control?.state == .shutDown || control?.state == .shutDownInRecovery { return }
        if Files.exists(directory.path + "/backup_label"), directory.version >= 150_000 {
            throw .failed("a backup_label stands in the data directory: it cannot be recovered in single-user mode")
        }
        let opts = (try? Files.readText(directory.path + "/postmaster.opts")) ?? ""
        var options = PostmasterOptions.parse(opts)
        options["archive_mode"] = "on"
        options["archive_command"] = "false"
        // What was not archived yet is not told by anything else once that directory is empty.
        await archiveReadySegments()
        try writer.writeSignals(standby: false)
        try emptyArchiveStatus()
        let settings = options.entries.flatMap { ["-c", "\($0.name)=\($0.value)"] }
        try await instance.tools.succeed(
            .init(
                program: instance.program("postgres"),
                arguments: ["--single", "-D", directory.path] + settings + ["template1"],
                environment: Instance.plainLocale, deadline: BootClock.now() + .seconds(3600)))
        // The segment that the recovery has ended with holds what nobody else has: beside the one of the new timeline,
        // whoever recovers from the archive alone would take it first, and part as well.
        try emptyArchiveStatus()
    }

    /// Recovery must not wait for an archiver that does not run, nor recycle what it has not seen.
    private func emptyArchiveStatus() throws(PostgreSQLError) {
        let path = directory.path + "/pg_wal/archive_status"
        for name in (try? Files.list(path)) ?? [] { unlink("\(path)/\(name)") }
    }
}

/// `postmaster.opts`: the command line of the last start, each argument in double quotes.
enum PostmasterOptions {
    /// The `--name=value` arguments, without the one that names the configuration file.
    static func parse(_ text: String) -> ParameterMap {
        var result = ParameterMap()
        for argument in text.split(separator: "\"") where argument.hasPrefix("--") {
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            result[String(parts[0].map { $0 == "-" ? "_" : $0 })] = String(parts[1])
        }
        return result
    }
}
