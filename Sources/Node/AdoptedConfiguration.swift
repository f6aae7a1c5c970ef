import ClusterModel

/// The dynamic configuration that this node goes by, and who has still to be given it.
struct AdoptedConfiguration: Sendable {
    /// What a look at `/config` brought.
    enum News: Sendable, Hashable {
        case nothing
        /// Its timings are no numbers: the last good configuration goes on.
        case unfit
        /// Another one, with what is to be said of its times: what was adjusted of them is said once.
        case adopted(warnings: [String])
    }

    @Boxed var settings: DynamicConfiguration
    /// Of the `/config` that was read last.
    private var revision: Revision?
    /// A document that PostgreSQL is given when the plan has ended that runs.
    private var waiting: JSONObject?
    /// What stands in the cache beside the data.
    private var cached: JSONObject?

    /// The pause is over in the store, and a renewal is waited for first.
    var resumeWaits = false

    init(document: JSONObject) { settings = DynamicConfiguration(document: document) ?? DynamicConfiguration() }

    /// The store has begun another life: its numbers mean other values.
    mutating func forgetRevision() { revision = nil }

    /// Whether `/config` ends the pause.
    func resumes(_ config: ConfigRecord?) -> Bool {
        guard settings.isPaused, let config, config.isValid, config.revision != revision else { return false }
        return DynamicConfiguration(document: config.data, isShared: settings.isShared)?.isPaused == false
    }

    mutating func read(_ config: ConfigRecord?) -> News {
        guard let config, config.isValid, config.revision != revision else { return .nothing }
        revision = config.revision
        if config.data.isEmpty || JSONValue.object(config.data).deepEquals(.object(settings.document)) {
            return .nothing
        }
        guard let found = DynamicConfiguration(document: config.data, isShared: settings.isShared) else {
            return .unfit
        }
        return .adopted(warnings: go(by: found))
    }

    /// A member that runs Patroni goes by no ttl below its minimum: then nobody does (configuration.md §4.2). Nil where
    /// that is so already.
    mutating func share(_ isShared: Bool) -> [String]? {
        guard isShared != settings.isShared,
            let found = DynamicConfiguration(document: settings.document, isShared: isShared)
        else { return nil }
        return go(by: found)
    }

    private mutating func go(by found: DynamicConfiguration) -> [String] {
        defer { settings = found }
        return found.timingWarnings == settings.timingWarnings ? [] : found.timingWarnings
    }

    /// PostgreSQL is given a document only while no plan runs; nil where it has to wait for the end of one.
    mutating func hand(_ document: JSONObject, duringPlan: Bool) -> JSONObject? {
        waiting = document
        return duringPlan ? nil : takeWaiting()
    }

    /// What has waited for the end of a plan, once.
    mutating func takeWaiting() -> JSONObject? {
        defer { waiting = nil }
        return waiting
    }

    /// What the cache has not yet, once.
    mutating func takeUncached() -> JSONObject? {
        if settings.document.isEmpty || cached == settings.document { return nil }
        cached = settings.document
        return cached
    }
}
