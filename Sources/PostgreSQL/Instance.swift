import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes
import Synchronization

/// What the parts of the controller share about one instance: its configuration, what is remembered of it, and the ways
/// to reach it. Every value that changes is in `memory`; locks are held for a copy, never over I/O.
final class Instance: Sendable {
    let launcher: any PostmasterLauncher
    let tools: ToolRunner
    /// Of whoever writes in the data directory.
    let lock: DirectoryLock
    let watch: PostmasterWatch
    let log: Logger
    private let memory: Mutex<Memory>

    struct Memory: Sendable {
        /// As it was given.
        var given: LocalPostgreSQLConfiguration
        /// What of it holds for a server of `role`.
        var configuration: LocalPostgreSQLConfiguration
        /// What the server is, or was when it was last seen; nil where there is none.
        var role: LocalPostgreSQLConfiguration.Role?
        /// Since when: a look that began before tells of another role.
        var roleSince = BootClock.now()
        var state = PostgreSQLState.stopped
        /// False while the files may still be those of an earlier configuration: of a server that we found running.
        var isConfigurationWritten = false
        /// The name of the operation under way.
        var operation: String?
        /// The postmaster that we have started, found or were told of. It is ours as long as it lives, whatever becomes
        /// of the pid file: that comes a moment later, and goes with the data directory.
        var launched: Int32?
        var systemIdentifier: String?
        var control: CachedControl?
        var pendingRestart: [PostgreSQLStatus.PendingRestart] = []
        /// False until the parameters of a server that we found running were compared.
        var knowsPendingRestart = false
        /// What is known of copies of logical slots since the server was started.
        var copiedSlots = CopiedSlots()
        /// Whom the standby follows, as far as we have set it ourselves.
        var upstream: Following = .unknown
        /// The postmaster that was told to stop, and when the control file was last written before.
        var stopping: (pid: Int32, stamp: Int64?)?
        /// A postmaster that may still be there and accepts no writes any more: the proof.
        var finished: (pid: Int32, how: PostgreSQLStatus.Finish)?
        /// What the stop under way waits for.
        var waitingFor: String?
        /// What a server that is silent owes.
        var owed = Owed()
        /// The log knows that the disk has not answered yet.
        var hasToldUnseen = false
        /// Where the server was last connected to.
        var door: Knock.Door?
        /// Counts the calls of `halt`: an operation that finds it changed starts nothing any more.
        var halts = 0
        /// Parameters that the server has refused to read, in lower case, with the values that it did not take: they
        /// are left out of the file.
        var refusedParameters: [String: String] = [:]
        /// The text of a pg_hba.conf that the server did not take.
        var refusedRules: String?
        /// What was said of parameters, so that it is said once.
        var toldOfParameters: Set<ParameterRule.Note> = []
        /// Parameters with which the server did not start: it runs with their old values.
        var held: [PostgreSQLStatus.PendingRestart] = []
        /// The parameters that the server lists itself; nil until it was asked.
        var describedParameters: Set<String>?
        /// The files may say what the running server has not read yet: of a server that we found running, and after a
        /// reload that nobody saw happen.
        var owesReload = true
        /// When the configuration is applied once more, after it could not be; and how long is waited next.
        var retry: (at: BootInstant, pause: Duration)?
    }

    struct CachedControl: Sendable {
        /// When the control file was last written.
        var stamp: Int64
        var output: ControlDataOutput
    }

    enum Following: Sendable, Hashable {
        /// After a restart of the daemon: what the configuration file says stands.
        case unknown
        case known(Upstream?)
    }

    init(
        configuration: LocalPostgreSQLConfiguration, launcher: any PostmasterLauncher, tools: ToolRunner, log: Logger
    ) throws(SystemError) {
        self.launcher = launcher
        lock = DirectoryLock(log: log)
        self.tools = ToolRunner(helper: tools.helper, lock: lock, prefix: tools.prefix)
        self.log = log
        watch = try PostmasterWatch()
        // Of the role nothing is known yet: the directory may be on a disk that does not answer.
        memory = Mutex(Memory(given: configuration, configuration: configuration.resolved(for: nil)))
    }

