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

    /// What to do about it.
    enum Recovery: Sendable, Hashable {
        /// The next endpoint may do better.
        case nextEndpoint
        /// The same call may do better later.
        case later
        /// With a new token.
        case reauthenticate
        case none
    }

    var recovery: Recovery {
        switch self {
        case .gateway(let error): error.recovery
        case .transport(.cancelled, _), .transport(.closed, _): .none
        case .transport, .staleNode, .malformed, .unsupportedVersion: .nextEndpoint
        case .unusable, .leaderChanged, .exhausted, .cancelled: .none
        }
    }

    /// Whether no endpoint is asked any further: etcd itself has refused, or nobody waits.
    var isFinal: Bool {
        switch recovery {
        case .nextEndpoint, .later: false
        case .none: true
        case .reauthenticate: isFromEtcd
        }
    }

    /// Whether etcd has said so, for all that can be told.
    private var isFromEtcd: Bool { if case .gateway(let error) = self { error.isFromEtcd } else { false } }

    /// The endpoint is not one to rely upon, whatever else it answers.
    var discreditsEndpoint: Bool {
        switch self {
        case .staleNode, .malformed, .unsupportedVersion: true
        case .gateway(let error): !error.isFromEtcd && error.recovery != .later
        case .transport, .unusable, .leaderChanged, .exhausted, .cancelled: false
        }
    }

    /// Whether the store may have done what it was asked.
    var mayHaveBeenApplied: Bool {
        switch self {
        case .transport(let error, _): error.mayHaveBeenSent
        case .gateway(let error): error.kind == .deadlineExceeded || error.kind == .unavailable || !error.isFromEtcd
        // Whoever garbled the answer may have passed the request on before.
        case .staleNode, .malformed: true
        case .unusable, .unsupportedVersion, .leaderChanged, .exhausted, .cancelled: false
        }
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

/// An error that etcd answered with.
struct GatewayError: Error, Sendable, Hashable {
    enum Kind: Sendable, Hashable, CaseIterable {
        case leaseNotFound, userEmpty, invalidAuthToken, authOldRevision, permissionDenied, authFailed, authNotEnabled
        case tooManyRequests, deadlineExceeded, failedPrecondition, unavailable, other

        var recovery: EtcdError.Recovery {
            switch self {
            case .userEmpty, .invalidAuthToken, .authOldRevision, .permissionDenied: .reauthenticate
            case .tooManyRequests, .deadlineExceeded, .failedPrecondition: .later
            case .unavailable: .nextEndpoint
            case .leaseNotFound, .authFailed, .authNotEnabled, .other: .none
            }
        }
    }

    let kind: Kind
    let message: String

    /// Whether the text is etcd's. Another gateway's refusal, or a proxy's, tells nothing of what the other endpoints
    /// would say.
    var isFromEtcd: Bool {
        GatewayError.ownBeginnings.contains { message.utf8.starts(with: $0.utf8) }
            || GatewayError.byText.keys.contains(message)
    }

    var recovery: EtcdError.Recovery {
        switch kind.recovery {
        case .none: isFromEtcd ? .none : .nextEndpoint
        case .nextEndpoint, .later, .reauthenticate: kind.recovery
        }
    }

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// Reads an error in any of its three forms; nil for what is no error. `status` is the HTTP status.
    init?(_ reply: JSONObject) {
        let nested = reply["error"]?.object
        let body = nested ?? reply
        let message = (body["error"] ?? body["Error"] ?? body["message"] ?? body["Message"])?.string
        let code = [body["grpc_code"], body["code"], body["Code"]].lazy.compactMap { $0?.int }.first
        guard nested != nil || message != nil || code != nil else { return nil }
        self.init(message: message ?? "error \(code ?? 0)", code: code ?? 0)
    }

    /// The text decides first, then the gRPC code.
    init(message: String, code: Int64) {
        self.message = message
        kind = GatewayError.byText[message] ?? GatewayError.byCode(code, message)
    }

    /// What etcd says of a watch that it has cancelled; the text may be wrapped into one of gRPC's.
    init(cancelReason reason: String) {
        let known = GatewayError.byText.first { reason.contains($0.key) }
        self.init(known?.value ?? .other, reason)
    }

    /// A message that is too large is refused on its way from etcd's gateway to its server.
    private static let ownBeginnings = [
        "etcdserver: ", "grpc: received message larger than max", "grpc: trying to send message larger than max",
    ]

    private static let byText: [String: Kind] = [
        "etcdserver: requested lease not found": .leaseNotFound,
        "etcdserver: user name is empty": .userEmpty,
        "etcdserver: invalid auth token": .invalidAuthToken,
        "etcdserver: revision of auth store is old": .authOldRevision,
        "etcdserver: permission denied": .permissionDenied,
        "etcdserver: authentication failed, invalid user ID or password": .authFailed,
        "etcdserver: authentication is not enabled": .authNotEnabled,
        "etcdserver: too many requests": .tooManyRequests,
        "context deadline exceeded": .deadlineExceeded,
        "not a primary lessor": .unavailable,
    ]

    private static func byCode(_ code: Int64, _ message: String) -> Kind {
        switch code {
        case 4: .deadlineExceeded
        case 7: .permissionDenied
        case 9: .failedPrecondition
        case 14: .unavailable
        case 16: .invalidAuthToken
        default: .other
        }
    }
}
