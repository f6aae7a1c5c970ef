public import ClusterModel
public import HighAvailability

/// What the REST API may ask of the node beside it.
public protocol NodeControl: Sendable {
    /// What the node knows. Never waits; called from HTTP threads.
    func snapshot() -> NodeSnapshot

    /// The same with facts about PostgreSQL that are at most `age` old; callers at the same time share one observation.
    func freshSnapshot(_ age: Duration) async -> NodeSnapshot

    /// Begins a cycle at once.
    func wake(_ reason: String) async

    /// Reads the local configuration again, as SIGHUP does.
    func reload() async
}

/// Keeps the dynamic configuration in the data directory (`patroni.dynamic.json`, configuration.md §1.8).
public protocol ConfigurationCache: Sendable {
    /// Writes the document; what fails is logged, not thrown: the cache is only for a start without the store.
    func store(_ document: JSONObject) async
}
