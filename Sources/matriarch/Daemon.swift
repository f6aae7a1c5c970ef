import ClusterAccess
import ClusterModel
import Configuration
import ControlAPI
import Glibc
import GuardianClient
import HighAvailability
import Logging
import Node
import Peers
import Ports
import Posix
import PostgreSQL
import RestService

/// One daemon: makes the parts out of the configuration, lets the node run, ends in order.
struct Daemon {
    private let source: ConfigurationSource
    private let effective: EffectiveConfiguration
    private let log: DaemonLog
    private let logger: Logger

    /// Runs until a signal or the node itself ends it; gives the exit code.
    static func run(_ path: String?) async -> Int32 {
        let source: ConfigurationSource
        let effective: EffectiveConfiguration
        do {
            (source, effective) = try await read(path)
        } catch {
            Terminal.error("\(error)")
            return 1
        }
        let log: DaemonLog
        do throws(SystemError) {
            log = try DaemonLog(effective.log)
        } catch {
            Terminal.error("\(effective.problem("log.dir", "\(error)"))")
            return 1
        }
        let logger = Logger(label: "matriarch")
        umask(0o077)
        for warning in effective.warnings + Unsupported.warnings(effective) { logger.warning("\(warning)") }
        for problem in effective.bootstrapProblems { logger.warning("\(problem); a new cluster has the default") }
        tellFindings(effective, logger)
        let code: Int32
        do {
            code = try await Daemon(source: source, effective: effective, log: log, logger: logger).run()
        } catch {
            logger.critical("\(error)")
            code = 1
        }
        await log.flush()
        return code
    }

    /// What `--validate-config` would say of this host's files. Nobody waits for it: one of them may hang.
    private static func tellFindings(_ effective: EffectiveConfiguration, _ logger: Logger) {
        Task {
            let found = try? await offPool { HostCheck.findings(atStartOf: effective) }
            for problem in found ?? [] { logger.error("\(problem)") }
        }
    }

    static func read(_ path: String?) async throws -> (ConfigurationSource, EffectiveConfiguration) {
        let source = try await ConfigurationSource(path)
        let local = try source.effective(nil)
        let effective = try local.bootstrap?.dynamicConfiguration.map(source.effective) ?? local
        let problems = Unsupported.problems(effective)
        if !problems.isEmpty { throw ConfigurationError(problems) }
        return (source, effective)
    }

    private func run() async throws -> Int32 {
        logger.info("matriarch \(Version.own), \(effective.name) of \(effective.scope)")
        let clock = SystemClock()
        let cache = DynamicConfigurationCache(dataDirectory: effective.postgreSQL.dataDirectory, logger: logger)
        let document = await cache.load() ?? effective.bootstrap?.dynamicConfiguration ?? JSONObject()
        let peers = try HTTPPeerClient(StoreWiring.peers(effective))
        let store = try StoreWiring.store(effective, marks: await StoreWiring.marks(effective))
        let guardian = try GuardianWiring.client(effective, logger: Logger(label: "guardian"))
        await takeOver(guardian)
        try await checkStore(store, peers)
        let postgreSQL = try makePostgreSQL(document, launcher: guardian ?? DetachedLauncher())
        var setup = CycleMachine.Setup(
            scope: effective.scope, me: identity(effective),
            addresses: addresses(effective, apiURL: effective.restAPI.apiURL), document: document)
        setup.hasGuardian = guardian != nil
        let petter = guardian == nil ? try WatchdogWiring.plan(effective).map(makeLocalWatchdog) : nil
        setup.hasWatchdogOnly = petter != nil
        let watchdog = WatchdogWiring(effective, guardian)
        if effective.guardian.isOn { setup.safetyMargin = effective.guardian.safetyMargin }
        await claim(postgreSQL)
        setup.inheritedLease = await inherit(postgreSQL, guardian)
        var world = NodeRunner.World(
            store: store, postgreSQL: postgreSQL, peers: peers, clock: clock, cache: cache,
            guardian: guardian.map { OwnGuardian(guardian: $0, postgreSQL: postgreSQL) } ?? petter)
        world.watchdogObstacle = { watchdog.obstacle }
        let node = NodeRunner(setup, world, logger: logger)
        let api = ControlAPI(
            node: node, store: store, peers: peers, clock: clock, access: AccessRules(),
            logger: Logger(label: "restapi"), resolve: RestServer.lookUp, logQueue: logQueue,
            configurationRules: PostgreSQLWiring.rules(postgreSQL))
        let server = try await makeServer(api)
        let manager = ServiceManager()
        await node.onReload {
            manager.reloads()
            defer { manager.isReady() }
            return await reload(server, peers, postgreSQL, watchdog, store)
        }
        try await effective.carryingOut("restapi.listen") { try await server.start() }
        let code = try await run(node, manager)
        await server.stop()
        await store.close()
        peers.shutdown()
        // They end with this process: what has just been called gets the time to do its work.
        await postgreSQL.finishCallbacks(within: await node.isLeaving ? .seconds(1) : .seconds(10))
        // Who leaves PostgreSQL running says nothing: the next daemon finds the guardian as it is.
        if await !node.isLeaving, !postgreSQL.isKeptOut { await guardian?.goodbye() }
        logger.info("ended with code \(code)")
        return code
    }

