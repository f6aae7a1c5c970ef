import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// A new cluster; one that could not be made is no reason to tell callbacks nothing.
    func makeCluster(halts: Int) async throws(PostgreSQLError) {
        do throws(PostgreSQLError) {
            try await bootstrap(halts: halts)
        } catch {
            instance.remember { $0.called.isMakingCluster = false }
            throw error
        }
    }

    /// Initdb, configuration, start, users (postgresql.md §17).
    private func bootstrap(halts: Int) async throws(PostgreSQLError) {
        try refuseWhileRunning()
        guard directory.inspect() == .empty else { throw .failed("the data directory \(directory.path) is not empty") }
        forgetCluster()
        instance.remember { memory in
            memory.called.isMakingCluster = true
            memory.bootstrapped = nil
        }
        if let method = configuration.customBootstrap { return try await bootstrap(by: method, halts: halts) }
        instance.set(.initializing)
        do throws(PostgreSQLError) {
            try await makeNewDirectory()
            if configuration.hostBasedAuthentication == nil { try writer.appendBootstrapHostBasedAuthentication() }
        } catch {
            instance.set(.initdbFailed)
            throw error
        }
        let timeout = configuration.startTimeout
        try await stoppingWhereItFails { () async throws(PostgreSQLError) in
            guard try await start(.primary, timeout: timeout, halts: halts) == .done else {
                throw .timedOut("the first start of PostgreSQL")
            }
            try await prepareNewCluster()
            try markComplete()
        }
    }

    /// From now on it may be published.
    func markComplete() throws(PostgreSQLError) {
        do throws(SystemError) {
            try directory.markComplete()
        } catch {
            throw .failed("cannot mark the new cluster as complete: \(error)")
        }
    }

    /// A cluster without its users is of no use to anybody; what has begun must not look like a primary. A server that
    /// somebody else has started there meanwhile is not ours to stop.
    func stoppingWhereItFails(_ body: () async throws(PostgreSQLError) -> Void) async throws(PostgreSQLError) {
        do throws(PostgreSQLError) {
            try await body()
        } catch {
            try? await stopBootstrapped(timeout: .seconds(5))
            throw error
        }
    }

    /// The server of the new cluster, known by its process: whatever became of the directory and of the mark in it.
    func stopBootstrapped(timeout: Duration) async throws(PostgreSQLError) {
        guard let pid = instance.remember({ $0.bootstrapped }) else { return }
        if instance.knownPostmaster() == pid { _ = try await stop(.immediate, timeout: timeout) }
        instance.remember { $0.bootstrapped = nil }
    }

    /// The cluster is nobody's until it is published: a daemon that finds the mark moves it aside.
    private func makeNewDirectory() async throws(PostgreSQLError) {
        var mark = try directory.beginFilling(.bootstrap)
        let places = ToolPlaces(options: configuration.initdbOptions, mark)
        mark = try directory.beginDraft(mark, places: places.filled)
        try await runInitdb(places.arguments)
        try await synchronizeDraft(after: configuration.initdbOptions)
        try install(mark)
    }

    /// Not where somebody has restored a cluster meanwhile, or has started one.
    func install(_ mark: UnfinishedMark) throws(PostgreSQLError) {
        try directory.requireRoom(for: mark)
        try refuseWhileRunning()
        try directory.installDraft(mark)
    }

    func finishBootstrap() throws(PostgreSQLError) {
        do throws(SystemError) {
            try directory.removeMark()
        } catch {
            throw .failed("cannot remove the mark in the data directory: \(error)")
        }
        let isNew = instance.remember { memory in
            memory.bootstrapped = nil
            defer { memory.called.isMakingCluster = false }
            // The next look at the new server would tell of its start once more.
            if memory.called.isMakingCluster { memory.called.pending = nil }
            return memory.called.isMakingCluster
        }
        if isNew, instance.postmaster() != nil { instance.call(.start, .primary) }
    }

    private func runInitdb(_ more: [String]) async throws(PostgreSQLError) {
        var arguments = configuration.initdbOptions + more
        if let user = configuration.superuser.userName { arguments.append("--username=\(user)") }
        // In the data directory: that we may write there, and nobody may read there, is certain.
        let passwords = directory.secret
        defer { unlink(passwords) }
        if let password = configuration.superuser.password {
            do throws(SystemError) {
                _ = try writer.put(password + "\n", passwords, mode: 0o600)
            } catch {
                throw .failed("cannot write the password for initdb: \(error)")
            }
            arguments.append("--pwfile=\(passwords)")
        }
        arguments += ["-D", directory.draft]
        let text = try await instance.tools.succeed(
            .init(
                program: instance.program("initdb"), arguments: arguments, deadline: BootClock.now() + .seconds(600)))
        log.debug("initdb: \(text)")
    }

    func prepareNewCluster() async throws(PostgreSQLError) {
        let deadline = BootClock.now() + .seconds(60)
        let connection = try instance.connect(statementTimeout: .zero, deadline: deadline)
        for statement in UserStatements.session { try connection.query(statement, deadline: deadline) }
        let configuration = configuration
        if configuration.superuser.password != nil {
            try createOrAlter(configuration.superuser, "SUPERUSER", connection, deadline)
        }
        if let command = configuration.postBootstrap { try await runPostBootstrap(command) }
        if configuration.replication.userName != configuration.superuser.userName {
            try createOrAlter(configuration.replication, "REPLICATION", connection, deadline)
        }
        if let rewind = configuration.rewind, rewind.userName != configuration.superuser.userName {
            let isReplication = rewind.userName == configuration.replication.userName
            try createOrAlter(rewind, isReplication ? "REPLICATION" : nil, connection, deadline)
            for statement in UserStatements.rewindGrants(to: rewind.userName ?? "") {
                try connection.query(statement, deadline: deadline)
            }
        }
    }

    private func createOrAlter(
        _ credentials: LocalPostgreSQLConfiguration.Credentials, _ option: String?, _ connection: PostgreSQLConnection,
        _ deadline: BootInstant
    ) throws(PostgreSQLError) {
        guard let name = credentials.userName else { return }
        let found = try connection.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [name], deadline: deadline)
        let statement = UserStatements.role(
            name, exists: !found.isEmpty, password: credentials.password, options: option.map { [$0] } ?? [])
        try connection.query(statement, deadline: deadline)
    }

    private func runPostBootstrap(_ command: String) async throws(PostgreSQLError) {
        let configuration = configuration
        let local = configuration.localAddress(
            socket: configuration.usesUnixSocket, running: instance.postmaster())
        var parameters = ParameterMap()
        parameters["dbname"] = configuration.database
        parameters["user"] = configuration.superuser.userName
        parameters["host"] = local.host
        parameters["port"] = String(local.port)
        for option in configuration.superuser.connectionOptions { parameters[option.name] = option.value }
        try writer.writePasswords(
            configuration.superuser, to: HostPort(host: local.host ?? "localhost", port: local.port))
        // The shell splits the command into words; the connection string comes as one more.
        try await instance.tools.succeed(
            .init(
                program: "sh",
                arguments: ["-c", command + " \"$1\"", "sh", ConnectionString.render(parameters, forScript: true)],
                environment: UserCommand.environment().merging([
                    "PGPASSFILE": configuration.passwordFile,
                    "PGOPTIONS": "-c synchronous_commit=local -c statement_timeout=0",
                ]) { $1 },
                deadline: BootClock.now() + .seconds(3600)))
    }
}

/// The statements that make the users of a new cluster (postgresql.md §18). Pure.
enum UserStatements {
    /// Passwords must not reach the server's log, and no standby is there yet to confirm anything.
    static let session = [
        "SET log_statement TO none", "SET log_min_duration_statement TO -1", "SET log_min_error_statement TO log",
        "SET synchronous_commit TO local",
    ]

    static func role(_ name: String, exists: Bool, password: String?, options: [String]) -> String {
        var words = [exists ? "ALTER ROLE" : "CREATE ROLE", SQLText.identifier(name), "WITH", "LOGIN"] + options
        if let password { words.append("PASSWORD " + SQLText.literal(password)) }
        return words.joined(separator: " ")
    }

    /// What pg_rewind calls on its source.
    static func rewindGrants(to name: String) -> [String] {
        let functions = [
            "pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)", "pg_read_binary_file(text)",
            "pg_read_binary_file(text, bigint, bigint, boolean)",
        ]
        return functions.map { "GRANT EXECUTE ON FUNCTION pg_catalog.\($0) TO \(SQLText.identifier(name))" }
    }
}
