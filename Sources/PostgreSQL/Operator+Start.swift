import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// Starts the server and waits until it accepts connections (postgresql.md §5).
    func start(_ role: ConfigurationWriter.Role, timeout: Duration, halts: Int) async throws(PostgreSQLError)
        -> OperationResult
    {
        let deadline = BootClock.now() + min(timeout, .seconds(30 * 24 * 3600))
        try refuseWhileRunning()
        guard directory.version > 0 else { throw .failed("\(directory.path) holds no cluster to start") }
        instance.set(instance.state == .restarting ? .restarting : .starting)
        do throws(PostgreSQLError) {
            try await instance.endOrphans(deadline: min(deadline, BootClock.now() + .seconds(10)))
            return try await startAndRepair(role, deadline: deadline, halts: halts)
        } catch {
            if instance.postmaster() == nil {
                instance.set(instance.state == .restarting ? .restartFailed : .startFailed)
            }
            throw error
        }
    }

    private func startAndRepair(_ role: ConfigurationWriter.Role, deadline: BootInstant, halts: Int)
        async throws(PostgreSQLError) -> OperationResult
    {
        let isStandby = role.isStandby(directory)
        try prepareToStart(role, isStandby: isStandby)
        // The program may be another one than at the last start.
        instance.remember { $0.describedParameters = nil }
        do throws(PostgreSQLError) {
            return try await writeAndLaunch(role, isStandby: isStandby, deadline: deadline, halts: halts)
        } catch {
            // Only a server that would not even read its files is worth a second try with others.
            guard case .failed = error, instance.postmaster() == nil else { throw error }
            let isOther = await dropRefusedParameters(role)
            guard takeFormerRules() || isOther else { throw error }
        }
        defer { tryRulesAgain() }
        return try await writeAndLaunch(role, isStandby: isStandby, deadline: deadline, halts: halts)
    }

    private func prepareToStart(_ role: ConfigurationWriter.Role, isStandby: Bool) throws(PostgreSQLError) {
        try writer.writeSignals(standby: isStandby)
        instance.take(role: isStandby ? .replica : .primary)
        guard case .standby(of: .known(let upstream)) = role else { return }
        if let upstream { try writer.writePasswords(configuration.replication, to: upstream.address) }
        instance.remember { $0.upstream = .known(upstream) }
    }

    private func writeAndLaunch(
        _ role: ConfigurationWriter.Role, isStandby: Bool, deadline: BootInstant, halts: Int
    ) async throws(PostgreSQLError) -> OperationResult {
        let usable = await usable()
        var start = StartParameters(parameters: usable.parameters)
        for held in instance.remember({ $0.held }) { start.hold(held) }
        if isStandby, let control = await instance.control(deadline: deadline) {
            start.raise(to: control.minimumsOfStandby)
        }
        for change in start.raised {
            log.warning("\(change.parameter) is raised from \(change.newValue) to \(change.oldValue), the primary's")
        }
        let writer = writer(of: usable)
        try writer.write(role, parameters: start.parameters)
        let result = try await launchAndWait(start, deadline: deadline, halts: halts)
        do throws(SystemError) {
            if result == .done { try writer.saveBackups(start.parameters) }
        } catch {
            log.warning("the files of the configuration are not copied into the data directory: \(error)")
        }
        return result
    }

    private func launchAndWait(_ start: StartParameters, deadline: BootInstant, halts: Int)
        async throws(PostgreSQLError) -> OperationResult
    {
        if Task.isCancelled { throw .cancelled }
        guard instance.remember({ $0.halts }) == halts else { throw .failed("PostgreSQL was halted") }
        let pid = try await instance.launcher.launch(command(start.parameters))
        instance.watch.watch(pid)
        instance.remember { memory in
            memory.launched = pid
            memory.isConfigurationWritten = true
            memory.owesReload = false
            memory.retry = nil
            memory.knowsPendingRestart = false
            // Known before anybody may ask the server itself.
            memory.pendingRestart = start.raised + memory.held.filter { !start.isRaised($0.parameter) }
            memory.copiedSlots = CopiedSlots()
        }
        log.info("started postmaster \(pid)")
        guard try await waitUntilReady(pid, deadline: deadline) else { return .stillStarting }
        instance.set(.running)
        try? refreshPendingRestart()
        return .done
    }

    private func command(_ parameters: ParameterMap) throws(PostgreSQLError) -> PostmasterCommand {
        let arguments =
            ["-D", directory.path, "--config-file=\(configuration.configurationFile)"]
            + ControlledParameters.arguments(parameters)
        let words = instance.tools.prefix + [instance.program("postgres")] + arguments
        guard let executable = words[0].utf8.contains(UInt8(ascii: "/")) ? words[0] : ToolRunner.find(words[0]) else {
            throw .failed("there is no program \(words[0])")
        }
        return PostmasterCommand(
            executable: executable, arguments: Array(words.dropFirst()),
            environment: PostmasterEnvironment.filtered(
                ProcessEnvironment.entries, staleOwner: instance.ownerOfStalePidFile()),
            workingDirectory: directory.path, isStandby: directory.hasStandbySignal)
    }

    /// True once the server accepts connections, false at the deadline; throws where the postmaster ends.
    func waitUntilReady(_ pid: Int32, deadline: BootInstant) async throws(PostgreSQLError) -> Bool {
        var pause = Duration.milliseconds(10)
        var last: PostgreSQLError?
        while true {
            let now = BootClock.now()
            let error = attempt(pid, min(deadline, now + .seconds(3)))
            guard let error else { return true }
            if error == .cancelled { throw .cancelled }
            if error.isOfStranger { last = error }
            if await instance.watch.waitForExit(of: pid, deadline: min(deadline, BootClock.now() + pause)) {
                // Not its files are wrong: a second start with others would end like this one.
                throw last ?? .failed("postmaster \(pid) ended while it started; its log says why")
            }
            if Task.isCancelled { throw .cancelled }
            if BootClock.now() >= deadline { return false }
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    /// Nil where the server let us in, or refused us for a reason that has nothing to do with its start. A server of
    /// another directory may stand in its place and do either.
    private func attempt(_ pid: Int32, _ deadline: BootInstant) -> PostgreSQLError? {
        do throws(PostgreSQLError) {
            _ = try instance.connect(deadline: deadline)
            return nil
        } catch {
            if error.isRejection || error.isUnanswered || error.isTimeout || error == .cancelled { return error }
            guard instance.postmaster()?.isReady == true else { return instance.refusedByStranger(error) }
            log.warning("PostgreSQL accepts connections, but not ours: \(error)")
            return nil
        }
    }

    /// A stop within its own time, and a start within `timeout`, which is its alone. Files that the server could not
    /// read are told before it is stopped; parameters with which it does not start keep their old values.
    func restart(
        timeout: Duration, stopTimeout: Duration = PostgreSQLOperation.customaryStopTimeout, halts: Int
    ) async throws(PostgreSQLError) -> OperationResult {
        try await refuseUnreadable()
        // As the server has them now; what was held back before gets another chance.
        let pending = instance.remember { memory in
            memory.held = []
            return memory.pendingRestart
        }
        instance.set(.restarting)
        do throws(PostgreSQLError) {
            _ = try await stop(.fastAfterCheckpoint, timeout: stopTimeout, announce: false)
        } catch {
            if instance.postmaster() != nil { instance.set(.running) }
            throw error
        }
        do throws(PostgreSQLError) {
            return try await start(.unchanged, timeout: timeout, halts: halts)
        } catch {
            guard case .failed = error, instance.postmaster() == nil, !pending.isEmpty, !Task.isCancelled,
                instance.remember({ $0.halts }) == halts
            else { throw error }
            let names = pending.map(\.parameter).joined(separator: ", ")
            log.error("PostgreSQL does not start with what is new (\(names)), the old values are taken again: \(error)")
        }
        instance.remember { $0.held = pending }
        instance.set(.restarting)
        return try await start(.unchanged, timeout: timeout, halts: halts)
    }

    private func refuseUnreadable() async throws(PostgreSQLError) {
        guard instance.postmaster() != nil else { return }
        let following = instance.remember { $0.upstream }
        let role: ConfigurationWriter.Role = directory.hasStandbySignal ? .standby(of: following) : .unchanged
        guard let why = try await findRefusals(role) else { return }
        throw .failed("PostgreSQL is not restarted, because it could not read its new configuration: \(why)")
    }
}

/// The parameters of a start, beside what the configuration says. Pure.
struct StartParameters: Sendable, Hashable {
    var parameters: ParameterMap
    /// Those that a standby has from its primary, until a restart in which that is no longer needed.
    private(set) var raised: [PostgreSQLStatus.PendingRestart] = []

    init(parameters: ParameterMap) { self.parameters = parameters }

    /// The server does not start with the new value: it gets the old one.
    mutating func hold(_ change: PostgreSQLStatus.PendingRestart) { parameters[change.parameter] = change.oldValue }

    func isRaised(_ parameter: String) -> Bool { raised.contains { $0.parameter == parameter } }

    /// What a standby must not undercut (postgresql.md §12.4).
    mutating func raise(to minimums: [(parameter: String, value: Int)]) {
        (parameters, raised) = ControlledParameters.raised(parameters, to: minimums)
    }
}

extension ConfigurationWriter.Role {
    func isStandby(_ directory: DataDirectory) -> Bool {
        switch self {
        case .primary: false
        case .standby: true
        case .unchanged: directory.hasStandbySignal
        }
    }
}
