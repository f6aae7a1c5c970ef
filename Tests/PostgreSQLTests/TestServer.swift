import CPlatform
import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes
import TestSupport

@testable import PostgreSQL

/// A directory, a port and a controller for one server of a test. Runs PostgreSQL as the user `postgres` where the
/// tests run as root, which PostgreSQL refuses, and as ourselves otherwise.
struct TestServer: Sendable {
    let root: String
    let configuration: LocalPostgreSQLConfiguration
    let controller: LocalPostgreSQL

    var upstream: Upstream { Upstream(name: configuration.name, address: configuration.connectAddress) }

    static let binDirectory: String? = {
        let versions = (try? Files.list("/usr/lib/postgresql")) ?? []
        return versions.compactMap { Int($0) }.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
            .first { Files.exists($0 + "/initdb") }
    }()

    static let commandPrefix: [String] =
        geteuid() == 0
        ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] : []

    init(
        _ name: String, in root: String, launcher: any PostmasterLauncher = QuietLauncher(),
        change: (inout LocalPostgreSQLConfiguration) -> Void = { _ in }
    ) throws {
        let configuration = try TestServer.configuration(name, in: root, change: change)
        self.root = root
        self.configuration = configuration
        controller = try TestServer.controller(configuration, launcher: launcher)
    }

    /// A controller that finds what another one has left, as a daemon does that was started again.
    static func controller(
        _ configuration: LocalPostgreSQLConfiguration, launcher: any PostmasterLauncher = QuietLauncher()
    ) throws -> LocalPostgreSQL {
        var logger = Logger(label: "test") { _ in StreamLogHandler.standardError(label: configuration.name) }
        logger.logLevel = getenv("MATRIARCH_TEST_LOG") == nil ? .critical : .debug
        return try LocalPostgreSQL(
            configuration: configuration, launcher: launcher, helper: ToolRunner.testHelper,
            commandPrefix: commandPrefix, logger: logger
        ) { document in
            var changed = configuration
            for member in document["parameters"]?.object?.members ?? [] {
                changed.parameters[member.key] = member.value.string ?? member.value.comparableText
            }
            if let rules = document["pg_hba"]?.array { changed.hostBasedAuthentication = rules.compactMap(\.string) }
            if let custom = document["custom_conf"]?.string { changed.customConfiguration = custom }
            return changed
        }
    }

    private static func configuration(
        _ name: String, in root: String, change: (inout LocalPostgreSQLConfiguration) -> Void
    ) throws -> LocalPostgreSQLConfiguration {
        let port = try freePort()
        var configuration = LocalPostgreSQLConfiguration(
            name: name, scope: "test", listenAddresses: "127.0.0.1", port: port,
            connectAddress: HostPort(host: "127.0.0.1", port: port), dataDirectory: "\(root)/\(name)",
            passwordFile: "\(root)/\(name).pgpass",
            superuser: .init(["username": "postgres", "password": "it's: secret"]),
            replication: .init(["username": "replicator", "password": "rep\\pass"]),
            parameters: [
                "listen_addresses": "127.0.0.1", "port": String(port), "cluster_name": "test", "wal_level": "replica",
                "hot_standby": "on", "max_connections": "30", "max_wal_senders": "10",
                "max_prepared_transactions": "0", "max_locks_per_transaction": "64", "track_commit_timestamp": "off",
                "max_replication_slots": "10", "max_worker_processes": "4", "wal_log_hints": "on",
                "wal_keep_size": "128MB", "unix_socket_directories": root, "fsync": "off",
                "shared_buffers": "16MB", "wal_retrieve_retry_interval": "100ms", "work_mem": "4MB",
            ])
        configuration.binDirectory = binDirectory ?? ""
        configuration.rewind = .init(["username": "rewinder", "password": "rewind"])
        configuration.hostBasedAuthentication = [
            "local all all scram-sha-256", "host all all 127.0.0.1/32 scram-sha-256",
            "local replication all scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256",
        ]
        configuration.initdbOptions = ["--encoding=UTF8", "--no-sync", "--auth=scram-sha-256"]
        change(&configuration)
        return configuration
    }

    /// The status, with a deadline that a healthy server always meets.
    func observe(within duration: Duration = .seconds(5)) async -> PostgreSQLStatus {
        await controller.observe(deadline: BootClock.now() + duration)
    }

    /// Looks until `condition` holds; the last status either way.
    func wait(
        within duration: Duration = .seconds(20), until condition: (PostgreSQLStatus) -> Bool
    ) async -> PostgreSQLStatus {
        let deadline = BootClock.now() + duration
        while true {
            let status = await observe()
            if condition(status) || BootClock.now() > deadline { return status }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Runs SQL as the superuser on a thread of its own.
    @discardableResult
    func sql(_ statement: String) async throws -> [[String?]] {
        try await sql(statement, within: .seconds(20))
    }

    @discardableResult
    func sql(_ statement: String, within duration: Duration) async throws -> [[String?]] {
        try await SQLThread.shared.run(configuration, statement, within: duration)
    }

    /// A new cluster that counts as published.
    func bootstrap() async throws(PostgreSQLError) -> OperationResult {
        _ = try await controller.perform(.bootstrap)
        return try await controller.perform(.finishBootstrap)
    }

    func startPrimary() async throws(PostgreSQLError) -> OperationResult {
        try await controller.perform(.startPrimary(timeout: .seconds(30)))
    }

    func startStandby(of upstream: Upstream?) async throws(PostgreSQLError) -> OperationResult {
        try await controller.perform(.startStandby(of: upstream, timeout: .seconds(30)))
    }

    func restart(of upstream: Upstream? = nil) async throws(PostgreSQLError) -> OperationResult {
        try await controller.restart(of: upstream)
    }

    /// A base backup of it, as an operator makes one; `wal` is what `-X` is told.
    func backUp(to place: String, wal: String = "stream", _ options: [String] = []) async throws {
        let tools = ToolRunner(helper: ToolRunner.testHelper, prefix: Self.commandPrefix)
        try await tools.succeed(
            .init(
                program: (Self.binDirectory ?? "") + "/pg_basebackup",
                arguments: [
                    "-D", place, "-X", wal, "-c", "fast", "-h", "127.0.0.1", "-p", "\(configuration.port)",
                    "-U", "replicator",
                ] + options, environment: ["PGPASSWORD": "rep\\pass"], deadline: BootClock.now() + .seconds(60)))
    }

    /// Clones from `source` and streams from it.
    func join(_ source: TestServer) async throws {
        await source.controller.apply(
            [.create(SlotName.of(member: configuration.name))], deadline: BootClock.now() + .seconds(5))
        _ = try await controller.perform(.clone(from: source.upstream, replacing: .first))
        _ = try await startStandby(of: source.upstream)
    }
}

extension LocalPostgreSQL {
    /// As a node restarts it: stop, look, start; as a standby of `upstream` where it is one.
    func restart(of upstream: Upstream? = nil) async throws(PostgreSQLError) -> OperationResult {
        _ = try await perform(.stopToRestart())
        let isStandby = await observe(deadline: BootClock.now() + .seconds(5)).hasStandbySignal
        return try await perform(
            isStandby
                ? .startStandby(of: upstream, timeout: .seconds(30)) : .startPrimary(timeout: .seconds(30)))
    }
}

/// Like the real one, without the servers' words in the output of the tests.
struct QuietLauncher: PostmasterLauncher {
    func launch(_ command: PostmasterCommand) async throws(PostgreSQLError) -> Int32 {
        var arguments = ([command.executable] + command.arguments).map { strdup($0) } + [nil]
        var environment = command.environment.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        let log = getenv("MATRIARCH_TEST_LOG") == nil ? -1 : dup(2)
        var pid: pid_t = 0
        let stdio: [Int32] = [-1, log, log]
        let code = ms_spawn_detached(
            command.executable, &arguments, &environment, command.workingDirectory, stdio, &pid)
        if code != 0 { throw .failed("spawn: \(code)") }
        return pid
    }

    func signal(_ signal: Int32, to pid: Int32) async -> Bool { kill(pid, signal) == 0 }
}

/// A thread on which the tests' own statements may block.
actor SQLThread {
    static let shared: SQLThread = {
        do { return SQLThread(executor: try ThreadExecutor(name: "test-sql")) } catch {
            preconditionFailure("\(error)")
        }
    }()
    private let executor: ThreadExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(executor: ThreadExecutor) { self.executor = executor }

    func run(
        _ configuration: LocalPostgreSQLConfiguration, _ statement: String, within duration: Duration
    ) throws -> [[String?]] {
        let deadline = BootClock.now() + duration
        let target = ConnectionTarget(parameters: [
            "host": "127.0.0.1", "port": String(configuration.port), "user": "postgres",
            "password": configuration.superuser.password ?? "", "dbname": "postgres",
        ])
        return try PostgreSQLConnection.connect(to: target, deadline: deadline).query(statement, deadline: deadline)
    }
}

/// Gives `body` a directory that belongs to the servers' user, and ends every server in it afterwards.
func withServers(_ body: (String) async throws -> Void) async throws {
    let root = try makeTemporaryDirectory("pg")
    if geteuid() == 0, let user = getpwnam("postgres") { chown(root, user.pointee.pw_uid, user.pointee.pw_gid) }
    let outcome: Result<Void, any Error>
    do { outcome = .success(try await body(root)) } catch { outcome = .failure(error) }
    for process in ProcessTable.all() {
        guard let directory = ProcessTable.workingDirectory(process.pid), directory.hasPrefix(root + "/") else {
            continue
        }
        kill(process.pid, SIGKILL)
    }
    try? Files.removeTree(root)
    try outcome.get()
}
