import ClusterModel
import Logging
import Ports
import Posix

extension Operator {
    /// A copy of a cluster takes as long as it takes: this only ends what nobody waits for any more.
    static let copyLimit = Duration.seconds(24 * 3600)

    /// A new data directory by the methods that are configured, one after another until one has made it (postgresql.md
    /// §19). Without a source by those that need none.
    func clone(
        from source: Upstream?, _ replacement: Replacement, onlyByBaseBackup: Bool = false
    ) async throws(PostgreSQLError) {
        try refuseWhileRunning()
        instance.set(.creatingReplica)
        defer { if instance.state == .creatingReplica { instance.set(.stopped) } }
        try await instance.endOrphans(deadline: BootClock.now() + .seconds(10))
        if try finishReplacement() { return }
        if keepUntouched(), replacement != Replacement(.first) {
            throw .failed("what stands in \(directory.path) is whole after all: it is judged anew")
        }
        if let source { try writer.writePasswords(configuration.replication, to: source.address) }
        var last: PostgreSQLError?
        var replacement = replacement
        for method in onlyByBaseBackup ? [.baseBackup] : configuration.replicaMethods {
            do throws(PostgreSQLError) {
                if method.command != nil {
                    if source == nil, !method.needsNoLeader { continue }
                    try await copy(by: method, from: source, &replacement)
                } else {
                    guard let source else { continue }
                    try await copyTwice(source, &replacement)
                }
                return
            } catch {
                if error == .cancelled || Task.isCancelled { throw .cancelled }
                log.warning("replica method \(method.name) failed: \(error)")
                last = error
            }
        }
        throw last ?? .failed("no replica method can be used without a leader")
    }

    /// A base backup, in up to two attempts.
    private func copyTwice(_ source: Upstream, _ replacement: inout Replacement) async throws(PostgreSQLError) {
        do throws(PostgreSQLError) {
            try await copy(source, &replacement)
        } catch {
            // What is there by halves is known to be, and goes when there is time again: a daemon that ends has none.
            if error == .cancelled || Task.isCancelled { throw .cancelled }
            log.warning("base backup from \(source.name) failed, once more in 5 s: \(error)")
            try? await Task.sleep(for: .seconds(5))
            do throws(PostgreSQLError) {
                if try !finishReplacement() { try await copy(source, &replacement) }
            } catch {
                freeSpace()
                throw error
            }
        }
        refusesBoth = nil
        log.info("base backup from \(source.name) is complete")
    }

    /// Half a copy may fill the volume while the next one waits for its turn.
    func freeSpace() {
        // Where the source has not answered at all, what stands here is not half of anything.
        guard instance.postmaster() == nil, directory.look().unfinished == .copy else { return }
        // A copy that is complete only has to be moved up; what it replaces is not gone back to any more.
        if hasBrokenOffReplacement {
            return removeOld()
        }
        do throws(PostgreSQLError) {
            _ = try directory.beginFilling(.copy)
        } catch {
            log.warning("what the copy has left is still there: \(error)")
        }
    }

    private func copy(_ source: Upstream, _ replacement: inout Replacement) async throws(PostgreSQLError) {
        let identity = try identityOfAnswering(source)
        let tablespaces = sourceTablespaces(source)
        try refuseOccupied(replacement)
        if let standing = try keptUntilComplete(&replacement, source, tablespaces) {
            return try await copyBeside(standing, source, of: identity.systemIdentifier)
        }
        var mark = try directory.beginFilling(.copy)
        // What stood there has gone; what comes to stand there is somebody else's.
        replacement.isAllowed = false
        forgetCluster()
        let places = ToolPlaces(options: configuration.baseBackupOptions, mark, tablespaces: tablespaces)
        mark = try directory.beginDraft(mark, places: places.filled, sourceVersion: identity.version / 10000)
        try await runBaseBackup(source, places.arguments)
        try await synchronizeDraft(after: configuration.baseBackupOptions)
        try install(mark)
        try endCopy(isUnproven: false)
    }

    /// Looked at once more: it was seen before somebody was waited for.
    func refuseOccupied(_ replacement: Replacement) throws(PostgreSQLError) {
        if directory.look().state == .empty { return }
        guard replacement.isAllowed else {
            throw .failed("the data directory is not empty any more; what stands there is not replaced")
        }
        if let seen = replacement.seen { try directory.requireUnchanged(seen) }
    }

    /// A source that does not answer gives no copy: what stands here stays until one does. Its version, and whose
    /// cluster it is.
    func identityOfAnswering(_ source: Upstream) throws(PostgreSQLError) -> (version: Int, systemIdentifier: String) {
        let deadline = BootClock.now() + .seconds(5)
        let session = try ReplicationSession(instance.replicationTarget(source.address), deadline: deadline)
        let identity = try session.identify(deadline: deadline)
        return (session.serverVersion, identity.systemIdentifier)
    }

    /// Where the source's tablespaces are. Who may not ask goes without: only the places that the options name are
    /// known to be ours then.
    func sourceTablespaces(_ source: Upstream) -> [UnfinishedMark.Tablespace]? {
        do throws(PostgreSQLError) {
            let rows = try ask(
                source,
                "SELECT oid, pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''",
                within: .seconds(5))
            return rows.compactMap { row in
                guard row.count == 2, let oid = row[0], let path = row[1] else { return nil }
                return .init(oid: oid, path: path)
            }
        } catch {
            log.warning("cannot ask \(source.name) for its tablespaces: \(error)")
            return nil
        }
    }

