/// What of a server may change while it runs: connections that are open keep their encryption, all else holds from the
/// next answer on.
public struct HTTPServerSettings: Sendable {
    /// The value of the `Server` header; empty leaves it out.
    public var serverName: String
    /// For every answer that is neither bare nor a stock error.
    public var extraHeaders: HTTPHeaders
    /// HTTPS where set.
    public var tls: TLSContext?

    public init(serverName: String = "Matriarch", extraHeaders: HTTPHeaders = [:], tls: TLSContext? = nil) {
        self.serverName = serverName
        self.extraHeaders = extraHeaders
        self.tls = tls
    }
}
