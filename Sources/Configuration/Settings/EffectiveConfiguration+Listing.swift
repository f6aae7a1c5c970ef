import ClusterModel

extension EffectiveConfiguration {
    /// What holds on this node as YAML, the origin of every value behind it; secrets are masked. For `--print`.
    public var listing: String { SettingListing(withDefaults).text }

    /// The merged tree, and what the table gives where nobody has said anything.
    private var withDefaults: OriginatedTree {
        var all = merged
        let sections = ["log", "restapi", "ctl", "postgresql", "guardian", "watchdog", "tags"] + [store.section]
        for key in SettingTable.keys where key.level != .dynamic && key.withoutEffect == nil {
            let path = SettingPath(dotted: key.path)
            guard let standard = key.standard, !key.path.contains("<"), all.value(at: path) == nil,
                path.elements.count == 1 || sections.contains(path.elements[0])
            else { continue }
            all.set(path, standard, origin: .byDefault)
        }
        // What a new cluster begins with; of one that runs the store knows.
        let document = SettingPath(["bootstrap", "dcs"])
        guard all.value(at: document)?.object != nil else { return all }
        for key in SettingTable.keys where key.level == .dynamic && !key.path.contains(".") {
            let path = document.appending(key.path)
            guard let standard = key.standard, all.value(at: path) == nil else { continue }
            all.set(path, standard, origin: .byDefault)
        }
        return all
    }
}

/// Writes a tree with its origins.
private struct SettingListing {
    private let tree: OriginatedTree
    private(set) var text = ""

    init(_ tree: OriginatedTree) {
        self.tree = tree
        write(tree.root, SettingPath(), "")
    }

    private mutating func write(_ object: JSONObject, _ path: SettingPath, _ indent: String) {
        for member in object.members.sorted(by: { $0.key < $1.key }) {
            let here = path.appending(member.key)
            write(member.value, here, "\(indent)\(SettingListing.scalar(.string(member.key))):", indent)
        }
    }

    private mutating func write(_ value: JSONValue, _ path: SettingPath, _ start: String, _ indent: String) {
        switch value {
        case .object(let object) where !object.isEmpty && !isSecret(path):
            text += "\(start)\n"
            write(object, path, indent + "  ")
        case .array(let items) where !items.isEmpty && !isSecret(path):
            text += "\(start)\n"
            for (index, item) in items.enumerated() {
                line("\(indent)- ", item, path.appending(String(index)))
            }
        case .null, .bool, .int, .double, .string, .array, .object: line("\(start) ", value, path)
        }
    }

    private mutating func line(_ start: String, _ value: JSONValue, _ path: SettingPath) {
        let shown = isSecret(path) && value.isTruthy ? .string(Secrets.mask) : SettingListing.masked(value)
        let origin = tree.origin(of: path).map { "\($0)" } ?? "default"
        let comment = "  # \(origin.escaping { $0 < 0x20 ? " " : nil })"
        let scalar = SettingListing.scalar(shown)
        // A text of several lines has no room for a comment behind it.
        text += scalar.hasByte("\n") ? "\(start)\(scalar)\n" : "\(start)\(scalar)\(comment)\n"
    }

    /// All that is secret; of the roles the rest is no secret, and what one looks for.
    private func isSecret(_ path: SettingPath) -> Bool {
        if Secrets.isSecret(path.elements.suffix(1).filter { $0 != "authentication" }) { return true }
        guard let section = path.elements.firstIndex(of: "authentication"), let last = path.elements.last,
            section < path.elements.count - 1
        else { return false }
        let isKnown = SettingTable.byPath[path.description] != nil || SettingTable.credentialKeys.contains(last)
        return !isKnown
    }

    private static func masked(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(Secrets.masked(text))
        case .object(let object): .object(Secrets.masked(object))
        case .array(let items): .array(items.map(masked))
        case .null, .bool, .int, .double: value
        }
    }

    private static func scalar(_ value: JSONValue) -> String { String(YAML.text(value, .flow).withoutBlanks) }
}
