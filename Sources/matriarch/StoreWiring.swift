import ClusterModel
import Configuration
import Etcd
import Peers

/// The configuration's settings as the clients of etcd and of the peers take them.
enum StoreWiring {
    static func etcd(_ effective: EffectiveConfiguration) -> EtcdConfiguration {
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

    static func peers(_ effective: EffectiveConfiguration) -> PeerClientOptions {
        let settings = effective.ctl
        return PeerClientOptions(
            userAgent: "Patroni/\(Version.peer) Matriarch/\(Version.own)", cacert: settings.authorityFile,
            certfile: settings.certificateFile, keyfile: settings.keyFile, keyfilePassword: settings.keyFilePassword)
    }
}
