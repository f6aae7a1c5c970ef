import ClusterModel
import HTTPClient
import JSON

/// Why a call to etcd has no good answer (dcs.md §5.5).
enum EtcdError: Error, Sendable, Hashable, CustomStringConvertible {
    /// etcd answered with an error of its own.
    case gateway(GatewayError)
    /// No answer from this endpoint.
    case transport(HTTPClientError, endpoint: String)
    /// An endpoint that lags behind what we have seen of its cluster, or that is of another one.
    case staleNode(String)
    /// What no etcd says: a proxy's page, another program's answer, an answer without its parts.
    case malformed(String)
    /// etcd's own answer does not let us go on from where we stand.
    case unusable(String)
    case unsupportedVersion(String)
    /// The members elected a leader while a lease was being prolonged: which of them prolonged it is not known.
    case leaderChanged
    /// The deadline has come.
    case exhausted(String)
    case cancelled

    /// What is to be made of it as an attempt at one endpoint; nil for what ends a call by itself.
    private var failure: AttemptFailure? {
        switch self {
        case .gateway(let error): .error(error)
        case .transport(.cancelled, _), .transport(.closed, _), .unusable, .leaderChanged, .exhausted, .cancelled: nil
        case .transport(let error, _): .silence(mayHaveBeenSent: error.mayHaveBeenSent)
        case .staleNode: .stale
        case .malformed: .nonsense
        case .unsupportedVersion: .tooOld
        }
    }

    /// What to do about it.
    var recovery: AttemptFailure.Recovery { failure?.recovery ?? .none }

    /// Whether no endpoint is asked any further: etcd itself has refused, or nobody waits.
    var isFinal: Bool { failure?.isFinal ?? true }

    /// The endpoint is not one to rely upon, whatever else it answers.
    var discreditsEndpoint: Bool { failure?.discreditsEndpoint ?? false }

    /// Whether the store may have done what it was asked.
    var mayHaveBeenApplied: Bool {
        if case .transport(let error, _) = self { return error.mayHaveBeenSent }
        return failure?.mayHaveBeenApplied ?? false
    }

    var isLeaseNotFound: Bool {
        if case .gateway(let error) = self { error.kind == .leaseNotFound } else { false }
    }

    var description: String {
        switch self {
        case .gateway(let error): error.message
        case .transport(let error, let endpoint): "\(endpoint): \(error)"
        case .staleNode(let reason), .malformed(let reason), .unusable(let reason), .unsupportedVersion(let reason),
            .exhausted(let reason):
            reason
        case .leaderChanged: "etcd's leader changes"
        case .cancelled: "cancelled"
        }
    }
}

extension EtcdError {
    /// etcd itself says that it has not done what it was asked, and will not.
    var isRefusal: Bool {
        guard case .gateway(let error) = self, error.isFromEtcd else { return false }
        switch error.kind {
        case .leaseNotFound, .userEmpty, .invalidAuthToken, .authOldRevision, .permissionDenied, .authFailed,
            .authNotEnabled, .tooManyRequests, .other:
            return true
        case .deadlineExceeded, .failedPrecondition, .unavailable: return false
        }
    }
}
