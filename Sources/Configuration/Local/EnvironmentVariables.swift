import ClusterModel

/// The configuration in `PATRONI_*` variables (configuration.md §6). Pure: the environment is passed in.
struct EnvironmentVariables {
    static let prefix = "PATRONI_"
    /// The text of a whole configuration; used in place of a file.
    static let wholeConfiguration = "PATRONI_CONFIGURATION"

    private(set) var tree = JSONObject()
    /// The variable behind every key that was set.
    private(set) var names: [SettingPath: String] = [:]
    /// What could not be read and was left out.
    private(set) var warnings: [String] = []

    init(_ environment: [String: String]) {
        var values: [String: String] = [:]
        for (name, value) in environment where name.hasPrefix(EnvironmentVariables.prefix) {
            values[String(name.dropFirst(EnvironmentVariables.prefix.count))] = value
        }
        for (old, new) in EnvironmentTable.legacyNames where values[new] == nil {
            values[new] = values.removeValue(forKey: old)
        }
        for (name, path) in EnvironmentTable.texts { read(values, name, path) { .string($0) } }
        readTyped(values)
        readSections(values)
        readCredentials(values)
        warnUnread(values)
    }

    /// Names that nobody reads: slips of the pen, and those that Patroni's own pages have wrong.
    private mutating func warnUnread(_ values: [String: String]) {
        for name in values.keys.sorted() where !EnvironmentTable.reads(name) {
            let nearest = EditDistance.nearest(name, among: EnvironmentTable.readNames)
            let hint = nearest.map { "; did you mean \(EnvironmentVariables.prefix)\($0)?" } ?? ""
            warnings.append("\(EnvironmentVariables.prefix)\(name) is read by nobody\(hint)")
        }
    }

    /// The tree with the variables as origins.
    var originated: OriginatedTree {
        OriginatedTree(tree) { path in
            var elements = path.elements[...]
            while !elements.isEmpty {
                if let name = names[SettingPath(Array(elements))] { return .environment(name) }
                elements = elements.dropLast()
            }
            // Of several that made a section always the same one.
            return names.filter { $0.key.elements.starts(with: path.elements) }.values.min().map { .environment($0) }
        }
    }

    /// An empty text is as good as none (groups A to C).
    private mutating func read(
        _ values: [String: String], _ name: String, _ path: String, _ parse: (String) -> JSONValue?
    ) {
        guard let text = values[name], !text.isEmpty else { return }
        guard let value = parse(text) else {
            warnUnreadable(name, text, SettingPath(dotted: path))
            return
        }
        set(SettingPath(dotted: path), value, name)
    }

    private mutating func warnUnreadable(_ name: String, _ text: String, _ path: SettingPath) {
        let shown = Secrets.isSecret(path.elements) ? Secrets.mask : Secrets.shown(text)
        warnings.append("\(EnvironmentVariables.prefix)\(name)=\(shown) cannot be read and is left out")
    }

    private mutating func set(_ path: SettingPath, _ value: JSONValue, _ name: String) {
        var patch = value
        for element in path.elements.reversed() { patch = .object(JSONObject([(element, patch)])) }
        if case .object(let patch) = patch { tree.apply(patch: patch) }
        names[path] = EnvironmentVariables.prefix + name
    }

    /// Group B.
    private mutating func readTyped(_ values: [String: String]) {
        for (name, path) in EnvironmentTable.booleans {
            read(values, name, path) { ValueParsing.bool($0).map(JSONValue.bool) }
        }
        for (name, path) in EnvironmentTable.integers {
            read(values, name, path) { ValueParsing.integer($0).map(JSONValue.int) }
        }
        for (name, path) in EnvironmentTable.reals {
            read(values, name, path) { ValueParsing.real($0).map(JSONValue.double) }
        }
        for (name, path) in EnvironmentTable.lists { read(values, name, path, EnvironmentVariables.list) }
        for (name, path) in EnvironmentTable.maps { read(values, name, path, EnvironmentVariables.map) }
        read(values, "LOG_FORMAT", "log.format") { text in
            EnvironmentVariables.hasPlaceholder(text) ? .string(text) : EnvironmentVariables.list(text)
        }
    }

    /// Group C; those of etcd only where group D made the section.
    private mutating func readCredentials(_ values: [String: String]) {
        for (name, path) in EnvironmentTable.credentials { read(values, name, path) { .string($0) } }
        for (name, path) in EnvironmentTable.storeCredentials {
            let section = SettingPath(dotted: path).elements[0]
            if tree[section] != nil {
                read(values, name, path) { .string($0) }
            } else if values[name]?.isEmpty == false {
                warnings.append(
                    "\(EnvironmentVariables.prefix)\(name) is left out, because no other variable makes "
                        + "the section \(section)")
            }
        }
    }

    /// Group D: `<SECTION>_<SUFFIX>`; here an empty text counts.
    private mutating func readSections(_ values: [String: String]) {
        for (name, text) in values.sorted(by: { $0.key < $1.key }) {
            guard let cut = name.firstIndex(of: "_") else { continue }
            let section = name[..<cut].lowercased()
            let suffix = String(name[name.index(after: cut)...])
            guard !section.isEmpty, EnvironmentTable.suffixes.contains(suffix),
                section != "citus" || ["GROUP", "DATABASE"].contains(suffix)
            else { continue }
            guard let value = EnvironmentVariables.sectionValue(section, suffix, text) else {
                warnUnreadable(name, text, SettingPath([section, suffix.lowercased()]))
                continue
            }
            if text.isEmpty {
                warnings.append(
                    "\(EnvironmentVariables.prefix)\(name) is empty, and makes a section \(section) all the same: "
                        + "unset it where that is not meant")
            }
            set(SettingPath([section, suffix.lowercased()]), value, name)
        }
    }

    private static func sectionValue(_ section: String, _ suffix: String, _ text: String) -> JSONValue? {
        if suffix == "PORT" || section == "citus" && suffix == "GROUP" {
            return ValueParsing.integer(text).map(JSONValue.int)
        }
        if EnvironmentTable.listSuffixes.contains(suffix) { return list(text) }
        if EnvironmentTable.mapSuffixes.contains(suffix) { return map(text) }
        if EnvironmentTable.booleanSuffixes.contains(suffix) { return ValueParsing.bool(text).map(JSONValue.bool) }
        return .string(text)
    }

    /// A YAML list, or what stands between its brackets; of a text in quotes (`'[::1]:2379'`) the text.
    static func list(_ text: String) -> JSONValue? {
        let isList = text.hasPrefix("-") || text.contains("[")
        guard let value = try? YAML.parse(isList ? text : "[\(text)]").value else { return nil }
        return value.array != nil || value.string?.isEmpty == false ? value : nil
    }

    /// A YAML mapping, or what stands between its braces.
    static func map(_ text: String) -> JSONValue? {
        guard let value = try? YAML.parse(text.hasPrefix("{") ? text : "{\(text)}").value, value.object != nil else {
            return nil
        }
        return value
    }

    /// `%(word)`
    private static func hasPlaceholder(_ text: String) -> Bool {
        var rest = text[...]
        while let start = rest.firstRange(of: "%(") {
            let word = rest[start.upperBound...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            rest = rest[start.upperBound...]
            if !word.isEmpty, rest.dropFirst(word.count).first == ")" { return true }
        }
        return false
    }
}
