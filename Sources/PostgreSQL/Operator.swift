import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// Carries out operations, one at a time, on a thread of its own: what blocks there (files, SQL) keeps nobody else
/// waiting.
actor Operator {
    let instance: Instance
    private let executor: ThreadExecutor
    private var turns = Turns()
    /// A configuration came while an operation was under way; it is applied afterwards.
    private var hasPostponedConfiguration = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    var configuration: LocalPostgreSQLConfiguration { instance.configuration }
    var writer: ConfigurationWriter {
        ConfigurationWriter(configuration: configuration) { [log] in log.warning("\($0)") }
    }
    var directory: DataDirectory { instance.dataDirectory }
    var log: Logger { instance.log }

    init(_ instance: Instance) throws(SystemError) {
        self.instance = instance
        executor = try ThreadExecutor(name: "pg-operator")
    }

    func perform(_ operation: PostgreSQLOperation) async throws(PostgreSQLError) -> OperationResult {
        try await takeTurn()
        instance.remember { $0.operation = operation.name }
        let halts = instance.remember { $0.halts }
        let outcome: Result<OperationResult, PostgreSQLError>
        do throws(PostgreSQLError) {
            outcome = .success(try await carryOut(operation, halts: halts))
        } catch {
            outcome = .failure(Task.isCancelled ? .cancelled : error)
        }
        instance.remember { $0.operation = nil }
        if hasPostponedConfiguration, turns.waiting.isEmpty { await applyPostponedConfiguration() }
        passTurn()
        return try outcome.get()
    }

    private func carryOut(_ operation: PostgreSQLOperation, halts: Int) async throws(PostgreSQLError) -> OperationResult
    {
        try await lockDirectory(for: operation)
        switch operation {
        case .bootstrap:
            try await bootstrap(halts: halts)
            return .done
        case .clone(let source, let replacing):
            try await clone(from: source, replacing: replacing)
            return .done
        case .finishBootstrap:
            try finishBootstrap()
            return .done
        case .startPrimary(let timeout):
            try refuseUnfinished()
            return try await start(.primary, timeout: timeout, halts: halts)
        case .startStandby(let upstream, let timeout):
            try refuseUnfinished()
            return try await start(.standby(of: .known(upstream)), timeout: timeout, halts: halts)
        case .follow(let upstream):
            return try await follow(upstream, halts: halts)
        case .resumeReplay:
            try resumeReplay()
            return .done
        case .promote:
            try await promote()
            return .done
        case .stop(let mode, let timeout, let heirs):
            return try await stop(mode, timeout: timeout, heirs: heirs)
        case .restart(let timeout, let stopTimeout):
            try refuseUnfinished()
            return try await restart(timeout: timeout, stopTimeout: stopTimeout, halts: halts)
        case .rewind(let source):
            try await rewind(from: source)
            return .done
        case .recoverSingleUser:
            try refuseUnfinished()
            try await recoverSingleUser()
            return .done
        case .setAsideDataDirectory:
            try refuseWhileRunning()
            try directory.setAside()
            forgetCluster()
            return .done
        }
    }

    /// S12: nothing is touched while a helper of an earlier daemon works there. What only ends a server, or lets it
    /// lead, waits for nobody.
    private func lockDirectory(for operation: PostgreSQLOperation) async throws(PostgreSQLError) {
        switch operation {
        case .stop, .promote, .follow, .resumeReplay: return
        case .bootstrap, .clone:
            do throws(SystemError) {
                try directory.makeDirectory()
            } catch {
                throw .failed("cannot make the data directory: \(error)")
            }
        case .finishBootstrap, .startPrimary, .startStandby, .restart, .rewind, .recoverSingleUser,
            .setAsideDataDirectory:
            break
        }
        try await instance.lock.acquire(directory.path, deadline: BootClock.now() + .seconds(10))
    }

    /// What an earlier daemon has left at work in the directory ends.
    func claimDirectory(deadline: BootInstant) async throws(PostgreSQLError) {
        try await instance.lock.acquire(directory.path, deadline: deadline)
    }

    func refuseWhileRunning() throws(PostgreSQLError) {
        if let postmaster = instance.postmaster() {
            throw .failed("PostgreSQL is running (postmaster \(postmaster.pid)); it must be stopped first")
        }
    }

    /// S11, whatever the rules say: what was broken off is not started. A mark that no longer says anything goes.
    func refuseUnfinished() throws(PostgreSQLError) {
        if let work = directory.look().unfinished {
            throw .failed("\(directory.path) holds what \(work.name) has left by halves: it is not started")
        }
        do throws(SystemError) {
            guard try directory.readMark() != nil else { return }
            log.warning("a whole cluster stands in \(directory.path) now: the mark of an unfinished one is removed")
            try directory.removeMark()
        } catch {
            throw .failed("cannot remove the mark in the data directory: \(error)")
        }
    }

    /// After the data directory went: nothing that was known of it holds.
    func forgetCluster() {
        instance.remember { memory in
            memory.systemIdentifier = nil
            memory.control = nil
            memory.pendingRestart = []
            memory.upstream = .unknown
        }
    }
}

