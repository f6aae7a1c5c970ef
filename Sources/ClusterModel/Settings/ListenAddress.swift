/// Hosts that share a port, as `listen` and endpoint lists are written: `host`, `host:port`, `h1,h2:port`,
/// `[::1],10.0.0.1:port` (configuration.md §2.6).
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// Names or addresses, IPv6 addresses without brackets; the empty text and `*` mean all interfaces.
    public let hosts: [String]
    public let port: Int

    public init(hosts: [String], port: Int) {
        self.hosts = hosts
        self.port = port
    }

    /// Reads `text`; nil where it has no port and there is no default, where the port is none, where an IPv6 address
    /// stands without a port (its last group would be taken for one), and for a port alone, which is no host.
    public init?(_ text: String, defaultPort: Int? = nil) {
        let text = Substring(text).trimmed
        if text.contains("/") || Int(text) != nil { return nil }
        let colon = text.last == "]" ? nil : text.lastIndex(of: ":")
        let hostText = colon.map { text[..<$0] } ?? text
        let portText = colon.map { text[text.index(after: $0)...] }
        guard let port = portText.map({ Int($0) }) ?? defaultPort, (0...65_535).contains(port) else { return nil }
        let hosts = hostText.split(separator: ",", omittingEmptySubsequences: false).map { part in
            var host = part.trimmed
            while let first = host.first, "[]".contains(first) { host = host.dropFirst() }
            while let last = host.last, "[]".contains(last) { host = host.dropLast() }
            return String(host)
        }
        guard hosts.allSatisfy({ $0 == "::" || $0.last != ":" }) else { return nil }
        self.init(hosts: hosts, port: port)
    }

    public var description: String {
        let list = hosts.count == 1 ? hosts.map { HostPort.bracketed($0) } : hosts
        return list.joined(separator: ",") + ":\(port)"
    }
}

extension HostPort {
    /// Reads one `host[:port]`; nil for a list, for no host, and as `ListenAddress` does.
    public init?(_ text: String, defaultPort: Int? = nil) {
        guard let address = ListenAddress(text, defaultPort: defaultPort), address.hosts.count == 1,
            let host = address.hosts.first, !host.isEmpty
        else { return nil }
        self.init(host: host, port: address.port)
    }

    static func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }
}
