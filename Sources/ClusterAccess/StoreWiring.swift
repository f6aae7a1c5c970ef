import ClusterModel
public import Configuration
import Etcd
public import Peers
public import Ports

/// The configuration's settings as the clients of the store and of the peers take them.
public enum StoreWiring {
    /// The store that is configured, not yet connected. Throws where its thread cannot be started.
    public static func store(_ effective: EffectiveConfiguration) throws -> any DistributedConfigurationStore {
        switch effective.store {
        case .etcd(let settings): try EtcdStore(etcd(settings, effective))
        }
    }

    private static func etcd(_ settings: EtcdSettings, _ effective: EffectiveConfiguration) -> EtcdConfiguration {
        EtcdConfiguration(
            endpoints: settings.endpoints.map { address in
                EtcdEndpoint(scheme: settings.scheme.rawValue, host: address.host, port: address.port)
            }, username: settings.authentication?.username, password: settings.authentication?.password,
            cacert: settings.authorityFile, cert: settings.certificateFile, key: settings.keyFile,
            useProxies: settings.usesProxies, namespace: effective.namespace, scope: effective.scope,
            name: effective.name, ttl: effective.timings.ttl, loopWait: effective.timings.loopWait,
            retryTimeout: effective.timings.retryTimeout, mayHoldVersionTwo: settings.mayMeanVersionTwo)
    }

    /// As this node asks the others.
    public static func peers(_ effective: EffectiveConfiguration) -> PeerClientOptions {
        let settings = effective.ctl
        return PeerClientOptions(
            userAgent: "Patroni/\(Version.peer) Matriarch/\(Version.own)", cacert: settings.authorityFile,
            certfile: settings.certificateFile, keyfile: settings.keyFile, keyfilePassword: settings.keyFilePassword)
    }
}
