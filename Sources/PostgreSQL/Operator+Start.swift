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
        let parameters = await startParameters(isStandby: isStandby, deadline)
        try writer.write(role, parameters: parameters)
        do throws(PostgreSQLError) {
            return try await launchAndWait(parameters, deadline: deadline, halts: halts)
        } catch {
            // Only a server that would not even read its files is worth a second try with fewer parameters.
            guard case .failed = error, instance.postmaster() == nil, await dropRefusedParameters(role) else {
                throw error
            }
        }
        let fewer = await startParameters(isStandby: isStandby, deadline)
        try writer.write(role, parameters: fewer)
        return try await launchAndWait(fewer, deadline: deadline, halts: halts)
    }

    private func prepareToStart(_ role: ConfigurationWriter.Role, isStandby: Bool) throws(PostgreSQLError) {
        try writer.writeSignals(standby: isStandby)
        guard case .standby(of: .known(let upstream)) = role else { return }
        if let upstream { try writer.writePasswords(configuration.replication, to: upstream.address) }
        instance.remember { $0.upstream = .known(upstream) }
    }

    private func startParameters(isStandby: Bool, _ deadline: BootInstant) async -> ParameterMap {
        let parameters = usableParameters()
        guard isStandby, let control = await instance.control(deadline: deadline) else { return parameters }
        let raised = ControlledParameters.raised(parameters, to: control.minimumsOfStandby)
        for change in raised.pending {
            log.warning("\(change.parameter) is raised from \(change.newValue) to \(change.oldValue), the primary's")
        }
        return raised.parameters
    }

    private func launchAndWait(_ parameters: ParameterMap, deadline: BootInstant, halts: Int)
        async throws(PostgreSQLError) -> OperationResult
    {
        if Task.isCancelled { throw .cancelled }
        guard instance.remember({ $0.halts }) == halts else { throw .failed("PostgreSQL was halted") }
        let pid = try await instance.launcher.launch(command(parameters))
        instance.watch.watch(pid)
        instance.remember { memory in
            memory.launched = pid
            memory.isConfigurationWritten = true
            memory.knowsPendingRestart = false
            memory.pendingRestart = []
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
        while true {
            let now = BootClock.now()
            if let error = attempt(min(deadline, now + .seconds(3))) {
                if error == .cancelled { throw .cancelled }
            } else {
                return true
            }
            if await instance.watch.waitForExit(of: pid, deadline: min(deadline, BootClock.now() + pause)) {
                throw .failed("postmaster \(pid) ended while it started; its log says why")
            }
            if Task.isCancelled { throw .cancelled }
            if BootClock.now() >= deadline { return false }
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    /// Nil where the server let us in, or refused us for a reason that has nothing to do with its start.
    private func attempt(_ deadline: BootInstant) -> PostgreSQLError? {
        do throws(PostgreSQLError) {
            _ = try instance.connect(deadline: deadline)
            return nil
        } catch {
            if error.isRejection || error.isUnanswered || error.isTimeout || error == .cancelled { return error }
            log.warning("PostgreSQL accepts connections, but not ours: \(error)")
            return nil
        }
    }

    /// A stop within its own time, and a start within `timeout`, which is its alone.
    func restart(
        timeout: Duration, stopTimeout: Duration = PostgreSQLOperation.customaryStopTimeout, halts: Int
    ) async throws(PostgreSQLError) -> OperationResult {
        instance.set(.restarting)
        do throws(PostgreSQLError) {
            _ = try await stop(.fastAfterCheckpoint, timeout: stopTimeout, announce: false)
        } catch {
            if instance.postmaster() != nil { instance.set(.running) }
            throw error
        }
        return try await start(.unchanged, timeout: timeout, halts: halts)
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