    /// Reads or changes what is remembered; short, never over I/O.
    func remember<Result>(_ body: (inout Memory) -> sending Result) -> sending Result { memory.withLock { body(&$0) } }

    var configuration: LocalPostgreSQLConfiguration { memory.withLock { $0.configuration } }
    var state: PostgreSQLState { memory.withLock { $0.state } }
    var dataDirectory: DataDirectory { DataDirectory(path: configuration.dataDirectory) }

    func set(_ state: PostgreSQLState) { memory.withLock { $0.state = state } }

    /// Takes over a configuration; whether anything of it is new.
    func take(_ given: LocalPostgreSQLConfiguration) -> Bool {
        remember { memory in
            guard memory.given != given else { return false }
            memory.given = given
            memory.configuration = given.resolved(for: memory.role)
            memory.refusedParameters = [:]
            memory.refusedRules = nil
            memory.toldOfParameters = []
            memory.held = []
            return true
        }
    }

    /// What the server is from now on; whether that changes its configuration.
    @discardableResult
    func take(role: LocalPostgreSQLConfiguration.Role?) -> Bool {
        remember { memory in
            memory.role = role
            memory.roleSince = BootClock.now()
            let resolved = memory.given.resolved(for: role)
            guard resolved != memory.configuration else { return false }
            memory.configuration = resolved
            return true
        }
    }

    /// The path of one of PostgreSQL's programs, or its bare name where PATH is to be searched.
    func program(_ tool: String) -> String {
        let configuration = configuration
        let name = configuration.binaryNames[tool] ?? tool
        return configuration.binDirectory.isEmpty ? name : "\(configuration.binDirectory)/\(name)"
    }
}

// MARK: - The process

extension Instance {
    /// The running postmaster of our data directory, if any; from then on its end is watched for.
    func postmaster() -> PostmasterPidFile? {
        let configuration = configuration
        let directory = realPath(configuration.dataDirectory)
        if let text = try? Files.readText("\(configuration.dataDirectory)/postmaster.pid"),
            let file = PostmasterPidFile(text), let candidate = PostmasterIdentity.candidate(file.pid, in: directory)
        {
            let identity = PostmasterIdentity(
                ownPid: getpid(), ownParent: getppid(), program: lastComponent(program("postgres")),
                dataDirectory: directory)
            if identity.isOurs(candidate, startTime: file.startTime) {
                watch.watch(file.pid)
                if !file.isSingleUser { remember { $0.launched = file.pid } }
                return file
            }
        }
        guard let launched = memory.withLock({ $0.launched }) else { return nil }
        // By pidfd: a number that somebody else has got since is not taken for ours.
        guard watch.isWatching(launched), ProcessTable.isAlive(launched) else { return nil }
        return PostmasterPidFile("\(launched)\n")
    }

    /// Takes a postmaster for ours that was started on the path of our data directory. The kernel is asked first: what
    /// it tells is known also where the disk, which tells the rest, does not answer. The directory may have gone, too.
    func adoptRunning() {
        // What we have begun ourselves since is known.
        guard remember({ $0.launched == nil && $0.operation == nil }) else { return }
        let path = configuration.dataDirectory
        take(startedOn: [path])
        if postmaster() == nil { take(startedOn: [realPath(path)]) }
        guard let pid = postmaster()?.pid else { return }
        remember { if $0.state == .stopped { $0.state = .starting } }
        if (try? Files.look("\(path)/postmaster.pid")) == .missing { warnOfMissingFile(pid) }
    }

    private func take(startedOn paths: Set<String>) {
        let programs: Set = [lastComponent(program("postgres")), "postgres", "postmaster"]
        guard let pid = ProcessTable.postmasters(startedOn: paths, programs: programs).first,
            ProcessTable.isAlive(pid), watch.watch(pid)
        else { return }
        remember { $0.launched = pid }
    }

