public import ClusterModel

/// The endpoints that are known and the one that is used: it stays until it fails (dcs.md §5.7).
public struct EndpointList: Sendable, Hashable {
    /// From the configuration; the way back when everything discovered is gone.
    private let configured: [EtcdEndpoint]
    public private(set) var known: [EtcdEndpoint]
    /// The one that answered last.
    public private(set) var current: EtcdEndpoint?
    /// Turns discovered lists, so that the nodes of a cluster do not all use its first member.
    private let turn: UInt64
    private var discoveredAt: BootInstant?

    public init(_ configured: [EtcdEndpoint], node: String) {
        self.configured = configured
        known = configured
        // FNV-1a: the same in every process, unlike Swift's own hash.
        turn = node.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// In which order a call tries them: the current one, then those that follow it in the list, around to its start.
    public var order: [EtcdEndpoint] {
        guard let current, let index = known.firstIndex(of: current) else { return known }
        return Array(known[index...] + known[..<index])
    }

    /// An endpoint answered. True if it is another one than before.
    public mutating func succeeded(_ endpoint: EtcdEndpoint) -> Bool {
        if current == endpoint { return false }
        defer { current = endpoint }
        return current != nil
    }

    /// Takes over the members' own addresses. An empty list changes nothing but the time. Where the configuration asks
    /// for HTTPS everywhere, an answer does not lead out of it: what is sent there bears tokens.
    public mutating func discovered(_ urls: [String], at now: BootInstant) {
        discoveredAt = now
        var found: [EtcdEndpoint] = []
        let isEncrypted = configured.allSatisfy { $0.scheme == "https" }
        for endpoint in urls.compactMap({ EtcdEndpoint(url: $0) }) where !found.contains(endpoint) {
            if !isEncrypted || endpoint.scheme == "https" { found.append(endpoint) }
        }
        if found.isEmpty { return }
        found.sort { $0.url < $1.url }
        let start = Int(turn % UInt64(found.count))
        known = Array(found[start...] + found[..<start])
        if let current, !known.contains(current) { self.current = nil }
    }

    /// None of the first `tried` of `order` answered: the next round begins after them, what the configuration names is
    /// tried again as well, and the members are to be asked for anew.
    public mutating func allFailed(tried: Int) {
        let first = current.flatMap { known.firstIndex(of: $0) } ?? 0
        known += configured.filter { !known.contains($0) }
        if !known.isEmpty { current = known[(first + tried) % known.count] }
        discoveredAt = nil
    }

    /// Whether it is time to ask for the members again.
    public func isStale(at now: BootInstant, lifetime: Duration) -> Bool {
        discoveredAt.map { now - $0 > lifetime } ?? true
    }
}
