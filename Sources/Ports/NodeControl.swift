public import ClusterModel
public import HighAvailability

/// What the REST API may ask of the node beside it.
public protocol NodeControl: Sendable {
    /// What the node knows. Never waits; called from HTTP threads.
    func published() -> PublishedSnapshot

    /// The same with facts about PostgreSQL that are at most `age` old; callers at the same time share one observation.
    func freshSnapshot(_ age: Duration) async -> NodeSnapshot

    /// Begins a cycle at once.
    func wake(_ reason: String) async

    /// Has the local configuration read again, as SIGHUP does, without waiting for it. One reload runs at a time, and
    /// one at most waits.
    func reload() async

    /// Carries out an operator's command; may take as long as a restart does. Never fails to answer.
    func carryOut(_ command: NodeCommand) async -> CommandOutcome

    /// A primary without the store asks for this node's promise not to race (ha-loop.md §16.4). What is accepted is
    /// kept from then on. Never fails to answer.
    func promise(_ ping: FailsafePing) async -> FailsafeAnswer

    /// Every snapshot as it is published, the present one first. Who reads too slowly misses the oldest; the stream
    /// ends with the node.
    func changes() -> AsyncStream<NodeSnapshot>
}

extension NodeControl {
    /// A copy of what the node knows.
    public func snapshot() -> NodeSnapshot { published().snapshot }
}

/// What an operator asks of a node (rest-api.md §13, §14).
public enum NodeCommand: Sendable, Hashable {
    /// Now, or at the time that the request names.
    case restart(RestartRequest)
    /// Forget the scheduled restart.
    case cancelRestart
    /// A new base backup in place of the data directory. `force` breaks off what runs; `fromLeader` takes it from the
    /// leader even where another member offers itself.
    case reinitialize(force: Bool, fromLeader: Bool)
}

/// What became of a command.
public enum CommandOutcome: Sendable, Hashable {
    case done
    /// The conditions of a restart do not hold.
    case conditionsNotMet
    /// Something else is under way: its name.
    case busy(String)
    /// PostgreSQL runs and still replays.
    case stillStarting
    case failed
    case alreadyScheduled
    case nothingScheduled
    case noLeader
    case isLeader
}

/// Keeps the dynamic configuration in the data directory (`patroni.dynamic.json`, configuration.md §1.8).
public protocol ConfigurationCache: Sendable {
    /// Writes the document; what fails is logged, not thrown: the cache is only for a start without the store.
    func store(_ document: JSONObject) async
}
