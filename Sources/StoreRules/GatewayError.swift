public import ClusterModel

/// An error that etcd answered with.
public struct GatewayError: Error, Sendable, Hashable {
    /// Which of etcd's errors it is.
    public enum Kind: Sendable, Hashable, CaseIterable {
        case leaseNotFound, userEmpty, invalidAuthToken, authOldRevision, permissionDenied, authFailed, authNotEnabled
        case tooManyRequests, deadlineExceeded, failedPrecondition, unavailable, other

        var recovery: AttemptFailure.Recovery {
            switch self {
            case .userEmpty, .invalidAuthToken, .authOldRevision, .permissionDenied: .reauthenticate
            case .tooManyRequests, .deadlineExceeded, .failedPrecondition: .later
            case .unavailable: .nextEndpoint
            case .leaseNotFound, .authFailed, .authNotEnabled, .other: .none
            }
        }
    }

    /// Which it is.
    public let kind: Kind
    /// The server's own words.
    public let message: String

    /// Whether the text is etcd's. Another gateway's refusal, or a proxy's, tells nothing of what the other endpoints
    /// would say.
    public var isFromEtcd: Bool {
        GatewayError.ownBeginnings.contains { message.utf8.starts(with: $0.utf8) }
            || GatewayError.byText.keys.contains(message)
    }

    var recovery: AttemptFailure.Recovery {
        switch kind.recovery {
        case .none: isFromEtcd ? .none : .nextEndpoint
        case .nextEndpoint, .later, .reauthenticate: kind.recovery
        }
    }

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// Reads an error in any of its three forms; nil for what is no error. `status` is the HTTP status.
    public init?(_ reply: JSONObject) {
        let nested = reply["error"]?.object
        let body = nested ?? reply
        let message = (body["error"] ?? body["Error"] ?? body["message"] ?? body["Message"])?.string
        let code = [body["grpc_code"], body["code"], body["Code"]].lazy.compactMap { $0?.int }.first
        guard nested != nil || message != nil || code != nil else { return nil }
        self.init(message: message ?? "error \(code ?? 0)", code: code ?? 0)
    }

    /// The text decides first, then the gRPC code.
    public init(message: String, code: Int64) {
        self.message = message
        kind = GatewayError.byText[message] ?? GatewayError.byCode(code, message)
    }

    /// What etcd says of a watch that it has cancelled; the text may be wrapped into one of gRPC's.
    public init(cancelReason reason: String) {
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
