/// Why one endpoint gave no good answer, as far as it says whether to ask another (dcs.md §5.5).
public enum AttemptFailure: Sendable, Hashable {
    /// An error in one of the forms that etcd's have.
    case error(GatewayError)
    /// No answer.
    case silence(mayHaveBeenSent: Bool)
    /// The endpoint lags behind its cluster, or is of another one.
    case stale
    /// What no etcd says: a proxy's page, another program's answer, an answer without its parts.
    case nonsense
    /// An etcd of a version that cannot be used.
    case tooOld

    /// What to do about it.
    public enum Recovery: Sendable, Hashable {
        /// The next endpoint may do better.
        case nextEndpoint
        /// The same call may do better later.
        case later
        /// With a new token.
        case reauthenticate
        case none
    }

    /// What to do about it.
    public var recovery: Recovery {
        switch self {
        case .error(let error): error.recovery
        case .silence, .stale, .nonsense, .tooOld: .nextEndpoint
        }
    }

    /// Whether no endpoint is asked any further: etcd itself has refused.
    public var isFinal: Bool {
        switch recovery {
        case .nextEndpoint, .later: false
        case .none: true
        case .reauthenticate: isFromEtcd
        }
    }

    /// Whether etcd has said so, for all that can be told.
    private var isFromEtcd: Bool { if case .error(let error) = self { error.isFromEtcd } else { false } }

    /// The endpoint is not one to rely upon, whatever else it answers.
    public var discreditsEndpoint: Bool {
        switch self {
        case .stale, .nonsense, .tooOld: true
        case .error(let error): !error.isFromEtcd && error.recovery != .later
        case .silence: false
        }
    }

    /// Whether the store may have done what it was asked.
    public var mayHaveBeenApplied: Bool {
        switch self {
        case .silence(let mayHaveBeenSent): mayHaveBeenSent
        case .error(let error): error.kind == .deadlineExceeded || error.kind == .unavailable || !error.isFromEtcd
        // Whoever garbled the answer may have passed the request on before.
        case .stale, .nonsense: true
        case .tooOld: false
        }
    }
}
