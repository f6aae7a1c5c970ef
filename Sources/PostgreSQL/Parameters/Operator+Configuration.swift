import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// Takes over a configuration: at once where nothing is under way, else when the operation has ended. Operations
    /// that begin meanwhile work with the new values.
    func adopt(_ new: LocalPostgreSQLConfiguration) async throws(PostgreSQLError) {
        guard instance.take(new) || !instance.remember({ $0.isConfigurationWritten }) else { return }
        try await applyInTurn()
    }

    /// Generated files are written again, whatever became of them since: what was edited by hand is undone.
    func refreshFiles() async throws(PostgreSQLError) { try await applyInTurn() }

    /// Makes up for a configuration that is not in force yet: the server's role has changed, or applying it has failed.
    /// An operation that is under way goes first; then the next look finds the same again.
    func catchUp() async {
        guard !turns.isTaken else { return }
        turns.isTaken = true
        defer { passTurn() }
        await applyPostponedConfiguration()
    }

    /// What comes while files are written and read is applied right afterwards: no operation may follow for long.
    private func applyInTurn() async throws(PostgreSQLError) {
        if turns.isTaken {
            hasPostponedConfiguration = true
            return
        }
        turns.isTaken = true
        defer { passTurn() }
        try await applyConfiguration()
        while hasPostponedConfiguration, turns.waiting.isEmpty { await applyPostponedConfiguration() }
    }

    func applyPostponedConfiguration() async {
        do throws(PostgreSQLError) {
            try await applyConfiguration()
        } catch {
            log.error("cannot apply the configuration, it is tried again: \(error)")
        }
    }

    /// Writes the files of a running server and reloads it; a server that is down gets them when it starts.
    private func applyConfiguration() async throws(PostgreSQLError) {
        hasPostponedConfiguration = false
        guard !instance.isKeptOut, instance.postmaster() != nil else { return instance.remember { $0.retry = nil } }
        if instance.remember({ $0.role }) == nil { instance.take(role: directory.role) }
        instance.remember { $0.isConfigurationWritten = false }
        do throws(PostgreSQLError) {
            try await applyToRunningServer()
        } catch {
            instance.applyLater()
            throw error
        }
        instance.remember { memory in
            memory.isConfigurationWritten = true
            memory.retry = nil
        }
    }

    private func applyToRunningServer() async throws(PostgreSQLError) {
        let following = instance.remember { $0.upstream }
        let rules = presentRules()
        let isStandby = directory.hasStandbySignal
        do throws(PostgreSQLError) {
            if try await writeReadable(isStandby ? .standby(of: following) : .unchanged) {
                instance.remember { $0.owesReload = true }
                log.info("the files of PostgreSQL's configuration have changed: they are read again")
            }
        } catch {
            // Some of them may be written already: the next attempt would find nothing to change in those.
            instance.remember { $0.owesReload = true }
            throw error
        }
        // Also where nothing was written now: what was, by an earlier attempt or another daemon, may not be read yet.
        if instance.remember({ $0.owesReload }), try await !reload() {
            throw .timedOut("the reading of PostgreSQL's configuration")
        }
        try await refuseWrongRules(rules)
        do throws(PostgreSQLError) {
            try refreshPendingRestart()
        } catch {
            // Asked for again with the next look that gets in.
            log.warning("cannot ask what waits for a restart: \(error)")
            instance.remember { $0.knowsPendingRestart = false }
        }
    }

    /// SIGHUP, and the wait until a session sees that the files were read: whether one has. Where nobody lets us in,
    /// the signal must do.
    @discardableResult
    func reload() async throws(PostgreSQLError) -> Bool {
        guard let postmaster = instance.postmaster() else { throw .failed("PostgreSQL is not running") }
        let deadline = BootClock.now() + .seconds(5)
        let connection = try? instance.connect(deadline: deadline)
        let before = try? loadTime(connection, deadline)
        guard await instance.launcher.signal(SIGHUP, to: postmaster.pid) else {
            instance.remember { $0.owesReload = true }
            throw .failed("cannot signal postmaster \(postmaster.pid)")
        }
        guard let connection, let before else {
            instance.remember { $0.owesReload = false }
            instance.call(.reload)
            return true
        }
        var pause = Duration.milliseconds(2)
        while BootClock.now() < deadline {
            if let now = try? loadTime(connection, deadline), now != before {
                instance.remember { $0.owesReload = false }
                instance.call(.reload)
                return true
            }
            if Task.isCancelled { throw .cancelled }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(50))
        }
        log.warning("PostgreSQL has not read its configuration within 5 s")
        instance.remember { $0.owesReload = true }
        return false
    }

    private func loadTime(_ connection: PostgreSQLConnection?, _ deadline: BootInstant) throws(PostgreSQLError)
        -> String?
    {
        try connection?.query("SELECT extract(epoch FROM pg_conf_load_time())", deadline: deadline).first?.first
            .flatMap { $0 }
    }

    func refreshPendingRestart() throws(PostgreSQLError) {
        let deadline = BootClock.now() + .seconds(3)
        let connection = try instance.connect(deadline: deadline)
        let pending = try instance.comparePending(connection, deadline)
        for change in pending {
            log.info("\(change.parameter) changes from \(change.oldValue) to \(change.newValue) at the next restart")
        }
    }
}