    /// Lets the node run, with signals to it and signs of life from it; its exit code.
    private func run(_ node: NodeRunner, _ manager: ServiceManager) async throws -> Int32 {
        let signals = try Signals.stream()
        let helpers = [
            Task { await listen(signals, node, manager) }, Task { await giveSignsOfLife(node, manager) },
        ]
        defer { for helper in helpers { helper.cancel() } }
        manager.isReady()
        defer { manager.isStopping() }
        return await node.run()
    }

    /// A daemon that the guardian has started by itself must not stand in the way of one that somebody starts.
    private func takeOver(_ guardian: GuardianClient?) async {
        do throws(GuardianError) {
            try await guardian?.takeOver()
        } catch {
            logger.warning("guardian: \(error)")
        }
    }

    /// What an earlier daemon has left at work in the data directory must end before anything else is done there.
    private func claim(_ postgreSQL: LocalPostgreSQL) async {
        do throws(PostgreSQLError) {
            try await postgreSQL.claimDirectory(deadline: BootClock.now() + .seconds(2))
        } catch {
            logger.error("\(error)")
        }
    }

    /// What an earlier daemon has left with its guardian: PostgreSQL goes on under the lease that is known there. A
    /// server that runs without a guardian gets one.
    private func inherit(_ postgreSQL: LocalPostgreSQL, _ guardian: GuardianClient?) async -> Lease? {
        guard let guardian, !postgreSQL.isKeptOut else { return nil }
        let running = await postgreSQL.observe(deadline: BootClock.now() + .seconds(3)).postmaster
        do throws(GuardianError) {
            guard let found = try await guardian.inherit(postmaster: running) else { return nil }
            let left = found.lease.map { ", the lease has \(($0.deadline - BootClock.now()).inSeconds) s left" } ?? ""
            if running == nil, let held = found.status.postmaster { postgreSQL.inherit(postmaster: held) }
            logger.info("guardian \(found.status.pid) holds postmaster \(found.status.postmaster ?? 0)\(left)")
            return found.lease
        } catch {
            logger.error("guardian: \(error)")
            return nil
        }
    }

    private func makeLocalWatchdog(_ plan: WatchdogPlan) throws(SystemError) -> LocalWatchdog {
        try LocalWatchdog(plan, logger: Logger(label: "watchdog"))
    }

    private func makeServer(_ api: ControlAPI) async throws -> RestServer {
        try await effective.carryingOut("restapi.certfile") {
            try await RestServer(
                effective.restAPI, handler: api, logger: Logger(label: "restapi"), admit: { api.adopt($0) })
        }
    }

    private func makePostgreSQL(_ document: JSONObject, launcher: any PostmasterLauncher) throws -> LocalPostgreSQL {
        let source = source
        let initial = (try? source.effective(document)) ?? effective
        return try LocalPostgreSQL(
            configuration: PostgreSQLWiring.configuration(initial, dynamic: document), launcher: launcher,
            helper: GuardianWiring.program(), logger: Logger(label: "postgresql")
        ) { document in
            PostgreSQLWiring.configuration(try source.effective(document), dynamic: document)
        }
    }

    private var logQueue: @Sendable () -> LogQueue {
        let log = log
        return {
            let (waiting, lost) = log.statistics
            return LogQueue(waiting: waiting, lost: lost)
        }
    }

    // MARK: Before the first cycle

    /// Connects, and makes sure that no other daemon runs under our name. A store that does not answer, or answers with
    /// what is no help, is not waited for: a PostgreSQL that runs already needs the cycle, with or without it.
    private func checkStore(_ store: any DistributedConfigurationStore, _ peers: HTTPPeerClient) async throws {
        let failure: StartFailure?
        do throws(DCSError) {
            failure = try await connect(store, peers, isLate: false)
        } catch {
            logger.warning("waiting on \(effective.store.name): \(error)")
            Task { await connectLater(store, peers, after: error) }
            return
        }
        if let failure { throw failure }
    }

    /// What forbids this daemon to go on; nil where nothing does. Throws where the store does not tell.
    private func connect(
        _ store: any DistributedConfigurationStore, _ peers: HTTPPeerClient, isLate: Bool
    ) async throws(DCSError) -> StartFailure? {
        let deadline = BootClock.now() + effective.timings.retryTimeout
        try await store.start(deadline: deadline)
        if let found = try await store.obstacle(deadline: deadline) { return StartFailure(description: found) }
        return await checkName(try await store.load(deadline: deadline), peers, isLate: isLate)
    }

    /// `isLate`: our own server runs already, and answers where another daemon of our name and address would.
    private func checkName(_ view: ClusterView, _ peers: HTTPPeerClient, isLate: Bool) async -> StartFailure? {
        guard let url = view.member(effective.name)?.apiURL else { return nil }
        if isLate {
            // It may have moved meanwhile.
            let moved = try? source.effective(effective.bootstrap?.dynamicConfiguration).restAPI.apiURL
            if url == effective.restAPI.apiURL || url == moved { return nil }
        }
        let (name, scope, limit) = (effective.name, effective.scope, BootClock.now() + .seconds(3))
        guard await peers.isTaken(name, scope: scope, apiURL: url, deadline: limit) else { return nil }
        return StartFailure(description: "Can't start; there is already a node named '\(name)' running")
    }

