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
    /// The same for commands of the operator's that have no business in the data directory: they hold no lock.
    let scripts: ToolRunner
    let callbacks: Callbacks
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
        /// The last that PostgreSQL has read; any other is tried before its files take the place of those.
        var readable: LocalPostgreSQLConfiguration?
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
        /// Another daemon, whose the data directory is.
        var tenant: (name: String, nextLook: BootInstant)?
        /// The directory in which the last postmaster of ours worked, whatever stands at its path now.
        var workplace: DirectoryIdentity?
        /// The postmaster that the bootstrap under way, or not published yet, has started.
        var bootstrapped: Int32?
        /// A postmaster is being started, and its pid is not known yet.
        var isLaunching = false
        /// A thread looks for the postmaster on the disk, which may not answer.
        var isSeeking = false
        var systemIdentifier: String?
        var control: CachedControl?
        /// What the primary that is being started has to come up on.
        var stamp: DirectoryStamp?
        /// The postmaster that has written a checkpoint as a primary of this timeline.
        var settled: (postmaster: Int32, timeline: TimelineID)?
        /// Why it could not be read last.
        var controlTrouble: PostgreSQLStatus.ControlTrouble?
        /// What a restart would bring.
        var installed: InstalledVersion?
        var pendingRestart: [PostgreSQLStatus.PendingRestart] = []
        /// False until the parameters of a server that we found running were compared.
        var knowsPendingRestart = false
        /// What is known of copies of logical slots since the server was started.
        var copiedSlots = CopiedSlots()
        /// What was set as `synchronous_standby_names`; nil for what stands in the file.
        var synchronous: SynchronousSetting?
        /// Whom the standby follows, as far as we have set it ourselves.
        var upstream: Following = .unknown
        /// The postmaster that was told to stop, and when the control file was last written before.
        var stopping: (pid: Int32, stamp: Int64?)?
        /// A postmaster that may still be there and accepts no writes any more: the proof.
        var finished: (pid: Int32, how: PostgreSQLStatus.Finish)?
        /// What the stop under way waits for.
        var waitingFor: String?
        /// Since when the archiver that it waits for has archived nothing.
        var archiverStillSince: BootInstant?
        /// What an archiver that hung has left.
        var unarchived: [String]?
        /// What a server that is silent owes.
        var owed = Owed()
        /// The last that was known: another one's child, or none, where the server has replaced it since.
        var checkpointer: Int32?
        /// The log knows that the disk does not answer.
        var hasToldUnseen = false
        /// A look at the data directory has come back.
        var hasBeenSeen = false
        /// The postmaster that was last seen as a standby, and the last that was told to be one no more.
        var standby: Int32?
        var promoted: Int32?
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
        /// The server was stopped to be restarted: what waited for that, and until when it counts as restarting though
        /// no operation is under way.
        var restart: (pending: [PostgreSQLStatus.PendingRestart], until: BootInstant)?
        /// The parameters that the server lists itself; nil until it was asked.
        var describedParameters: Set<String>?
        /// The files may say what the running server has not read yet: of a server that we found running, and after a
        /// reload that nobody saw happen.
        var owesReload = true
        /// When the configuration is applied once more, after it could not be; and how long is waited next.
        var retry: (at: BootInstant, pause: Duration)?
        var called = Called()
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
        scripts = ToolRunner(helper: tools.helper, prefix: tools.prefix)
        callbacks = Callbacks(scripts, log)
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
            memory.readable = nil
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

    /// What a server's process runs.
    var serverPrograms: Set<String> { [lastComponent(program("postgres")), "postgres", "postmaster"] }
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
                let workplace = DirectoryIdentity("/proc/\(file.pid)/cwd")
                remember { memory in
                    memory.workplace = workplace ?? memory.workplace
                    if !file.isSingleUser { memory.launched = file.pid }
                }
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
    func inheritRunning() {
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
        guard let pid = ProcessTable.postmasters(startedOn: paths, programs: serverPrograms).first,
            ProcessTable.isAlive(pid), watch.watch(pid)
        else { return }
        remember { $0.launched = pid }
    }

    /// The guardian's word, where nothing else tells of a postmaster. Nothing here touches the disk.
    func inherit(told pid: Int32) {
        guard knownPostmaster() == nil, ProcessTable.isAlive(pid), watch.watch(pid) else { return }
        remember { $0.launched = pid }
        warnOfMissingFile(pid)
    }

    private func warnOfMissingFile(_ pid: Int32) {
        log.warning("postmaster \(pid) runs, and no pid file in \(configuration.dataDirectory) tells of it")
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

    /// Another postmaster was found, or none: what proved that one before it accepts no writes proves nothing of it,
    /// also where the kernel has given it the same number.
    func forgetFinish(butOf pid: Int32?) {
        remember { memory in
            if memory.finished?.pid != pid { memory.finished = nil }
            if memory.stopping?.pid != pid { memory.stopping = nil }
        }
    }

    /// A postmaster was stopped: unless the kernel keeps it, it is known no more.
    func forgetEnded() {
        remember { memory in
            if let finished = memory.finished, finished.how == .killed, finished.pid == memory.launched { return }
            memory.launched = nil
            memory.finished = nil
        }
    }
}

// MARK: - Connections

extension Instance {
    /// A connection of the superuser to the maintenance database of the local server.
    func connect(
        statementTimeout: Duration = .seconds(2), lockTimeout: Duration? = nil, deadline: BootInstant
    ) throws(PostgreSQLError) -> PostgreSQLConnection {
        var target = localTarget(statementTimeout: statementTimeout)
        if let lockTimeout, let options = target.parameters["options"] {
            target.parameters["options"] = options + " -c lock_timeout=\(lockTimeout.nanoseconds / 1_000_000)"
        }
        return try connect(to: target, deadline: deadline)
    }

    func localTarget(statementTimeout: Duration) -> ConnectionTarget {
        let configuration = configuration
        let local = configuration.localAddress(socket: configuration.usesUnixSocket, running: postmaster())
        // Without a name libpq goes to the socket directory that it was built with.
        remember { $0.door = local.host.map { Knock.Door(host: $0, port: local.port) } }
        return target(
            configuration.superuser, host: local.host, port: local.port,
            options: options(statementTimeout) + " -c search_path=pg_catalog")
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

    /// The primary that pg_rewind reads, as its user.
    func rewindTarget(_ address: HostPort, timeout: Duration) -> ConnectionTarget {
        target(
            configuration.rewindCredentials, host: address.host, port: address.port, options: options(timeout)
        ).ofPrimary(address)
    }

    /// A physical replication connection; nil is the local server.
    func replicationTarget(_ address: HostPort?) -> ConnectionTarget {
        let configuration = configuration
        let local = configuration.localAddress(
            socket: configuration.usesUnixSocketForReplication, running: postmaster())
        var target = target(
            configuration.replication, host: address?.host ?? local.host, port: address?.port ?? local.port,
            options: options(.seconds(2)))
        target.parameters["replication"] = "1"
        return target
    }

    /// A connection that waits for its next turn is no idle session, and the cluster may be set to a millisecond.
    /// Whatever the server or the role is set to, timestamps come as `2027-02-03 04:05:06+00`.
    func options(_ statementTimeout: Duration) -> String {
        "-c statement_timeout=\(statementTimeout.nanoseconds / 1_000_000) -c datestyle=ISO"
            + (dataDirectory.version >= 140_000 ? " -c idle_session_timeout=0" : "")
    }
}