    func ask(_ source: Upstream, _ statement: String, within limit: Duration) throws(PostgreSQLError) -> [[String?]] {
        let deadline = BootClock.now() + limit
        let target = instance.target(
            configuration.rewindCredentials, host: source.address.host, port: source.address.port,
            options: instance.options(limit - .seconds(2)))
        return try PostgreSQLConnection.connect(to: target, deadline: deadline).query(statement, deadline: deadline)
    }

    func runBaseBackup(_ source: Upstream, _ more: [String]) async throws(PostgreSQLError) {
        let (gate, log) = (ProgressGate(), log)
        let watch = CopyWatch(at: BootClock.now())
        let teller = tell(of: watch, "pg_basebackup", from: source)
        defer {
            teller.cancel()
            instance.remember { $0.waitingFor = nil }
        }
        try await instance.tools.succeed(
            .init(
                program: instance.program("pg_basebackup"),
                arguments: ToolArguments.baseBackup(
                    configuration, from: source.address, into: directory.draft) + more,
                environment: ["PGPASSFILE": configuration.passwordFile, "LC_ALL": "C", "LANG": "C"],
                deadline: BootClock.now() + Self.copyLimit,
                onLine: { line in
                    guard let progress = BaseBackupProgress(line) else { return }
                    watch.noteProgress(at: BootClock.now())
                    if gate.admits(progress, now: BootClock.now()) {
                        let (done, total) = (progress.doneKilobytes, progress.totalKilobytes)
                        log.info("base backup from \(source.name): \(progress.percent) % (\(done) of \(total) kB)")
                    }
                }))
    }

    /// In the log, and as what is waited for, until it is cancelled.
    func tell(of watch: CopyWatch, _ tool: String, from source: Upstream) -> Task<Void, Never> {
        Task { [instance, log] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(2))
                let silence = watch.silence(at: BootClock.now())
                let text = silence.map {
                    "\(tool) from \(source.name), without progress for \($0.time.inSeconds) s"
                }
                instance.remember { if !Task.isCancelled { $0.waitingFor = text } }
                if let text, silence?.isNews == true, !Task.isCancelled { log.warning("waiting for \(text)") }
            }
        }
    }
}

/// The command lines of the programs. Pure.
enum ToolArguments {
    static func baseBackup(
        _ configuration: LocalPostgreSQLConfiguration, from address: HostPort, into directory: String
    ) -> [String] {
        var arguments = [
            "--pgdata=\(directory)", "-X", "stream",
            "--dbname=\(source(configuration.replication, address))",
            "--progress",
        ]
        let names = configuration.baseBackupOptions.map { $0.prefix { $0 != "=" && $0 != " " } }
        // A spread checkpoint would keep a new member waiting for minutes.
        if !names.contains(where: { $0 == "--checkpoint" || $0.hasPrefix("-c") }) {
            arguments.append("--checkpoint=fast")
        }
        return arguments + configuration.baseBackupOptions
    }

    /// Whether a tool does not make durable what it writes: by these options, in which it takes the beginning of a name
    /// for the name, and `-kN` for `-k -N`.
    static func leaveOutSync(_ options: [String]) -> Bool {
        options.contains { option in
            if option.hasPrefix("--") { return option.hasPrefix("--no-s") && "--no-sync".hasPrefix(option) }
            // What follows a letter that takes a value is that value.
            return option.hasPrefix("-") && option.prefix { !"ADELTUXcFhilprtZ".contains($0) }.contains("N")
        }
    }

    static func rewind(
        _ configuration: LocalPostgreSQLConfiguration, from address: HostPort, serverVersion: Int
    ) -> [String] {
        var arguments: [String] = []
        let sameDirectory = configuration.configurationDirectory == configuration.dataDirectory
        let restoreCommand = RecoveryParameters.restoreCommand(configuration) ?? ""
        if !restoreCommand.isEmpty, serverVersion >= 150_000 || serverVersion >= 130_000 && sameDirectory {
            arguments.append("--restore-target-wal")
            if !sameDirectory { arguments.append("--config-file=\(configuration.configurationFile)") }
        }
        let database = ("dbname", configuration.database)
        arguments += [
            "--progress", "-D", configuration.dataDirectory, "--source-server",
            source(configuration.rewindCredentials, address, [database] + onlyPrimary(address)),
        ]
        return arguments + configuration.rewindOptions
    }

    /// Of several hosts elsewhere only a primary can be rewound from.
    static func onlyPrimary(_ address: HostPort) -> [(String, String)] {
        address.isSeveral ? [("target_session_attrs", "read-write")] : []
    }

    /// Without the password, which is in the password file.
    static func source(
        _ credentials: LocalPostgreSQLConfiguration.Credentials, _ address: HostPort, _ more: [(String, String)] = [],
        forScript: Bool = false
    ) -> String {
        var parameters = ParameterMap(more)
        parameters["user"] = credentials.userName
        parameters["host"] = address.host
        parameters["port"] = String(address.port)
        parameters["connect_timeout"] = "10"
        if !forScript {
            // A host that has gone without a word is waited for no longer than this; by itself the kernel waits hours.
            parameters["keepalives_idle"] = "20"
            parameters["keepalives_interval"] = "10"
            parameters["keepalives_count"] = "4"
            parameters["tcp_user_timeout"] = "60000"
        }
        for option in credentials.connectionOptions { parameters[option.name] = option.value }
        return ConnectionString.render(parameters, forScript: forScript)
    }
}
