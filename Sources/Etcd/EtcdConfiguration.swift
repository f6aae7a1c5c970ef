@_exported public import StoreRules

/// Where etcd is, who we are to it, and for which cluster (configuration.md; dcs.md §1, §5).
public struct EtcdConfiguration: Sendable, Hashable {
    /// At least one. With `useProxies` exactly these are used, else they are where the member list is asked for.
    public var endpoints: [EtcdEndpoint]
    public var username: String?
    public var password: String?
    /// Paths of PEM files; the certificate may hold its key.
    public var cacert: String?
    public var cert: String?
    public var key: String?
    public var keyPassword: String?
    /// Whether the endpoints are proxies: then the members are not discovered.
    public var useProxies: Bool
    public var namespace: String
    public var scope: String
    /// Our member's name.
    public var name: String
    public var ttl: Duration
    public var loopWait: Duration
    public var retryTimeout: Duration
    /// The scope may stand in the v2 store of the same etcd, too, with daemons at work on it.
    public var mayHoldVersionTwo: Bool

    public init(
        endpoints: [EtcdEndpoint], username: String? = nil, password: String? = nil, cacert: String? = nil,
        cert: String? = nil, key: String? = nil, keyPassword: String? = nil, useProxies: Bool = false,
        namespace: String = "service", scope: String, name: String, ttl: Duration = .seconds(30),
        loopWait: Duration = .seconds(10), retryTimeout: Duration = .seconds(10),
        mayHoldVersionTwo: Bool = false
    ) {
        self.endpoints = endpoints
        self.username = username
        self.password = password
        self.cacert = cacert
        self.cert = cert
        self.key = key
        self.keyPassword = keyPassword
        self.useProxies = useProxies
        self.namespace = namespace
        self.scope = scope
        self.name = name
        self.ttl = ttl
        self.loopWait = loopWait
        self.retryTimeout = retryTimeout
        self.mayHoldVersionTwo = mayHoldVersionTwo
    }
}