// MARK: - Taking turns

extension Operator {
    /// Who waits for the operation under way to end. Its length is bounded by the callers, who wait for their answers.
    struct Turns {
        var isTaken = false
        var next: UInt64 = 0
        var waiting: [(id: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    private func takeTurn() async throws(PostgreSQLError) {
        if !turns.isTaken {
            turns.isTaken = true
            return
        }
        turns.next += 1
        let id = turns.next
        let granted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume(returning: false)
                } else {
                    turns.waiting.append((id, continuation))
                }
            }
        } onCancel: {
            Task { await self.giveUpTurn(id) }
        }
        if !granted { throw .cancelled }
    }

    private func giveUpTurn(_ id: UInt64) {
        guard let index = turns.waiting.firstIndex(where: { $0.id == id }) else { return }
        turns.waiting.remove(at: index).continuation.resume(returning: false)
    }

    private func passTurn() {
        if turns.waiting.isEmpty {
            turns.isTaken = false
        } else {
            turns.waiting.removeFirst().continuation.resume(returning: true)
        }
    }
}

// MARK: - A new configuration

extension Operator {
    /// Takes over a configuration: at once where nothing is under way, else when the operation has ended. Operations
    /// that begin meanwhile work with the new values.
    func adopt(_ new: LocalPostgreSQLConfiguration) async throws(PostgreSQLError) {
        let isNews = instance.remember { memory in
            let differs = memory.configuration != new
            memory.configuration = new
            if differs { memory.refusedParameters = [] }
            return differs || !memory.isConfigurationWritten
        }
        guard isNews else { return }
        if turns.isTaken {
            hasPostponedConfiguration = true
            return
        }
        try await applyInTurn()
    }

    /// Generated files are written again, whatever became of them since: what was edited by hand is undone.
    func refreshFiles() async throws(PostgreSQLError) {
        if turns.isTaken {
            hasPostponedConfiguration = true
            return
        }
        try await applyInTurn()
    }

    /// What comes while files are written and read is applied right afterwards: no operation may follow for long.
    private func applyInTurn() async throws(PostgreSQLError) {
        turns.isTaken = true
        defer { passTurn() }
        try await applyConfiguration()
        while hasPostponedConfiguration, turns.waiting.isEmpty { await applyPostponedConfiguration() }
    }

    private func applyPostponedConfiguration() async {
        do throws(PostgreSQLError) {
            try await applyConfiguration()
        } catch {
            log.error("cannot apply the new configuration: \(error)")
        }
    }

    /// Writes the files of a running server and reloads it; a server that is down gets them when it starts.
    private func applyConfiguration() async throws(PostgreSQLError) {
        hasPostponedConfiguration = false
        guard instance.postmaster() != nil else { return }
        instance.remember { $0.isConfigurationWritten = false }
        let following = instance.remember { $0.upstream }
        let role: ConfigurationWriter.Role = directory.hasStandbySignal ? .standby(of: following) : .unchanged
        if try writer.write(role, parameters: usableParameters()) {
            log.info("the files of PostgreSQL's configuration have changed: they are read again")
            await dropRefusedParameters(role)
            try await reload()
        }
        try refreshPendingRestart()
        instance.remember { $0.isConfigurationWritten = true }
    }

