import ClusterModel
import HTTPServer

/// What a request asks for, by its method, its path and, for probes, its query (rest-api.md §2): made once, and all
/// else goes by it. Paths and queries are compared byte by byte: a mark after a letter makes another character of it,
/// and no other path; and what a request costs must not depend on what it is made of.
enum Route: Sendable {
    case probe(Probe)
    case document(Document)
    case change(Change)
    /// A method without a handler for the path.
    case unsupported

    /// What GET has handlers for beside the probes, by the first segment of its path; none of them needs credentials.
    enum Document: String, Sendable, CaseIterable {
        case cluster, history, failsafe, metrics, events, explain
        case configuration = "config"
        case rollingRestart = "rolling-restart"
        case contract = "openapi.yaml"
    }

    /// What changes something, and therefore passes the access rules first.
    enum Change: Sendable {
        case patchConfiguration, putConfiguration, switchover, failover, cancelSwitchover
        case beginRollingRestart, callOffRollingRestart
        case restart, cancelRestart, reload, reinitialize, shutDown, failsafe, workerEvent

        /// Whether members may call it for being members. A failsafe ping is for primaries, known by address or
        /// password.
        var isForMembers: Bool { self != .failsafe }
    }

    /// A longer path is no route's, and is not searched for the words of one.
    static let pathBytesMax = 64

    init(_ request: HTTPRequest) {
        let path = request.path.utf8.count <= Route.pathBytesMax ? request.path : ""
        switch request.method {
        case "GET": self = Route.reading(firstSegment(path), path, request)
        case "HEAD", "OPTIONS": self = .probe(.health(path, request, isBare: true))
        default: self = Change(request.method, firstSegment(path)).map { .change($0) } ?? .unsupported
        }
    }

    private static func reading(_ segment: Substring, _ path: String, _ request: HTTPRequest) -> Route {
        switch segment {
        case "patroni": .probe(.status)
        case "liveness": .probe(.liveness)
        case "readiness": .probe(.readiness(request))
        default:
            Document(rawValue: String(segment)).map { .document($0) } ?? .probe(.health(path, request, isBare: false))
        }
    }
}

extension Route.Change {
    fileprivate init?(_ method: String, _ segment: Substring) {
        switch (method, segment) {
        case ("PATCH", "config"): self = .patchConfiguration
        case ("PUT", "config"): self = .putConfiguration
        case ("POST", "switchover"): self = .switchover
        case ("POST", "failover"): self = .failover
        case ("DELETE", "switchover"): self = .cancelSwitchover
        case ("POST", "restart"): self = .restart
        case ("DELETE", "restart"): self = .cancelRestart
        case ("POST", "rolling-restart"): self = .beginRollingRestart
        case ("DELETE", "rolling-restart"): self = .callOffRollingRestart
        case ("POST", "reload"): self = .reload
        case ("POST", "reinitialize"): self = .reinitialize
        case ("POST", "sigterm"): self = .shutDown
        case ("POST", "failsafe"): self = .failsafe
        case ("POST", "mpp"), ("POST", "citus"): self = .workerEvent
        default: return nil
        }
    }
}

/// The first segment of a path: what a route goes by. Byte by byte: a combining mark after the slash would be one
/// character with it.
func firstSegment(_ path: String) -> Substring {
    Substring(path.utf8.dropFirst().prefix { $0 != UInt8(ascii: "/") })
}

/// A request that the snapshot answers.
enum Probe: Sendable {
    /// `isBare`: the code alone is asked for (HEAD, OPTIONS).
    case health(HealthCheck.Rule, HealthCheck.Parameters, isBare: Bool)
    case status
    case liveness
    case readiness(lag: Int64?, written: Bool)

    fileprivate static func health(_ path: String, _ request: HTTPRequest, isBare: Bool) -> Probe {
        let rule = HealthCheck.Rule(path)
        let asks = rule.readsQuery && !request.query.isEmpty
        return .health(rule, asks ? HealthCheck.Parameters(request.queryItems) : .init(), isBare: isBare)
    }

    fileprivate static func readiness(_ request: HTTPRequest) -> Probe {
        if request.query.isEmpty { return .readiness(lag: nil, written: false) }
        let items = request.queryItems
        return .readiness(
            lag: items.first("lag").flatMap(HealthCheck.Parameters.lag),
            written: items.first("mode")?.isBytewise("write") == true)
    }
}

extension HealthCheck.Parameters {
    /// What a probe asks for; of a name that comes again, the first value counts.
    init(_ items: [QueryItem]) {
        lag = items.first("lag").flatMap(Self.lag)
        replicationState = items.first("replication_state")
        let prefix = "tag_".utf8
        for item in items where item.name.utf8.starts(with: prefix) && !item.value.isEmpty {
            let name = String(Substring(item.name.utf8.dropFirst(prefix.count)))
            if !tags.contains(where: { $0.name.isBytewise(name) }) { tags.append((name, item.value)) }
        }
    }

    /// The longest text that is looked at as a number.
    private static let lagBytesMax = 64

    /// Bytes; nil for what is no number, which is any lag.
    static func lag(_ text: String) -> Int64? {
        guard text.utf8.count <= lagBytesMax, text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
        return ValueParsing.integer(text, unit: .bytes)
    }
}

extension [QueryItem] {
    /// The first value of `name` that is not empty.
    fileprivate func first(_ name: String) -> String? {
        first { $0.name.isBytewise(name) && !$0.value.isEmpty }?.value
    }
}

extension String {
    /// Whether the bytes are the same. `==` takes texts for equal that a byte tells apart, and may have to put both
    /// into a normal form first.
    func isBytewise(_ other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