    /// The checks of the start, as soon as the store answers. What they find ends the daemon: two of a name, or of a
    /// scope in two stores, must not go on. PostgreSQL is left to the daemon that has the name. Nothing else that
    /// anybody answers does.
    private func connectLater(
        _ store: any DistributedConfigurationStore, _ peers: HTTPPeerClient, after error: DCSError
    ) async {
        var (said, pause) = (error, Duration.seconds(1))
        while !Task.isCancelled {
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(5))
            do throws(DCSError) {
                guard let failure = try await connect(store, peers, isLate: true) else {
                    return logger.info("\(effective.store.name) answers")
                }
                logger.critical("\(failure)")
                exit(1)
            } catch {
                // The same again is no news.
                logger.log(level: error == said ? .debug : .warning, "waiting on \(effective.store.name): \(error)")
                said = error
            }
        }
    }

    // MARK: While it runs

    /// Each as the node itself answers: one that has stopped working gives none, and is started again. PostgreSQL does
    /// not end with it.
    private func giveSignsOfLife(_ node: NodeRunner, _ manager: ServiceManager) async {
        guard let interval = manager.watchdogInterval else { return }
        while !Task.isCancelled {
            _ = await node.isLeaving
            manager.lives()
            try? await Task.sleep(for: interval)
        }
    }

    private func listen(_ signals: AsyncStream<Int32>, _ node: NodeRunner, _ manager: ServiceManager) async {
        for await signal in signals {
            switch signal {
            case SIGHUP:
                logger.info("SIGHUP: reading the configuration again")
                await node.reload()
            case SIGUSR1:
                logger.info("SIGUSR1: ending without PostgreSQL, which runs on")
                await node.leave()
            default:
                logger.info("signal \(signal): shutting down")
                manager.isStopping()
                await node.shutDown()
            }
        }
    }

    /// The event for the node where the local configuration changed; a configuration that is wrong changes nothing.
    /// Where an address was taken before, it is tried again.
    private func reload(
        _ server: RestServer, _ peers: HTTPPeerClient, _ postgreSQL: LocalPostgreSQL, _ watchdog: WatchdogWiring,
        _ store: any DistributedConfigurationStore
    ) async -> CycleEvent? {
        do {
            let isChanged = try await source.reload()
            let fresh = try source.effective(effective.bootstrap?.dynamicConfiguration)
            // First, so that what follows is told where and as it is wanted now.
            if isChanged { adoptLog(fresh.log) }
            await watchdog.adopt(fresh)
            await StoreWiring.adopt(fresh, store)
            Task { await refreshFiles(postgreSQL) }
            // The files that it names may be others, under the same names.
            try peers.adopt(StoreWiring.peers(fresh))
            if !isChanged {
                logger.info("No local configuration items changed.")
                if await server.isInPlace {
                    await server.refresh()
                    return nil
                }
            } else {
                for warning in fresh.warnings + fresh.changesOfNextStart(since: effective) {
                    logger.warning("\(warning)")
                }
            }
            await server.adopt(fresh.restAPI)
            return .reloaded(identity(fresh), addresses(fresh, apiURL: await server.apiURL))
        } catch {
            logger.error("the configuration was not read again: \(error)")
            return nil
        }
    }

    /// What somebody has edited by hand in the generated files is undone, as Patroni does.
    private func refreshFiles(_ postgreSQL: LocalPostgreSQL) async {
        do throws(PostgreSQLError) {
            try await postgreSQL.refreshFiles()
        } catch {
            logger.error("the files of PostgreSQL's configuration were not written anew: \(error)")
        }
    }

    /// A log that cannot be opened leaves the present one in place.
    private func adoptLog(_ settings: LogSettings) {
        do throws(SystemError) {
            if try log.configure(settings) { logger.info("the settings of the log were read again") }
        } catch {
            logger.error("log: the present settings stay, because the new ones cannot be used: \(error)")
        }
    }

    private func identity(_ effective: EffectiveConfiguration) -> NodeIdentity {
        NodeIdentity(
            name: effective.name, tags: effective.tags,
            canBootstrap: effective.bootstrap?.dynamicConfiguration != nil,
            requiresWatchdog: effective.watchdog.mode == .required)
    }

    private func addresses(_ effective: EffectiveConfiguration, apiURL: String) -> MemberKey.Addresses {
        let settings = effective.postgreSQL
        return MemberKey.Addresses(
            connectionURL: "postgres://\(settings.connectAddress)/\(settings.database)",
            apiURL: apiURL,
            proxyURL: settings.proxyAddress.map { "postgres://\($0)/\(settings.database)" }, version: Version.patroni,
            ownVersion: Version.own)
    }
}

/// A problem that ends the start, in words.
struct StartFailure: Error, CustomStringConvertible {
    var description: String
}
