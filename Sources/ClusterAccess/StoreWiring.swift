import ClusterModel
public import Configuration
public import Etcd
public import Peers
public import Ports

/// The configuration's settings as the clients of the store and of the peers take them.
public enum StoreWiring {
    /// The store that is configured, not yet connected. Throws where its thread cannot be started.
    /// `marks` is where the daemon keeps what the next one is to know of it.
    public static func store(
        _ effective: EffectiveConfiguration, marks: StoreMarkFile? = nil
    ) throws -> any DistributedConfigurationStore {
        switch effective.store {
        case .etcd(let settings):
            let place = Place(
                namespace: effective.namespace, scope: effective.scope, name: effective.name,
                timings: effective.timings)
            return try EtcdStore(etcd(settings, place), marks: marks)
        }
    }

    /// Where a daemon keeps what the next one is to know of the store, and what an earlier one has left there.
    public static func marks(_ effective: EffectiveConfiguration) async -> StoreMarkFile {
        await StoreMarkFile.open(
            StoreMarkFile.path(besides: effective.postgreSQL.dataDirectory), within: .seconds(2))
    }

    /// What of the store's section changes while the daemon runs: who we are to it (configuration.md §3.7).
    public static func adopt(_ effective: EffectiveConfiguration, _ store: any DistributedConfigurationStore) async {
        switch effective.store {
        case .etcd(let settings):
            let authentication = settings.authentication
            await (store as? EtcdStore)?.adopt(
                username: authentication?.username, password: authentication?.password)
        }
    }

    /// The store as an operator's tool sees it: the cluster `scope`, `batman/1` for group 1 of a Citus cluster. Such a
    /// tool has no name of its own there and never starts the store: it reads, and writes what it was told to.
    public static func administration(
        _ configuration: ToolConfiguration, scope: String
    ) throws -> any StoreAdministration {
        switch try configuration.store() {
        case .etcd(let settings):
            let place = Place(
                namespace: configuration.namespace, scope: scope, name: "", timings: configuration.timings)
            var own = etcd(settings, place)
            // One answer is all that is wanted: whoever is configured is asked, and not for the others' addresses.
            own.useProxies = true
            return try EtcdStore(own)
        }
    }

    /// Whose keys are meant, and who means them.
    private struct Place {
        let namespace: String
        let scope: String
        let name: String
        let timings: ClusterTimings
    }

    private static func etcd(_ settings: EtcdSettings, _ place: Place) -> EtcdConfiguration {
        EtcdConfiguration(
            endpoints: settings.endpoints.map { address in
                EtcdEndpoint(scheme: settings.scheme.rawValue, host: address.host, port: address.port)
            }, username: settings.authentication?.username, password: settings.authentication?.password,
            cacert: settings.authorityFile, cert: settings.certificateFile, key: settings.keyFile,
            useProxies: settings.usesProxies, namespace: place.namespace, scope: place.scope, name: place.name,
            ttl: place.timings.ttl, loopWait: place.timings.loopWait, retryTimeout: place.timings.retryTimeout,
            mayHoldVersionTwo: settings.mayMeanVersionTwo)
    }

    /// As this node asks the others.
    public static func peers(_ effective: EffectiveConfiguration) -> PeerClientOptions {
        let settings = effective.ctl
        return PeerClientOptions(
            userAgent: "Patroni/\(Version.patroni) Matriarch/\(Version.own)", cacert: settings.authorityFile,
            certfile: settings.certificateFile, keyfile: settings.keyFile, keyfilePassword: settings.keyFilePassword,
            username: settings.authentication?.username, password: settings.authentication?.password)
    }
}
