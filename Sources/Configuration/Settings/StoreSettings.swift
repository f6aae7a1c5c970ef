public import ClusterModel

/// Where the cluster's keys are, and how they are reached: a case for each store that we speak to (configuration.md
/// §3.7).
public enum StoreSettings: Sendable, Hashable {
    case etcd(EtcdSettings)

    /// The stores that we speak to. Whoever adds one to `StoreSettings` is asked for one here, and for all that others
    /// have to know of it by name: nothing outside of this file goes round the stores by hand.
    enum Kind: String, CaseIterable {
        case etcd

        /// The sections that name the store, in the order of `StoreSettings.sections`; the last is the one to use.
        var sections: [String] {
            switch self {
            case .etcd: EtcdSettings.sections
            }
        }

        /// How it is told what this version speaks to.
        var support: String {
            switch self {
            case .etcd: "etcd3 (and etcd, by the v3 API)"
            }
        }

        /// The keys of its sections that name a file with certificates.
        var certificateKeys: [String] {
            switch self {
            case .etcd: ["cert", "cacert"]
            }
        }

        /// What Patroni calls the logger of this store, the nearest name first.
        var loggers: [String] {
            switch self {
            case .etcd: ["patroni.dcs.etcd3", "patroni.dcs.etcd"]
            }
        }
    }

    private var kind: Kind {
        switch self {
        case .etcd: .etcd
        }
    }

    /// The section that names it.
    var section: String {
        switch self {
        case .etcd(let settings): settings.mayMeanVersionTwo ? "etcd" : "etcd3"
        }
    }

    /// `host:port` of each endpoint that is configured, with the section that names it.
    public var endpoints: (section: String, addresses: [HostPort]) {
        switch self {
        case .etcd(let settings): (section, settings.endpoints)
        }
    }

    /// What TLS to it needs, where it is configured.
    public var files: (authority: String?, certificate: String?, key: String?) {
        switch self {
        case .etcd(let settings): (settings.authorityFile, settings.certificateFile, settings.keyFile)
        }
    }

    /// What the log calls it.
    public var name: String { kind.rawValue }

    /// The sections that name a store, in the order in which Patroni looks for them; a store is chosen by the first
    /// that we speak to.
    static let sections = ["consul", "etcd", "etcd3", "exhibitor", "kubernetes", "raft", "zookeeper"]

    /// Those of them that we speak to.
    static let spokenSections = sections.filter { kind(of: $0) != nil }

    /// By each of these, the keys that name a file with certificates.
    public static let certificateKeys = spokenSections.reduce(into: [String: [String]]()) { keys, section in
        keys[section] = kind(of: section)?.certificateKeys
    }

    init(_ reader: inout SettingReader) {
        let (kind, section) = StoreSettings.choose(&reader)
        switch kind {
        case .etcd: self = .etcd(EtcdSettings(&reader, section: section))
        }
    }

    private static func choose(_ reader: inout SettingReader) -> (Kind, section: String) {
        let present = sections.filter { reader.raw($0) != nil }
        let spoken = present.lazy.compactMap { section in kind(of: section).map { ($0, section: section) } }
        guard let chosen = spoken.first else {
            if let other = present.first {
                let supported = Kind.allCases.map(\.support).joined(separator: " and ")
                reader.report(other, "this version supports \(supported) only")
            } else {
                let sections = spokenSections.reversed().joined(separator: " or ")
                reader.missing("etcd3", "a section that names the DCS: \(sections)")
            }
            return (.etcd, "etcd3")
        }
        for other in present where other != chosen.section {
            reader.warn(other, "is not used, because \(chosen.section) stands beside it")
        }
        return chosen
    }

    private static func kind(of section: String) -> Kind? { Kind.allCases.first { $0.sections.contains(section) } }
}