extension Instance {
    /// Asks the running server what waits for a restart, and remembers it.
    @discardableResult
    func comparePending(
        _ connection: PostgreSQLConnection, _ deadline: BootInstant
    ) throws(PostgreSQLError) -> [PostgreSQLStatus.PendingRestart] {
        let (configuration, version) = (configuration, dataDirectory.version)
        let wanted = ParameterRule.judge(configuration.parameters, version: version).kept
        let found = try PendingRestartQuery.run(connection, wanted, deadline: deadline)
        return remember { memory in
            let pending = found + memory.held.filter { held in !found.contains { $0.parameter == held.parameter } }
            memory.pendingRestart = pending
            memory.knowsPendingRestart = true
            return pending
        }
    }

    /// The configuration is not in force: it is applied once more, after a pause that grows.
    func applyLater() {
        remember { memory in
            let pause = min((memory.retry?.pause ?? .milliseconds(500)) * 2, .seconds(60))
            memory.retry = (BootClock.now() + pause, pause)
        }
    }

    /// Whether a look has found that the configuration in force is not that of this server's role, or that it is time
    /// to try again what has failed.
    func hasToCatchUp(_ status: PostgreSQLStatus) -> Bool {
        guard status.postmaster != nil, let facts = status.facts else { return false }
        return remember { memory in
            let leads = if case .known(let upstream?) = memory.upstream { upstream.isFollowedByLeader } else { false }
            let seen: LocalPostgreSQLConfiguration.Role =
                facts.inRecovery ? leads ? .standbyLeader : .replica : .primary
            // Whoever operates on the server knows better what it is about to be.
            guard memory.operation == nil else { return false }
            if memory.role == nil, memory.retry == nil, !memory.isConfigurationWritten {
                // A server that we found running: what it has read nobody knows. The cluster's word goes first.
                memory.role = seen
                memory.configuration = memory.given.resolved(for: seen)
                memory.retry = (BootClock.now() + .seconds(10), .milliseconds(500))
            } else if memory.role != seen, status.observedAt > memory.roleSince {
                memory.role = seen
                memory.roleSince = BootClock.now()
                let resolved = memory.given.resolved(for: seen)
                if resolved != memory.configuration {
                    memory.configuration = resolved
                    memory.isConfigurationWritten = false
                    memory.retry = (BootClock.now(), .milliseconds(500))
                }
            }
            return memory.retry.map { $0.at <= BootClock.now() } ?? false
        }
    }
}