    /// The guardian's word, where nothing else tells of a postmaster. Nothing here touches the disk.
    func adopt(told pid: Int32) {
        guard knownPostmaster() == nil, ProcessTable.isAlive(pid), watch.watch(pid) else { return }
        remember { $0.launched = pid }
        warnOfMissingFile(pid)
    }

    private func warnOfMissingFile(_ pid: Int32) {
        log.warning("postmaster \(pid) runs, and no pid file in \(configuration.dataDirectory) tells of it")
    }

    /// A process that is not our PostgreSQL and has the pid of a stale pid file. A zombie counts: PostgreSQL takes it
    /// for a live one, and where init is slow to collect its children, the postmaster that was just killed is one.
    func ownerOfStalePidFile() -> Int32? {
        guard let text = try? Files.readText("\(configuration.dataDirectory)/postmaster.pid"),
            let file = PostmasterPidFile(text), ProcessTable.stat(file.pid) != nil
        else { return nil }
        return file.pid
    }

    /// SIGKILL for a postmaster and everything below it: whom it was sent to. It is stopped first, so that it starts no
    /// new child meanwhile.
    @discardableResult
    func killTree(_ pid: Int32) async -> [Int32] {
        _ = await launcher.signal(SIGSTOP, to: pid)
        let children = ProcessTable.descendants(of: pid)
        _ = await launcher.signal(SIGKILL, to: pid)
        for child in children { _ = await launcher.signal(SIGKILL, to: child) }
        return [pid] + children
    }

    /// A postmaster was stopped: unless the kernel keeps it, it is known no more.
    func forgetEnded() {
        remember { memory in
            if let finished = memory.finished, finished.how == .killed, finished.pid == memory.launched { return }
            memory.launched = nil
            memory.finished = nil
        }
    }

    /// Ends what a postmaster that was killed has left behind: such a process holds the shared memory, and PostgreSQL
    /// refuses to start as long as it does. Only to be called while no postmaster runs.
    func endOrphans(deadline: BootInstant) async throws(PostgreSQLError) {
        let directory = realPath(configuration.dataDirectory)
        let programs: Set = [lastComponent(program("postgres")), "postgres", "postmaster"]
        while true {
            let orphans = ProcessTable.servers(in: directory, programs: programs)
            if orphans.isEmpty { return }
            for pid in orphans { _ = await launcher.signal(SIGKILL, to: pid) }
            for pid in orphans {
                // Not watched through pidfd: these are no postmasters, and nobody is to be told.
                while ProcessTable.isAlive(pid) {
                    guard BootClock.now() < deadline else { throw .timedOut("the end of server process \(pid)") }
                    if Task.isCancelled { throw .cancelled }
                    try? await Task.sleep(for: .milliseconds(2))
                }
            }
        }
    }
}

// MARK: - Connections

extension Instance {
    /// A connection of the superuser to the maintenance database of the local server.
    func connect(statementTimeout: Duration = .seconds(2), deadline: BootInstant) throws(PostgreSQLError)
        -> PostgreSQLConnection
    {
        try connect(to: localTarget(statementTimeout: statementTimeout), deadline: deadline)
    }

    func localTarget(statementTimeout: Duration) -> ConnectionTarget {
        let configuration = configuration
        let local = configuration.localAddress(socket: configuration.usesUnixSocket, running: postmaster())
        // Without a name libpq goes to the socket directory that it was built with.
        remember { $0.door = local.host.map { Knock.Door(host: $0, port: local.port) } }
        return target(
            configuration.superuser, host: local.host, port: local.port,
            options: Self.options(statementTimeout) + " -c search_path=pg_catalog")
    }

    /// A connection to `address` as `credentials`.
    func target(
        _ credentials: LocalPostgreSQLConfiguration.Credentials, host: String?, port: Int, options: String
    ) -> ConnectionTarget {
        let configuration = configuration
        var parameters = ParameterMap()
        if let host { parameters["host"] = host }
        parameters["port"] = String(port)
        parameters["dbname"] = configuration.database
        if let user = credentials.userName { parameters["user"] = user }
        if let password = credentials.password { parameters["password"] = password }
        for option in credentials.connectionOptions { parameters[option.name] = option.value }
        parameters["application_name"] = "Matriarch \(configuration.name)"
        parameters["options"] = options
        return ConnectionTarget(parameters: parameters)
    }

