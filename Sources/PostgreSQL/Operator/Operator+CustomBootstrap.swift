import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// A new cluster out of what a command of the operator's brings: a backup, recovered to its end or to a point in time
/// (postgresql.md §17).
extension Operator {
    func bootstrap(
        by method: LocalPostgreSQLConfiguration.CustomBootstrap, halts: Int
    ) async throws(PostgreSQLError) {
        instance.set(.customBootstrap)
        do throws(PostgreSQLError) {
            try await fill(by: method)
        } catch {
            instance.set(.customBootstrapFailed)
            throw error
        }
        // What the backup lets in is overwritten while nobody but us is.
        let rules = try? Files.readText(configuration.hostBasedAuthenticationFile)
        try await stoppingWhereItFails { () async throws(PostgreSQLError) in
            // Recovery takes as long as there is WAL.
            guard try await start(.restored(method), timeout: Self.copyLimit, halts: halts) == .done else {
                throw .timedOut("the recovery of the new cluster")
            }
            try await waitForWrites()
            try await prepareNewCluster()
            log.info("the new cluster accepts writes; it is started once more, as it is configured")
            _ = try await stop(.fast, timeout: PostgreSQLOperation.customaryStopTimeout, announce: false)
            try putBack(rules)
            guard try await start(.primary, timeout: configuration.startTimeout, halts: halts) == .done else {
                throw .timedOut("the start of the new cluster")
            }
            try markComplete()
        }
    }

    /// The mark says all the while that this is nobody's cluster yet.
    private func fill(by method: LocalPostgreSQLConfiguration.CustomBootstrap) async throws(PostgreSQLError) {
        var mark = try directory.beginFilling(.bootstrap)
        let places = mark.tablespaces.map(\.path)
        mark = try directory.beginDraft(mark, places: places)
        mark.isRestored = true
        let isDraft = !method.takesNoParameters
        do throws(SystemError) {
            if isDraft { try directory.handOverDraft(mark) } else { try directory.handOver(mark) }
        } catch {
            throw .failed("cannot prepare the data directory: \(error)")
        }
        let target = isDraft ? directory.draft : directory.path
        let told = isDraft ? ["--scope=\(configuration.scope)", "--datadir=\(target)"] : []
        let status = try await UserCommand.run(
            "bootstrap method \(method.name)", method.command, told + method.arguments, with: instance.tools,
            deadline: BootClock.now() + Self.copyLimit, log: log)
        guard status == 0 else {
            throw .failed("the command of bootstrap method \(method.name) ended with status \(status)")
        }
        try await takeOver(target, ofCluster: nil)
        if isDraft { return try install(mark) }
        mark.systemIdentifier = DataDirectory.systemIdentifier(directory.controlFile)
        do throws(SystemError) {
            // All that the command has left is ours, as if a draft had been moved up.
            for name in try directory.contents() { mark.moved[name] = Files.inode("\(directory.path)/\(name)") }
            try directory.write(mark)
        } catch {
            throw .failed("cannot mark the data directory: \(error)")
        }
    }

    /// Until recovery has come to its target, or to the end of the WAL that there is.
    private func waitForWrites() async throws(PostgreSQLError) {
        guard let postmaster = instance.postmaster() else { throw .failed("PostgreSQL has ended") }
        let end = BootClock.now() + Self.copyLimit
        var hasTold = false
        var trouble = Trouble()
        var refusals = RecoveryRefusals()
        while BootClock.now() < end {
            let deadline = BootClock.now() + .seconds(10)
            do throws(PostgreSQLError) {
                let connection = try instance.connect(deadline: deadline)
                refusals.end()
                if try !isInRecovery(connection, deadline) { return }
                let isPaused = try connection.query("SELECT pg_is_wal_replay_paused()", deadline: deadline).first?.first
                if isPaused == "t", !hasTold {
                    hasTold = true
                    log.warning(
                        """
                        recovery has paused at its target: look at the data, and call pg_wal_replay_resume() to go on. \
                        With recovery_target_action: promote nobody is waited for
                        """)
                }
            } catch {
                if error == .cancelled { throw error }
                if error.isRejection || error.isUnanswered || error.isTimeout {
                    log.debug("the new cluster recovers: \(error)")
                } else {
                    // A role that the backup does not have, say: what recovery has yet to bring may mend it.
                    let now = BootClock.now()
                    let time = refusals.last(signs(of: postmaster.pid), at: now)
                    if trouble.fails("\(error)", at: now) {
                        log.warning("the new cluster does not let us in: \(error)")
                    }
                    if time >= configuration.startTimeout { throw error }
                }
            }
            if await instance.watch.waitForExit(of: postmaster.pid, deadline: BootClock.now() + .milliseconds(300)) {
                throw .failed("postmaster \(postmaster.pid) ended while the new cluster recovered; its log says why")
            }
            if Task.isCancelled { throw .cancelled }
        }
        throw .timedOut("the recovery of the new cluster")
    }

    /// What moves while WAL is replayed; nil where recovery has ended.
    private func signs(of postmaster: Int32) -> RecoveryRefusals.Signs? {
        if instance.postmaster()?.isReady == true { return nil }
        return .init(
            title: RecoveryTitle.of(postmaster), controlStamp: Files.modificationTime(directory.controlFile))
    }

    /// Rules that nobody has configured are those of the backup.
    private func putBack(_ rules: String?) throws(PostgreSQLError) {
        guard configuration.hostBasedAuthentication == nil else { return }
        let file = configuration.hostBasedAuthenticationFile
        do throws(SystemError) {
            if let rules {
                _ = try writer.put(rules, file)
            } else if unlink(file) != 0, errno != ENOENT {
                throw SystemError(call: "unlink", subject: file)
            }
        } catch {
            throw .failed("cannot put pg_hba.conf back: \(error)")
        }
    }
}
