public import ClusterModel

/// The `restapi` section (configuration.md §3.4).
public struct RestAPISettings: Sendable, Hashable {
    /// One host to listen on; empty or `*` for all interfaces.
    public let listenHost: String
    public let listenPort: Int
    /// Where the other members reach the API.
    public let connectAddress: HostPort
    /// Needed for calls that change something; nil lets everybody in.
    public let authentication: BasicAuthentication?
    /// HTTPS where set.
    public let tls: TLS?
    /// Addresses, networks and host names that may make calls that change something; empty allows all.
    public let allowlist: [String]
    public let allowlistIncludesMembers: Bool
    /// For every full answer; those for HTTPS are merged in where TLS is on.
    public let extraHeaders: [ParameterSetting]
    /// The listen backlog.
    public let requestQueueSize: Int
    public let serverTokens: ServerTokens
    /// How long a TLS handshake may take, and a request until it is whole: settings of our own.
    public let handshakeTimeout: Duration
    public let requestTimeout: Duration

    /// The certificate and what goes with it.
    public struct TLS: Sendable, Hashable {
        public let certificateFile: String
        /// Nil where the key stands in the certificate file.
        public let keyFile: String?
        public let keyFilePassword: String?
        public let authorityFile: String?
        public let ciphers: String?
        public let verifyClient: ClientVerification
    }

    public enum ClientVerification: String, Sendable, Hashable {
        case none, optional, required
    }

    /// What the `Server` header tells.
    public enum ServerTokens: String, Sendable, Hashable {
        case original, minimal, productOnly = "productonly"
    }

    /// `http://<connect_address>/patroni`, as the member key publishes it.
    public var apiURL: String { apiURL(isEncrypted: tls != nil) }

    /// The same for a server that does not, or not yet, speak as configured.
    public func apiURL(isEncrypted: Bool) -> String { "\(isEncrypted ? "https" : "http")://\(connectAddress)/patroni" }

    /// Names of settings that hold from the start of the daemon to its end, where they are not as in `other`.
    public func settingsOfStart(otherThanIn other: RestAPISettings) -> [String] {
        [
            ("handshake_timeout", handshakeTimeout == other.handshakeTimeout),
            ("request_queue_size", requestQueueSize == other.requestQueueSize),
            ("request_timeout", requestTimeout == other.requestTimeout),
        ].compactMap { name, isSame in isSame ? nil : name }
    }

    init(_ reader: inout SettingReader) {
        let listen = RestAPISettings.listen(&reader)
        listenHost = listen.host
        listenPort = listen.port
        connectAddress = RestAPISettings.connectAddress(&reader, listen)
        authentication = reader.authentication("restapi")
        tls = RestAPISettings.tls(&reader)
        allowlist = reader.texts("restapi.allowlist", separator: ",") ?? []
        allowlistIncludesMembers = reader.bool("restapi.allowlist_include_members")
        var headers = reader.parameters("restapi.http_extra_headers", booleans: ("True", "False")) ?? []
        let secure = reader.parameters("restapi.https_extra_headers", booleans: ("True", "False")) ?? []
        if tls != nil {
            headers.removeAll { header in secure.contains { $0.name.lowercased() == header.name.lowercased() } }
            headers += secure
        }
        extraHeaders = headers
        requestQueueSize = Int(reader.integer("restapi.request_queue_size"))
        handshakeTimeout = .seconds(reader.integer("restapi.handshake_timeout"))
        requestTimeout = .seconds(reader.integer("restapi.request_timeout"))
        serverTokens = RestAPISettings.serverTokens(&reader)
    }

    // What Patroni goes on without (configuration.md §3.4) ends no start here either.

    private static func serverTokens(_ reader: inout SettingReader) -> ServerTokens {
        guard let value = reader.raw("restapi.server_tokens") else { return .original }
        if let tokens = value.string.flatMap({ ServerTokens(rawValue: $0.lowercased()) }) { return tokens }
        reader.warn(
            "restapi.server_tokens",
            "found \(Secrets.shown(value.comparableText)), allowed is Original, Minimal or ProductOnly; Original is used"
        )
        return .original
    }

    private static func listen(_ reader: inout SettingReader) -> HostPort {
        let nothing = HostPort(host: "", port: 0)
        guard reader.object("restapi") != nil || reader.raw("restapi") == nil, let text = reader.text("restapi.listen")
        else {
            if reader.raw("restapi.listen") == nil { reader.missing("restapi.listen", "<HOST>:<PORT>") }
            return nothing
        }
        guard let address = ListenAddress(text), address.hosts.count == 1, let host = address.hosts.first else {
            reader.report(
                "restapi.listen",
                "Invalid \"restapi\" config: expected <HOST>:<PORT> for \"listen\", but got \"\(Secrets.shown(text))\"")
            return nothing
        }
        return HostPort(host: host, port: address.port)
    }

    private static func connectAddress(_ reader: inout SettingReader, _ listen: HostPort) -> HostPort {
        if let text = reader.filledText("restapi.connect_address", allowed: "<HOST>:<PORT>") {
            if let address = HostPort(text) {
                Wildcard.warn(&reader, "restapi.connect_address", address.host)
                return address
            }
            reader.wrong("restapi.connect_address", "<HOST>:<PORT>")
        } else if Wildcard.isMeant(by: listen.host), listen.port != 0 {
            reader.missing("restapi.connect_address", "<HOST>:<PORT>, because restapi.listen names no single host")
        }
        return listen
    }

    private static func tls(_ reader: inout SettingReader) -> TLS? {
        let verify = reader.word("restapi.verify_client")
        guard let certificate = reader.path("restapi.certfile") else { return nil }
        return TLS(
            certificateFile: certificate, keyFile: reader.path("restapi.keyfile"),
            keyFilePassword: reader.filledText("restapi.keyfile_password"),
            authorityFile: reader.path("restapi.cafile"),
            ciphers: reader.filledText("restapi.ciphers"),
            verifyClient: ClientVerification(rawValue: verify) ?? .none)
    }
}

/// Addresses that mean every interface: good for listening, useless for reaching a node.
public enum Wildcard {
    /// Whether `host` is one.
    public static func isMeant(by host: String) -> Bool { ["", "*", "0.0.0.0", "::"].contains(host) }

    static func warn(_ reader: inout SettingReader, _ path: String, _ host: String) {
        if isMeant(by: host) {
            reader.warn(path, "other nodes cannot reach \"\(Secrets.shown(host))\"; name this node's own address")
        }
    }
}

/// The `ctl` section: what this node's calls to other nodes use (configuration.md §3.5).
public struct CtlSettings: Sendable, Hashable {
    /// Falls back to that of `restapi`.
    public let authentication: BasicAuthentication?
    public let isInsecure: Bool
    /// Falls back to `restapi.cafile`.
    public let authorityFile: String?
    /// The client certificate; without one servers are not verified.
    public let certificateFile: String?
    public let keyFile: String?
    public let keyFilePassword: String?

    init(_ reader: inout SettingReader, restAPI: RestAPISettings) {
        authentication = reader.authentication("ctl") ?? restAPI.authentication
        isInsecure = reader.bool("ctl.insecure")
        authorityFile = reader.path("ctl.cacert") ?? restAPI.tls?.authorityFile
        certificateFile = reader.path("ctl.certfile")
        let keyFile = reader.path("ctl.keyfile")
        let keyFilePassword = reader.filledText("ctl.keyfile_password")
        self.keyFile = certificateFile == nil ? nil : keyFile
        self.keyFilePassword = certificateFile == nil ? nil : keyFilePassword
    }
}
