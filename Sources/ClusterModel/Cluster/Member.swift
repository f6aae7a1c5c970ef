/// A node as its member key tells of it (dcs.md §2.3). Unknown fields are kept; missing or malformed ones read as nil.
public struct Member: Sendable, Hashable {
    /// The node's name: the last part of the key.
    public let name: String
    /// The lease that the key hangs on, as the store names it.
    public let session: String
    public let revision: Revision
    /// The value; empty where it was not a JSON object.
    public let data: JSONObject

    public init(name: String, session: String = "", revision: Revision = 0, data: JSONObject) {
        self.name = name
        self.session = session
        self.revision = revision
        self.data = data
    }

    /// `postgres://host:port/database`, without credentials.
    public var connectionURL: String? { nonEmpty("conn_url") }
    /// `http(s)://host:port/patroni`.
    public var apiURL: String? { nonEmpty("api_url") }
    public var state: String? { data["state"]?.string }
    public var isRunning: Bool { state == PostgreSQLState.running.rawValue }
    public var role: NodeRole? { data["role"]?.string.flatMap(NodeRole.init(wire:)) }
    public var version: String? { data["version"]?.string }
    /// The version of Matriarch that the node runs; nil for a node of Patroni's, which writes no such key.
    public var ownVersion: String? { nonEmpty("matriarch") }
    public var tags: Tags { Tags(data["tags"]?.object ?? JSONObject()) }
    /// The position on a primary; on a standby the larger of received and replayed.
    public var position: WALPosition? { WALPosition(json: data["xlog_location"]) }
    public var receivedPosition: WALPosition? { WALPosition(json: data["receive_lsn"]) }
    public var replayedPosition: WALPosition? { WALPosition(json: data["replay_lsn"]) }
    public var replicationState: String? { nonEmpty("replication_state") }
    public var timeline: TimelineID? { data["timeline"]?.int.flatMap { TimelineID(exactly: $0) } }
    /// When its server was started, as PostgreSQL prints it; ours alone, and only while it runs.
    public var postmasterStartTime: String? { nonEmpty("postmaster_start_time") }
    /// The logical slots that it would lack, or have unsafe, if it were promoted now; ours alone.
    public var unreadySlots: [String] { (data["slots_not_ready"]?.array ?? []).compactMap(\.string) }
    public var isPaused: Bool { data["pause"]?.bool == true }

    /// Whether the node, as a leader, has written a checkpoint since its promotion, so that pg_rewind may trust its
    /// control file; nil where the version is unknown or too old to say (ha-loop.md §1).
    public var checkpointAfterPromote: Bool? {
        guard version.flatMap(SoftwareVersion.init) != nil else { return nil }
        return role == .primary && data["checkpoint_after_promote"] == nil
    }

    /// Host and port of `connectionURL`; the port is 5432 where none is given.
    public var address: HostPort? {
        if let connectionURL { return HostPort(url: connectionURL, defaultPort: 5432) }
        guard let arguments = data["conn_kwargs"]?.object, let host = arguments["host"]?.string else { return nil }
        return HostPort(host: host, port: arguments["port"]?.int.flatMap { Int(exactly: $0) } ?? 5432)
    }

    private func nonEmpty(_ key: String) -> String? {
        guard let text = data[key]?.string, !text.isEmpty else { return nil }
        return text
    }
}

/// The version of the software of a member: integers between dots (dcs.md §2.11).
public struct SoftwareVersion: Sendable, Hashable, Comparable {
    public let parts: [Int]

    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard !parts.isEmpty, parts.allSatisfy({ $0 != nil }) else { return nil }
        self.parts = parts.compactMap { $0 }
    }

    public static func < (left: SoftwareVersion, right: SoftwareVersion) -> Bool {
        left.parts.lexicographicallyPrecedes(right.parts)
    }
}

/// A host and a port.
public struct HostPort: Sendable, Hashable, CustomStringConvertible {
    /// A name or an address; an IPv6 address without brackets.
    public let host: String
    public let port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// The authority of `scheme://[user@]host[:port][/path]`; nil where there is no host.
    public init?(url: String, defaultPort: Int) {
        guard let scheme = Self.authority(of: url.utf8) else { return nil }
        var authority = scheme.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) { authority = authority[at...].dropFirst() }
        let rest: Substring.UTF8View
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            host = String(Substring(authority[..<close].dropFirst()))
            rest = authority[close...].dropFirst()
        } else {
            let colon = authority.lastIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
            host = String(Substring(authority[..<colon]))
            rest = authority[colon...]
        }
        let isPort = rest.first == UInt8(ascii: ":")
        port = isPort ? Int(Substring(rest.dropFirst())) ?? defaultPort : defaultPort
        if host.isEmpty { return nil }
    }

    /// What follows the first `://`; nil where there is none.
    private static func authority(of url: String.UTF8View) -> Substring.UTF8View? {
        var rest = url[...]
        while let colon = rest.firstIndex(of: UInt8(ascii: ":")) {
            rest = rest[colon...].dropFirst()
            if rest.starts(with: "//".utf8) { return rest.dropFirst(2) }
        }
        return nil
    }

    /// Whether the host is a name or an address - ASCII letters, digits and `.-_:%` - or the path of a socket's
    /// directory, and the port is one. What a member key says is looked at before it goes into a connection string, a
    /// password file or a command line.
    public var isUsable: Bool {
        let isPath = host.utf8.first == UInt8(ascii: "/")
        let others = (isPath ? ".-_:%/@+~=" : ".-_:%").utf8
        let isSpelled = host.utf8.allSatisfy { byte in
            others.contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) && byte < 0x80
        }
        // A dash would make an option of it where a program takes the host as a word of its own.
        return isSpelled && !host.isEmpty && host.utf8.first != UInt8(ascii: "-") && (1...65_535).contains(port)
    }

    /// Several hosts with commas between, as libpq takes them; of a primary elsewhere.
    public var isSeveral: Bool { host.hasByte(",") }

    /// `host:port`, with brackets around an IPv6 address.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
