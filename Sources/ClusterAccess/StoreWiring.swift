import ClusterModel
public import Configuration
public import Etcd
public import Peers

/// The configuration's settings as the clients of etcd and of the peers take them.
public enum StoreWiring {
    /// As the store is reached.
    public static func etcd(_ effective: EffectiveConfiguration) -> EtcdConfiguration {
        let settings = effective.etcd
        return EtcdConfiguration(
            endpoints: settings.endpoints.map { address in
                EtcdEndpoint(scheme: settings.scheme.rawValue, host: address.host, port: address.port)
            }, username: settings.authentication?.username, password: settings.authentication?.password,
            cacert: settings.authorityFile, cert: settings.certificateFile, key: settings.keyFile,
            useProxies: settings.usesProxies, namespace: effective.namespace, scope: effective.scope,
            name: effective.name, ttl: effective.timings.ttl, loopWait: effective.timings.loopWait,
            retryTimeout: effective.timings.retryTimeout)
    }

    /// As this node asks the others.
    public static func peers(_ effective: EffectiveConfiguration) -> PeerClientOptions {
        let settings = effective.ctl
        return PeerClientOptions(
            userAgent: "Patroni/\(Version.peer) Matriarch/\(Version.own)", cacert: settings.authorityFile,
            certfile: settings.certificateFile, keyfile: settings.keyFile, keyfilePassword: settings.keyFilePassword)
    }
}
