/// Where the cluster's keys are, and how they are reached: a case for each store that we speak to (configuration.md
/// §3.7).
public enum StoreSettings: Sendable, Hashable {
    case etcd(EtcdSettings)

    /// What the log calls it.
    public var name: String {
        switch self {
        case .etcd: "etcd"
        }
    }

    /// The sections that name a store, in the order in which Patroni looks for them; a store is chosen by the first
    /// that we speak to.
    private static let sections = ["consul", "etcd", "etcd3", "exhibitor", "kubernetes", "raft", "zookeeper"]

    init(_ reader: inout SettingReader) {
        self = .etcd(EtcdSettings(&reader, section: StoreSettings.choose(&reader)))
    }

    private static func choose(_ reader: inout SettingReader) -> String {
        let present = sections.filter { reader.raw($0) != nil }
        guard let chosen = present.first(where: { EtcdSettings.sections.contains($0) }) else {
            if let other = present.first {
                reader.report(other, "this version supports etcd3 (and etcd, by the v3 API) only")
            } else {
                reader.missing("etcd3", "a section that names the DCS: etcd3 or etcd")
            }
            return "etcd3"
        }
        for other in present where other != chosen {
            reader.warn(other, "is not used, because \(chosen) stands beside it")
        }
        return chosen
    }
}