    /// SIGHUP, and the wait until a session sees that the files were read.
    func reload() async throws(PostgreSQLError) {
        guard let postmaster = instance.postmaster() else { throw .failed("PostgreSQL is not running") }
        let deadline = BootClock.now() + .seconds(5)
        let connection = try? instance.connect(deadline: deadline)
        let before = try? loadTime(connection, deadline)
        guard await instance.launcher.signal(SIGHUP, to: postmaster.pid) else {
            throw .failed("cannot signal postmaster \(postmaster.pid)")
        }
        guard let connection, let before else { return }
        var pause = Duration.milliseconds(2)
        while BootClock.now() < deadline {
            if let now = try? loadTime(connection, deadline), now != before { return }
            if Task.isCancelled { throw .cancelled }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(50))
        }
        log.warning("PostgreSQL has not read its configuration within 5 s")
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
        let pending = try PendingRestartQuery.run(connection, configuration, deadline: deadline)
        instance.remember { memory in
            memory.pendingRestart = pending
            memory.knowsPendingRestart = true
        }
        for change in pending {
            log.info("\(change.parameter) changes from \(change.oldValue) to \(change.newValue) at the next restart")
        }
    }

    /// The parameters without those that the server has refused to read.
    func usableParameters() -> ParameterMap {
        let unreadable = configuration.parameters.entries.filter { !ConfigurationText.isName($0.name) }
        let (refused, new) = instance.remember { memory in
            let new = unreadable.filter { memory.refusedParameters.insert($0.name.lowercased()).inserted }
            return (memory.refusedParameters, new)
        }
        for entry in new {
            log.warning("\(entry.name) is no name of a parameter that PostgreSQL could read: it is left out")
        }
        return configuration.parameters.filter { !refused.contains($0) }
    }

    /// Asks `postgres` itself to read the file, and leaves out each parameter that it names as wrong: one bad value
    /// must not keep the server from starting. Whether anything was left out.
    @discardableResult
    func dropRefusedParameters(_ role: ConfigurationWriter.Role) async -> Bool {
        var dropped = false
        // Each round finds at least one; more bad parameters than this are a broken configuration.
        for _ in 0..<20 {
            let invocation = ToolRunner.Invocation(
                program: instance.program("postgres"),
                arguments: [
                    "-D", directory.path, "--config-file=\(configuration.configurationFile)", "-C", "data_directory",
                ],
                environment: Instance.plainLocale, deadline: BootClock.now() + .seconds(10))
            guard let output = try? await instance.tools.run(invocation), output.status != 0 else { return dropped }
            let refused = RefusedParameters.find(in: output.text).filter { configuration.parameters[$0] != nil }
            if refused.isEmpty { return dropped }
            let new = instance.remember { memory in
                let new = refused.filter { !memory.refusedParameters.contains($0) }
                memory.refusedParameters.formUnion(new)
                return new
            }
            if new.isEmpty { return dropped }
            for name in new {
                let value = Secrets.masked(configuration.parameters[name] ?? "")
                log.error("PostgreSQL refuses \(name) = \(value): it is left out")
            }
            dropped = true
            _ = try? writer.write(role, parameters: usableParameters())
        }
        return dropped
    }
}

/// The parameters that PostgreSQL names in its complaints about a file.
enum RefusedParameters {
    /// `unrecognized configuration parameter "x"`, `invalid value for parameter "x": "y"`,
    /// `70000 is outside the valid range for parameter "port" (1 .. 65535)`, …
    static func find(in text: String) -> [String] {
        var names: [String] = []
        for line in text.split(separator: "\n") {
            guard let mark = line.firstRange(of: "parameter \"") else { continue }
            let name = String(line[mark.upperBound...].prefix { $0 != "\"" }).lowercased()
            if !name.isEmpty, !names.contains(name) { names.append(name) }
        }
        return names
    }
}
