/// One etcd server's client address.
public struct EtcdEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// `http` or `https`.
    public let scheme: String
    /// A name or an address; an IPv6 address without brackets.
    public let host: String
    public let port: Int

    public init(scheme: String = "http", host: String, port: Int = 2379) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// Reads `scheme://host[:port][/…]`, as members announce themselves; nil for anything else.
    public init?(url: String) {
        guard let colon = url.firstRange(of: "://") else { return nil }
        let scheme = url[..<colon.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let authority = url[colon.upperBound...].prefix { $0 != "/" }
        var host = authority
        var port = 2379
        if let end = authority.lastIndex(of: ":"), !authority[end...].contains("]") {
            guard let number = Int(authority[authority.index(after: end)...]), (1...65535).contains(number) else {
                return nil
            }
            host = authority[..<end]
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        if host.isEmpty { return nil }
        self.init(scheme: scheme, host: String(host), port: port)
    }

    /// `http://host:port`, without a slash at the end.
    public var url: String { host.contains(":") ? "\(scheme)://[\(host)]:\(port)" : "\(scheme)://\(host):\(port)" }

    public var description: String { url }
}
