import ClusterModel

/// The one table of the keys that may stand in a configuration (configuration.md §3, §4), those of ours and of older
/// versions included.
enum SettingTable {
    /// In the order of the reference.
    static let keys: [SettingKey] = read([node, postgreSQL, postgreSQLSeries, dynamic, stores].joined(separator: "\n"))

    static let byPath = Dictionary(keys.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })

    static func read(_ text: String) -> [SettingKey] {
        text.split(separator: "\n").compactMap { SettingKey(row: $0) }
    }

    /// The keys that may stand in a section; `""` is the top. Empty for one that may hold anything.
    static func keys(of section: String) -> Set<String> { sections[section] ?? [] }

    private static let sections: [String: Set<String>] = {
        var sections: [String: Set<String>] = [:]
        for key in keys where !key.path.contains("<") {
            let parts = SettingPath(dotted: key.path).elements
            sections[parts.dropLast().joined(separator: "."), default: []].insert(parts.last ?? "")
        }
        // Any tag may stand there.
        sections["tags"] = nil
        return sections
    }()

    /// Keys of the top, or of `postgresql`, that only `level` takes.
    static func only(_ level: SettingKey.Level, in section: String) -> Set<String> {
        Set(
            keys(of: section).filter { key in
                byPath[section.isEmpty ? key : "\(section).\(key)"]?.level == level
            })
    }

    /// The key behind a path of a node's configuration: `bootstrap.dcs.ttl` is `ttl`.
    static func key(at path: SettingPath) -> SettingKey? {
        let elements = path.elements
        if elements.count > 2, elements[0] == "bootstrap", elements[1] == "dcs" {
            return byPath[elements.dropFirst(2).joined(separator: ".")]
        }
        return byPath[elements.joined(separator: ".")]
    }
}

/// What stands where it does nothing.
enum SettingRemark: Sendable, Hashable {
    /// With the nearest name that is known.
    case unknown(nearest: String?)
    /// In the dynamic configuration: each node reads its own.
    case onlyLocal

    /// In words, with the path to name: in a section of secrets, `admin: secret` written in one word is a key.
    func told(at path: SettingPath) -> (path: SettingPath, text: String) {
        let section = SettingPath(Array(path.elements.dropLast()))
        switch self {
        case .onlyLocal: return (path, "has no effect here: each node reads it from its own configuration")
        case .unknown(nil) where Secrets.isSecret(section.elements): return (section, "holds an unknown key")
        case .unknown(let nearest):
            return (path, "unknown key" + (nearest.map { "; did you mean \(section.appending($0))?" } ?? ""))
        }
    }
}

extension SettingTable {
    typealias Remarks = [(path: SettingPath, remark: SettingRemark)]

    /// Unknown keys of a node's configuration, and those in `bootstrap.dcs` that no node reads there. Paths in order.
    static func remarks(onLocal tree: JSONObject) -> Remarks {
        var found = Remarks()
        check(tree, SettingPath(), "", isDynamic: false, &found, named: methodNames(tree, tree["bootstrap"]?["dcs"]))
        return found
    }

    /// The same for a document of the store.
    static func remarks(onDynamic document: JSONObject) -> Remarks {
        var found = Remarks()
        check(document, SettingPath(), "", isDynamic: true, &found, named: methodNames(document, nil))
        return found
    }

    /// `section` is where the keys of `object` stand in the table.
    private static func check(
        _ object: JSONObject, _ path: SettingPath, _ section: String, isDynamic: Bool, _ found: inout Remarks,
        named: [String: Set<String>]
    ) {
        let known = keys(of: section)
        if known.isEmpty { return }
        for member in object.members {
            let here = path.appending(member.key)
            let row = section.isEmpty ? member.key : "\(section).\(member.key)"
            guard known.contains(member.key) else {
                if named[section]?.contains(member.key) == true { continue }
                let meant = isDynamic ? known.filter { isRead(section, $0) } : known
                found.append((here, .unknown(nearest: EditDistance.nearest(member.key, among: meant))))
                continue
            }
            if isDynamic, byPath[row]?.level == .local {
                found.append((here, .onlyLocal))
            } else if case .object(let child) = member.value {
                let isDocument = !isDynamic && row == "bootstrap.dcs"
                check(
                    child, here, isDocument ? "" : row, isDynamic: isDynamic || isDocument, &found, named: named)
            }
        }
    }

    private static func isRead(_ section: String, _ key: String) -> Bool {
        byPath[section.isEmpty ? key : "\(section).\(key)"]?.level != .local
    }

    /// Sections that a key of the same section names: methods of bootstrap and of replica creation.
    private static func methodNames(_ tree: JSONObject, _ dynamic: JSONValue?) -> [String: Set<String>] {
        let sections = [tree["postgresql"], dynamic?["postgresql"], dynamic?["standby_cluster"]]
        let methods = sections.compactMap { $0 }.flatMap { section in
            ["create_replica_methods", "create_replica_method"].flatMap { key in
                section[key]?.array ?? section[key].map { [$0] } ?? []
            }
        }
        let replica = methods.compactMap(\.string).flatMap { $0.split(atByte: ",") }
        return [
            "bootstrap": Set([tree["bootstrap"]?["method"]?.string].compactMap { $0 }),
            "postgresql": Set(replica.map { String(Substring($0).withoutBlanks) }),
        ]
    }
}
