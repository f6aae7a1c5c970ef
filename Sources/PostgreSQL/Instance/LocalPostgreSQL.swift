public import ClusterModel
public import Logging
public import Ports
public import Posix
import Synchronization

/// The controller of the PostgreSQL on this machine (postgresql.md): its process, files, connections and programs.
///
/// Six threads stand behind it: one observes, one takes the pulse, one operates, one administers, one writes
/// checkpoints, one moves logical slots. A seventh waits for the postmaster's end. None of them ever waits for another.
public final class LocalPostgreSQL: PostgreSQLController {
    /// Makes the typed configuration out of a dynamic document; throws where a value is wrong.
    public typealias Conversion = @Sendable (JSONObject) throws -> LocalPostgreSQLConfiguration

    let instance: Instance
    private let monitor: Monitor
    private let looks = Looks()
    private let pulseTaker: PulseTaker
    private let lastPulse = Mutex<(pulse: Pulse?, isTaking: Bool)>((nil, false))
    private let operations: Operator
    private let administrator: Administrator
    private let checkpointer: Administrator
    private let slotMover: Administrator
    private let isMovingSlots = Mutex(false)
    let convert: Conversion

    /// `helper` is the program `matriarch-guardian`, under which PostgreSQL's programs run. `commandPrefix` stands
    /// before every command line; empty in production, where the daemon runs as the user that owns the data directory.
    public init(
        configuration: LocalPostgreSQLConfiguration, launcher: any PostmasterLauncher = DetachedLauncher(),
        helper: String, commandPrefix: [String] = [], logger: Logger, convert: @escaping Conversion
    ) throws(SystemError) {
        instance = try Instance(
            configuration: configuration, launcher: launcher,
            tools: ToolRunner(helper: helper, prefix: commandPrefix), log: logger)
        monitor = try Monitor(instance)
        pulseTaker = try PulseTaker(instance)
        operations = try Operator(instance)
        administrator = try Administrator(instance, thread: "pg-admin")
        checkpointer = try Administrator(instance, thread: "pg-checkpoint")
        slotMover = try Administrator(instance, thread: "pg-slots")
        self.convert = convert
        exits = instance.watch.exits
    }

    /// The guardian of an earlier daemon holds this postmaster: it is ours, also where its data directory has gone.
    public func inherit(postmaster: Int32) { instance.inherit(told: postmaster) }

    /// Before a daemon that begins does anything else: ends what an earlier one has left at work in the data directory
    /// (S12). Throws where somebody is left at `deadline`, or the disk has not answered by then; then no operation
    /// begins before they have ended.
    public func claimDirectory(deadline: BootInstant) async throws(PostgreSQLError) {
        let answer = FirstAnswer<PostgreSQLError?>()
        let timeout = Task {
            try? await Task.sleep(for: max(.zero, deadline - BootClock.now()) + .milliseconds(500))
            if !Task.isCancelled { answer.give(.timedOut("the disk of the data directory")) }
        }
        let operations = operations
        Task {
            do throws(PostgreSQLError) {
                try await operations.claimDirectory(deadline: deadline)
                answer.give(nil)
            } catch {
                answer.give(error)
            }
            timeout.cancel()
        }
        if let error = await answer.wait() { throw error }
    }

    /// The data directory is another daemon's that runs, and with it its server and its guardian.
    public var isKeptOut: Bool { instance.isKeptOut }

    public let exits: AsyncStream<Int32>

    public func observe(since: BootInstant, deadline: BootInstant) async -> PostgreSQLStatus {
        let monitor = monitor
        let (instance, operations) = (instance, operations)
        let status = await looks.look(
            since: since, until: deadline, unseen: { instance.unseen(since: $0) },
            by: {
                if instance.isKeptOut, let why = await operations.lookForTenant() {
                    return instance.keptOut(why, at: BootClock.now())
                }
                let status = await monitor.observe(deadline: deadline)
                instance.noteSeen(status)
                return status
            })
        if let facts = status.facts, status.unfinished == nil, instance.remember({ $0.operation }) == nil {
            instance.isUp(inRecovery: facts.inRecovery)
        }
        if instance.hasToCatchUp(status) {
            Task { await operations.catchUp() }
        }
        return status
    }

    public func pulse() async -> Pulse? {
        if isKeptOut { return nil }
        // One that does not come back is not waited for twice: the last one is given again, as old as it is.
        let isFree = lastPulse.withLock { last in
            defer { last.isTaking = true }
            return !last.isTaking
        }
        guard isFree else { return lastPulse.withLock { $0.pulse } }
        let pulse = await pulseTaker.take()
        lastPulse.withLock { $0 = (pulse, false) }
        return pulse
    }

    public func perform(_ operation: PostgreSQLOperation) async throws(PostgreSQLError) -> OperationResult {
        // It waits for no turn: what is under way may hang as the server does.
        try instance.refuseTenant()
        if case .stop(.byForce, let timeout, _) = operation {
            try await instance.endByForce(timeout: timeout)
            return .shutDown(nil)
        }
        return try await operations.perform(operation)
    }

    public func compareTimelines(with source: Upstream, deadline: BootInstant) async throws(PostgreSQLError)
        -> DivergenceFacts
    {
        try await administrator.compareTimelines(with: source, deadline: deadline)
    }

    public func isFollowing(_ upstream: Upstream?) async -> Bool { await administrator.isFollowing(upstream) }

    public func apply(_ actions: [SlotAction], deadline: BootInstant) async {
        if isKeptOut { return }
        // To move a logical slot the server decodes all WAL on the way, which may take long: nobody waits for it, and
        // what comes meanwhile finds the slot where it is.
        let moves = actions.filter { if case .advanceLogical = $0 { true } else { false } }
        if !moves.isEmpty,
            isMovingSlots.withLock({ was in
                defer { was = true }; return !was
            })
        {
            Task {
                await slotMover.apply(moves, deadline: BootClock.now() + .seconds(600))
                isMovingSlots.withLock { $0 = false }
            }
        }
        let rest = actions.filter { if case .advanceLogical = $0 { false } else { true } }
        if !rest.isEmpty { await administrator.apply(rest, deadline: deadline) }
    }

    public func proveCopy(of postmaster: Int32) async { await operations.proveCopy(of: postmaster) }

    public func checkpoint(timeout: Duration) async throws(PostgreSQLError) {
        try instance.refuseTenant()
        try await checkpointer.checkpoint(timeout: timeout)
    }

    public func adopt(configuration document: JSONObject) async throws(PostgreSQLError) {
        let configuration: LocalPostgreSQLConfiguration
        do {
            configuration = try convert(document)
        } catch {
            throw .failed("the dynamic configuration cannot be used: \(error)")
        }
        try await operations.adopt(configuration)
    }

    /// Writes the generated files anew, also where the configuration says what it said before: somebody may have edited
    /// them by hand. A server that is down gets them when it starts.
    public func refreshFiles() async throws(PostgreSQLError) { try await operations.refreshFiles() }

    public func nameSynchronous(_ setting: SynchronousSetting) async throws(PostgreSQLError) {
        try await operations.nameSynchronousInTurn(setting)
    }

    public func timelineHistory(_ timeline: TimelineID) async -> (
        lines: [TimelineHistory.Line], writtenAt: String
    )? {
        await administrator.timelineHistory(timeline)
    }

    /// The end of the daemon: what callbacks that run have time for still.
    public func finishCallbacks(within duration: Duration) async {
        await instance.callbacks.finish(deadline: BootClock.now() + duration)
    }

    public func halt(deadline: BootInstant) async {
        if !isKeptOut { await instance.halt(deadline: deadline) }
    }
}
