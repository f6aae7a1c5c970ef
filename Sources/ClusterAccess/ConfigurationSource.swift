public import ClusterModel
public import Configuration
import Posix
import Synchronization

/// The local configuration as last read, and the way to read it again.
public final class ConfigurationSource: Sendable {
    private let environment: [String: String]
    private let local: Mutex<LocalConfiguration>

    /// Reads it for the first time.
    public init(_ path: String?) async throws {
        environment = ProcessEnvironment.variables
        let environment = environment
        local = Mutex(try await offPool { try LocalConfiguration.load(path: path, environment: environment) })
    }

    public var current: LocalConfiguration { local.withLock { $0 } }

    /// Reads again; true where something changed.
    public func reload() async throws -> Bool {
        let (current, environment) = (current, environment)
        guard current.isReloadable else { return false }
        let fresh = try await offPool { try current.again(environment: environment) }
        // One that is wrong must not stay: every later change of the dynamic configuration would be refused with it.
        let effective = try EffectiveConfiguration.effective(local: fresh, dynamic: nil)
        let fixed = effective.fixedChanges(since: try EffectiveConfiguration.effective(local: current, dynamic: nil))
        if !fixed.isEmpty { throw ConfigurationError(fixed) }
        return local.withLock { known in
            if fresh.isSame(as: known) { return false }
            known = fresh
            return true
        }
    }

    /// What holds with `document` as the dynamic configuration.
    public func effective(_ document: JSONObject?) throws(ConfigurationError) -> EffectiveConfiguration {
        try EffectiveConfiguration.effective(local: current, dynamic: document)
    }
}