    /// A physical replication connection; nil is the local server.
    func replicationTarget(_ address: HostPort?) -> ConnectionTarget {
        let configuration = configuration
        let local = configuration.localAddress(
            socket: configuration.usesUnixSocketForReplication, running: postmaster())
        var target = target(
            configuration.replication, host: address?.host ?? local.host, port: address?.port ?? local.port,
            options: Self.options(.seconds(2)))
        target.parameters["replication"] = "1"
        return target
    }

    /// Whatever the server or the role is set to, timestamps come as `2027-02-03 04:05:06+00`.
    static func options(_ statementTimeout: Duration) -> String {
        "-c statement_timeout=\(statementTimeout.nanoseconds / 1_000_000) -c datestyle=ISO"
    }
}

// MARK: - The control file

extension Instance {
    /// Environment of every program whose output is read.
    static let plainLocale: [String: String?] = ["LANG": "C", "LC_ALL": "C"]

    /// pg_controldata, read again only where the control file has changed; nil without a readable one.
    ///
    /// The files are looked at on the caller's thread, which may hang with the disk.
    func control(deadline: BootInstant, isolation: isolated (any Actor)? = #isolation) async -> ControlDataOutput? {
        let directory = dataDirectory
        guard let stamp = Files.modificationTime(directory.controlFile) else { return nil }
        if let cached = memory.withLock({ $0.control }), cached.stamp == stamp { return cached.output }
        let invocation = ToolRunner.Invocation(
            program: program("pg_controldata"), arguments: [directory.path], environment: Self.plainLocale,
            deadline: deadline)
        guard let text = try? await tools.succeed(invocation) else { return nil }
        let output = ControlDataOutput(text)
        guard let data = output.controlData else { return nil }
        // A file that was just written may be written again within the same tick of the file system's clock.
        let isSettled = stamp < WallClock.nanosecondsSinceEpoch() - 100_000_000
        memory.withLock { memory in
            memory.control = CachedControl(stamp: isSettled ? stamp : -1, output: output)
            memory.systemIdentifier = data.systemIdentifier
        }
        return output
    }

    /// Reads the WAL records from `position` on.
    func dumpWAL(timeline: TimelineID, from position: WALPosition, count: Int, deadline: BootInstant) async
        -> WALDumpOutput?
    {
        let directory = dataDirectory
        let invocation = ToolRunner.Invocation(
            program: program("pg_waldump"),
            arguments: [
                "-p", directory.path + "/pg_wal", "-t", String(timeline), "-s", position.description, "-n",
                String(count),
            ],
            environment: Self.plainLocale, deadline: deadline)
        // A bad status only says that the WAL ends there.
        guard let output = try? await tools.run(invocation) else { return nil }
        return WALDumpOutput(output.text)
    }

    /// Where a cleanly stopped server ended (postgresql.md §8); nil unless its state is `shut down`.
    func shutdownPositions(deadline: BootInstant) async -> ShutdownPositions? {
        guard let control = await control(deadline: deadline)?.controlData, control.state == .shutDown else {
            return nil
        }
        let (checkpoint, timeline) = (control.checkpoint, control.checkpointTimeline)
        let plain = ShutdownPositions(checkpoint: checkpoint, required: checkpoint, timeline: timeline)
        let records = await dumpWAL(timeline: timeline, from: checkpoint, count: 1, deadline: deadline)?.records
        guard let record = records?.first, record.isShutdownCheckpoint, record.previous != .zero else { return plain }
        let before = await dumpWAL(timeline: timeline, from: record.previous, count: 1, deadline: deadline)?.records
        guard let switched = before?.first, switched.isSwitch else { return plain }
        return ShutdownPositions(checkpoint: checkpoint, required: switched.position, timeline: timeline)
    }
}
