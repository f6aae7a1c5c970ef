import ClusterModel

/// Where the gateway of this version of etcd lives (dcs.md §5.1).
struct EtcdVersion: Sendable, Hashable {
    /// `/v3`, `/v3beta` or `/v3alpha`.
    let prefix: String
    /// Whether users and passwords work through the gateway.
    let canAuthenticate: Bool
    /// Whether a transaction may compare a key's lease.
    let canCompareLeases: Bool

    /// Reads the answer of `/version`.
    init(_ reply: JSONObject) throws(EtcdError) {
        guard let serverText = reply["etcdserver"]?.string, let server = SoftwareVersion(serverText) else {
            throw .malformed("the answer of /version names no etcdserver version")
        }
        let cluster = reply["etcdcluster"]?.string.flatMap(SoftwareVersion.init) ?? server
        func below(_ version: SoftwareVersion, _ text: String) -> Bool {
            SoftwareVersion(text).map { version < $0 } ?? false
        }
        if below(cluster, "3.0") || below(server, "3.0.4") {
            throw .unsupportedVersion("etcd \(serverText) has no v3 API that can be used; 3.0.4 is the oldest")
        }
        prefix = below(cluster, "3.3") ? "/v3alpha" : below(cluster, "3.4") ? "/v3beta" : "/v3"
        canAuthenticate = !below(cluster, "3.3")
        canCompareLeases = !below(cluster, "3.3")
    }
}
