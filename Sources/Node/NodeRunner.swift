public import ClusterModel
public import HighAvailability
public import Logging
public import Ports
import Synchronization
import Tasks

/// The one owner of what the node knows: it feeds events to the machine, one at a time, and carries its effects out
/// through the ports. Nothing here decides anything.
public actor NodeRunner: NodeControl {
    /// The outside world.
    public struct World: Sendable {
        public var store: any DistributedConfigurationStore
        public var postgreSQL: any PostgreSQLController
        public var peers: any PeerClient
        public var clock: any Clock
        public var cache: any ConfigurationCache
        /// Nil where the machine was set up without one.
        public var guardian: (any GuardianPort)?
        /// Why the watchdog that is required could not be used now; nil where it could, or none is. Answers at once.
        public var watchdogObstacle: @Sendable () -> String? = { nil }

        public init(
            store: any DistributedConfigurationStore, postgreSQL: any PostgreSQLController, peers: any PeerClient,
            clock: any Clock, cache: any ConfigurationCache, guardian: (any GuardianPort)? = nil
        ) {
            self.store = store
            self.postgreSQL = postgreSQL
            self.peers = peers
            self.clock = clock
            self.cache = cache
            self.guardian = guardian
        }
    }

    let world: World
    let logger: Logger
    private var machine: CycleMachine
    private nonisolated let board: Mutex<PublishedSnapshot>
    private var timer: Task<Void, Never>?
    var performing: Task<Void, Never>?
    /// The last order to the guardian; nil where it was acknowledged, else why not.
    var guarding: Task<GuardianError?, Never>?
    private var refresh: Task<Void, Never>?
    private var ended: CheckedContinuation<Int32, Never>?
    /// Requests to the store that have not been answered: the end waits for them, within their deadlines.
    private var requests: [Int: Task<Void, Never>] = [:]
    private var requestNumber = 0
    private var exitCode: Int32?
    /// The daemon ends and leaves PostgreSQL running.
    public private(set) var isLeaving = false
    /// Commands that have not been answered.
    private var commands: [Int: CheckedContinuation<CommandOutcome, Never>] = [:]
    private var commandNumber = 0
    /// Primaries that wait for a promise.
    private var promises: [Int: CheckedContinuation<FailsafeAnswer, Never>] = [:]
    private nonisolated let subscribers = Subscribers()
    private var reloading: (@Sendable () async -> CycleEvent?)?
    private let reloads = OneAtATime()

    /// A node that has not begun; `run` begins.
    public init(_ setup: CycleMachine.Setup, _ world: World, logger: Logger) {
        self.world = world
        self.logger = logger
        machine = CycleMachine(setup, now: world.clock.now())
        board = Mutex(PublishedSnapshot(machine.snapshot()))
    }

    /// Runs the node until it is shut down; gives the daemon's exit code.
    public func run() async -> Int32 {
        let listeners = listen()
        feed(.timer)
        let code = await withCheckedContinuation { continuation in
            if let exitCode { continuation.resume(returning: exitCode) } else { ended = continuation }
        }
        for listener in listeners { listener.cancel() }
        subscribers.finish()
        timer?.cancel()
        for request in requests.values { await request.value }
        return code
    }

    /// What SIGHUP and `POST /reload` do: reads the local configuration and gives the event, or nil where it did not
    /// change.
    public func onReload(_ action: @escaping @Sendable () async -> CycleEvent?) { reloading = action }

    public func reload() {
        guard let reloading else { return }
        reloads.ask { if let event = await reloading() { await self.feed(event) } }
    }

    /// SIGTERM: PostgreSQL is stopped, the key handed over, and `run` returns.
    public func shutDown() { feed(.shutdownRequested) }

    /// SIGUSR1: `run` returns as soon as no operation runs; PostgreSQL and its guardian stay as they are.
    public func leave() {
        isLeaving = true
        feed(.leaveRequested)
    }

    /// Gives an operator's command to the machine, which answers when it is carried out.
    public func carryOut(_ command: NodeCommand) async -> CommandOutcome {
        commandNumber += 1
        let number = commandNumber
        return await withCheckedContinuation { continuation in
            commands[number] = continuation
            feed(.commanded(number, command))
        }
    }

    public func promise(_ ping: FailsafePing) async -> FailsafeAnswer {
        commandNumber += 1
        let number = commandNumber
        return await withCheckedContinuation { continuation in
            promises[number] = continuation
            feed(.failsafeAsked(number, ping))
        }
    }

    func reply(_ id: Int, _ answer: FailsafeAnswer) { promises.removeValue(forKey: id)?.resume(returning: answer) }

    func reply(_ id: Int, _ outcome: CommandOutcome) { commands.removeValue(forKey: id)?.resume(returning: outcome) }

    public nonisolated func changes() -> AsyncStream<NodeSnapshot> { subscribers.add(first: snapshot()) }

    public nonisolated func published() -> PublishedSnapshot { board.withLock { $0 } }

    public func wake(_ reason: String) { feed(.woken(reason)) }

    public func freshSnapshot(_ age: Duration) async -> NodeSnapshot {
        let known = snapshot()
        if world.clock.now() - known.local.observedAt <= age { return known }
        if refresh == nil {
            refresh = Task {
                let status = await look(until: world.clock.now() + .seconds(2))
                feed(.node(.observed(status)))
                refresh = nil
            }
        }
        await refresh?.value
        return snapshot()
    }

    /// Takes an event and carries out what the machine answers.
    func feed(_ event: CycleEvent) {
        let effects = machine.step(event, now: world.clock.now(), wallTime: world.clock.wallTime())
        for effect in effects { carryOut(effect) }
    }

    private func listen() -> [Task<Void, Never>] {
        let changes = world.store.events
        let exits = world.postgreSQL.exits
        return [
            Task { for await change in changes { feed(.storeChanged(change)) } },
            Task { for await pid in exits { feed(.postmasterExited(pid)) } },
        ]
    }

    /// Starts a request to the store and remembers it until it is answered.
    func request(_ body: @escaping @Sendable () async -> CycleEvent?) {
        requestNumber += 1
        let number = requestNumber
        requests[number] = Task {
            if let event = await body() { feed(event) }
            requests[number] = nil
        }
    }

    func setTimer(_ instant: BootInstant) {
        timer?.cancel()
        timer = Task {
            await world.clock.sleep(until: instant)
            if !Task.isCancelled { feed(.timer) }
        }
    }

    func publish(_ published: PublishedSnapshot) {
        // Published by this actor alone.
        var news = published.snapshot
        news.serial = self.published().snapshot.serial + 1
        let numbered = PublishedSnapshot(news)
        board.withLock { $0 = numbered }
        subscribers.tell(news)
    }

    func exit(_ code: Int32) {
        exitCode = code
        ended?.resume(returning: code)
        ended = nil
    }
}
