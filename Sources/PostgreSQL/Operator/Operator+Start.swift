import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// Starts the server and waits until it accepts connections (postgresql.md §5). Parameters that waited for a
    /// restart, and with which the server does not come up, keep their old values: whether it was stopped for them, or
    /// has ended.
    func start(_ role: ConfigurationWriter.Role, timeout: Duration, halts: Int) async throws(PostgreSQLError)
        -> OperationResult
    {
        let (pending, isRestart) = instance.remember { memory in
            defer { memory.restart = nil }
            return (memory.restart?.pending ?? memory.pendingRestart, memory.restart != nil)
        }
        do throws(PostgreSQLError) {
            return try await startOnce(role, timeout: timeout, halts: halts)
        } catch {
            guard case .failed = error, instance.postmaster() == nil, !pending.isEmpty, !Task.isCancelled,
                instance.remember({ $0.halts }) == halts
            else { throw error }
            let names = pending.map(\.parameter).joined(separator: ", ")
            log.error("PostgreSQL does not start with what is new (\(names)), the old values are taken again: \(error)")
        }
        instance.remember { $0.held = pending }
        if isRestart { instance.set(.restarting) }
        return try await startOnce(role, timeout: timeout, halts: halts)
    }

    private func startOnce(_ role: ConfigurationWriter.Role, timeout: Duration, halts: Int)
        async throws(PostgreSQLError)
        -> OperationResult
    {
        let deadline = BootClock.now() + min(timeout, .seconds(30 * 24 * 3600))
        try refuseWhileRunning()
        guard directory.version > 0 else { throw .failed("\(directory.path) holds no cluster to start") }
        instance.set(role.startingState(instance.state))
        let isRestarting = instance.state == .restarting
        if !isRestarting { instance.willStart(asStandby: role.isStandby(directory), leading: role.leadsStandbys) }
        do throws(PostgreSQLError) {
            try await instance.endOrphans(deadline: min(deadline, BootClock.now() + .seconds(10)))
            return try await startAndRepair(role, deadline: deadline, halts: halts)
        } catch {
            if instance.postmaster() == nil {
                instance.set(isRestarting ? .restartFailed : .startFailed)
                if case .failed = error, role == .primary, !isRestarting { instance.couldNotLead() }
            }
            throw error
        }
    }

    private func startAndRepair(_ role: ConfigurationWriter.Role, deadline: BootInstant, halts: Int)
        async throws(PostgreSQLError) -> OperationResult
    {
        let isStandby = role.isStandby(directory)
        try prepareToStart(role, isStandby: isStandby)
        if isStandby { await mendBegunSegments(deadline: deadline) }
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
        if case .restored(let method) = role {
            try writer.writeSignals(of: method)
            instance.take(role: .primary)
            return
        }
        try writer.writeSignals(standby: isStandby)
        instance.take(role: isStandby ? role.leadsStandbys ? .standbyLeader : .replica : .primary)
        if isStandby { instance.remember { $0.synchronous = nil } }
        guard case .standby(of: .known(let upstream)) = role else { return }
        if let upstream, upstream.hasAddress {
            try writer.writePasswords(configuration.replication, to: upstream.address)
        }
        instance.remember { $0.upstream = .known(upstream) }
    }

    private func writeAndLaunch(
        _ role: ConfigurationWriter.Role, isStandby: Bool, deadline: BootInstant, halts: Int
    ) async throws(PostgreSQLError) -> OperationResult {
        let given = configuration
        let keepsPresent = try await isUnreadable(given, for: role)
        defer { if keepsPresent { applySoon() } }
        let usable = await usable(given)
        var start = StartParameters(parameters: usable.parameters, isStandby: isStandby)
        for held in instance.remember({ $0.held }) { start.hold(held) }
        if isStandby, let control = await instance.control(deadline: deadline) {
            start.raise(to: control.minimumsOfStandby)
        }
        if case .restored(let method) = role {
            start.parameters["hba_file"] = nil
            if method.hidesRecovery { start.parameters["hot_standby"] = "off" }
        }
        for change in start.raised {
            log.warning("\(change.parameter) is raised from \(change.newValue) to \(change.oldValue), the primary's")
        }
        let writer = writer(of: usable)
        try writer.write(role, parameters: start.parameters, amends: keepsPresent)
        let result = try await launchAndWait(start, follows: role.follows, deadline: deadline, halts: halts)
        instance.remember { if $0.configuration == given, !keepsPresent { $0.readable = given } }
        do throws(SystemError) {
            // What lets nobody in is not what the cluster is to have.
            if case .restored = role { return result }
            if result == .done { try writer.saveBackups(start.parameters) }
        } catch {
            log.warning("the files of the configuration are not copied into the data directory: \(error)")
        }
        return result
    }

    /// Whether `postgres` cannot read what is new although it can read what stands there: a server that is down starts
    /// with that one, as one that runs goes on with it. What a custom bootstrap has made has no former one.
    private func isUnreadable(
        _ given: LocalPostgreSQLConfiguration, for role: ConfigurationWriter.Role
    ) async throws(PostgreSQLError) -> Bool {
        if case .restored = role { return false }
        guard let why = try await findRefusals(role, of: given) else { return false }
        log.warning("PostgreSQL cannot read the new configuration, it starts with the present one: \(why)")
        return true
    }

    private func launchAndWait(
        _ start: StartParameters, follows: Bool, deadline: BootInstant, halts: Int
    ) async throws(PostgreSQLError) -> OperationResult {
        if Task.isCancelled { throw .cancelled }
        // Made first: it reads the disk, which may take until long after PostgreSQL was halted.
        let command = try command(start.parameters)
        let mayLaunch = instance.remember { memory in
            memory.isLaunching = memory.halts == halts
            return memory.isLaunching
        }
        guard mayLaunch else { throw .failed("PostgreSQL was halted") }
        let pid: Int32
        do throws(PostgreSQLError) {
            pid = try await instance.launcher.launch(command)
        } catch {
            instance.remember { $0.isLaunching = false }
            throw error
        }
        instance.watch.watch(pid)
        let isHalted = instance.remember { memory in
            memory.launched = pid
            if memory.called.isMakingCluster { memory.bootstrapped = pid }
            // Whatever had this number before.
            memory.finished = nil
            memory.stopping = nil
            memory.standby = start.isStandby ? pid : nil
            memory.promoted = nil
            memory.isLaunching = false
            return memory.halts != halts
        }
        if isHalted {
            await instance.killTree(pid)
            throw .failed("PostgreSQL was halted")
        }
        instance.remember { memory in
            memory.isConfigurationWritten = true
            memory.owesReload = false
            memory.retry = nil
            memory.knowsPendingRestart = false
            // Known before anybody may ask the server itself.
            memory.pendingRestart = start.raised + memory.held.filter { !start.isRaised($0.parameter) }
            memory.copiedSlots = CopiedSlots()
        }
        try await begun(pid, start, deadline)
        guard try await waitUntilReady(pid, follows: follows, deadline: deadline) else { return .stillStarting }
        instance.set(.running)
        instance.isUp(inRecovery: start.isStandby)
        try? refreshPendingRestart()
        return .done
    }

    private func begun(_ pid: Int32, _ start: StartParameters, _ deadline: BootInstant) async throws(PostgreSQLError) {
        log.info("started postmaster \(pid)")
        guard !start.isStandby, let stamp = instance.remember({ $0.stamp }) else { return }
        try await instance.requireDirectory(pid, stamp, deadline: deadline)
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

    /// So long a start is waited for while nothing comes that recovery could replay.
    private static let patienceForWAL = Duration.seconds(10)

    /// True once the server accepts connections, false at the deadline, or where a standby waits for WAL: who leads may
    /// have it, and that one is followed without another start. Throws where the postmaster ends.
    func waitUntilReady(_ pid: Int32, follows: Bool, deadline: BootInstant) async throws(PostgreSQLError) -> Bool {
        let began = BootClock.now()
        var pause = Duration.milliseconds(10)
        var last: PostgreSQLError?
        var fed = began
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
            let isEarly = !follows || BootClock.now() - began < .seconds(1)
            if isEarly || RecoveryTitle.of(pid)?.isWaiting != true { fed = BootClock.now() }
            if BootClock.now() >= min(deadline, fed + Self.patienceForWAL) { return false }
            // Each question leaves a line in the server's log.
            pause = min(pause * 2, max(.milliseconds(100), min(.seconds(1), (BootClock.now() - began) / 20)))
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

    /// The stop of a restart. Files that the server could not read are told before it is stopped; the next start knows
    /// what waited for it.
    func stopToRestart(timeout: Duration = PostgreSQLOperation.customaryStopTimeout, halts: Int)
        async throws(PostgreSQLError)
    {
        try await refuseUnreadable()
        // As the server has them now; what was held back before gets another chance.
        let pending = instance.remember { memory in
            memory.held = []
            return memory.pendingRestart
        }
        instance.set(.restarting)
        instance.willRestart()
        do throws(PostgreSQLError) {
            _ = try await stop(.fastAfterCheckpoint, timeout: timeout, announce: false)
        } catch {
            if instance.postmaster() != nil { instance.set(.running) }
            throw error
        }
        guard instance.remember({ $0.halts }) == halts else { throw .failed("PostgreSQL was halted") }
        instance.remember { $0.restart = (pending, BootClock.now() + Self.restartPause) }
    }

    /// For so long after its stop a server counts as one that is restarted, though nothing is done to it.
    private static let restartPause = Duration.seconds(10)

    private func refuseUnreadable() async throws(PostgreSQLError) {
        guard instance.postmaster() != nil else { return }
        let following = instance.remember { $0.upstream }
        let role: ConfigurationWriter.Role = directory.hasStandbySignal ? .standby(of: following) : .unchanged
        guard let why = try await findRefusals(role, of: configuration) else { return }
        throw .failed("PostgreSQL is not restarted, because it could not read its new configuration: \(why)")
    }
}

/// The parameters of a start, beside what the configuration says. Pure.
struct StartParameters: Sendable, Hashable {
    var parameters: ParameterMap
    /// Those that a standby has from its primary, until a restart in which that is no longer needed.
    private(set) var raised: [PostgreSQLStatus.PendingRestart] = []
    var isStandby: Bool

    init(parameters: ParameterMap, isStandby: Bool = false) {
        self.parameters = parameters
        self.isStandby = isStandby
    }

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
        case .restored(let method): method.recovery != nil || method.keepsRecovery && directory.hasStandbySignal
        }
    }

    /// Whether it comes up as the leader of a standby cluster.
    var leadsStandbys: Bool {
        switch self {
        case .standby(of: .known(let upstream)): upstream?.isFollowedByLeader ?? false
        case .standby(of: .unknown), .primary, .unchanged, .restored: false
        }
    }

    /// Whether somebody is to send it what it lacks; a restored directory waits for its archive.
    var follows: Bool {
        switch self {
        case .standby: true
        case .primary, .unchanged, .restored: false
        }
    }

    /// What the state is while it starts.
    func startingState(_ state: PostgreSQLState) -> PostgreSQLState {
        switch self {
        case .restored: .startingAfterCustomBootstrap
        case .primary, .standby, .unchanged: state == .restarting ? .restarting : .starting
        }
    }
}
