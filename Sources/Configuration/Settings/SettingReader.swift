import ClusterModel

/// Typed reading of the merged tree. Every value that does not fit is noted with its path, and reading goes on with the
/// default: so all problems come out at once.
///
/// A wrong value of the dynamic configuration is a warning, not an error: it came from another node, and a cluster must
/// not lose a node over it.
struct SettingReader {
    let tree: OriginatedTree
    private(set) var problems: [ConfigurationProblem] = []
    private(set) var warnings: [String] = []

    init(_ tree: OriginatedTree) { self.tree = tree }

    /// What stands at `path`; null counts as nothing.
    func raw(_ path: String) -> JSONValue? {
        let value = tree.value(at: SettingPath(dotted: path))
        return value?.isNull == true ? nil : value
    }

    mutating func missing(_ path: String, _ allowed: String) {
        problems.append(ConfigurationProblem(SettingPath(dotted: path), "is not defined; needed is \(allowed)"))
    }

    mutating func wrong(_ path: String, _ allowed: String) {
        let place = SettingPath(dotted: path)
        let found = tree.value(at: place)
        var shown = found.map { SettingReader.shown($0, as: SettingTable.key(at: place)?.kind) } ?? "nothing"
        if Secrets.isSecret(place.elements) || SettingReader.areURLs.contains(place.elements.last ?? "") {
            shown = "something else"
        }
        var message = "found \(shown), allowed is \(allowed)"
        if found?.bool != nil { message += " (YAML takes on, off, yes and no for booleans: quote a text)" }
        report(path, message)
    }

    /// Notes a problem that is not about the type.
    mutating func report(_ path: String, _ message: String) {
        let place = SettingPath(dotted: path)
        let origin = tree.origin(of: place)
        let problem = ConfigurationProblem(place, message, origin)
        if origin == .dynamic { warn("\(problem); the default is used") } else { problems.append(problem) }
    }

    mutating func report(_ problem: ConfigurationProblem) { problems.append(problem) }

    /// A problem of the local configuration, at a path whose keys may hold points.
    mutating func reportAsItIs(_ path: SettingPath, _ message: String) {
        problems.append(ConfigurationProblem(path, message, tree.origin(of: path)))
    }

    mutating func warn(_ message: String) { warnings.append(message) }

    /// Warns of the value at `path`.
    mutating func warn(_ path: String, _ message: String) {
        let place = SettingPath(dotted: path)
        warn(ConfigurationProblem(place, message, tree.origin(of: place)).description)
    }

    /// A text that is no URL may hold the password of one anywhere.
    private static let areURLs = ["url", "proxy"]

    /// A section that was written as a text (`postgresql: >`) holds all that would stand in it, passwords included.
    static func shown(_ value: JSONValue, as kind: SettingKind? = nil) -> String {
        switch value {
        case .null: "nothing"
        case .bool(let value): value ? "true" : "false"
        case .int, .double: value.comparableText
        case .string(let text) where text.hasByte("\n"): "a text of several lines"
        case .string where kind?.isTree == true: "a text"
        case .string(let text): "\"\(Secrets.shown(text))\""
        case .array: "a list"
        case .object: "a mapping"
        }
    }

    // MARK: Scalars

    /// A text; a number counts as the text it was written as.
    mutating func text(_ path: String, allowed: String = "a text") -> String? {
        switch raw(path) {
        case nil, .null?: return nil
        case .string(let text)?: return text
        case .int?, .double?: return raw(path)?.comparableText
        case .bool?, .array?, .object?:
            wrong(path, allowed)
            return nil
        }
    }

    /// A text with something in it.
    mutating func filledText(_ path: String, allowed: String = "a text") -> String? {
        guard let text = text(path, allowed: allowed), !text.isEmpty else { return nil }
        return text
    }

    /// A path of a file or a directory, absolute and in its plain form.
    mutating func path(_ path: String, allowed: String = "a path") -> String? {
        guard let text = filledText(path, allowed: allowed) else { return nil }
        // A shell makes it a home, Patroni and we do not.
        if text.utf8.first == UInt8(ascii: "~") {
            warn(path, "~ is no home directory here: the path counts from where the daemon is started")
        }
        if let plain = PathText.absolute(text, from: PathText.workingDirectory) { return plain }
        wrong(path, allowed + " without a null byte")
        return nil
    }

    // What these allow, and what they give where nothing stands, is the table's.

    mutating func bool(_ path: String) -> Bool {
        let standard = SettingTable.byPath[path]?.standard?.bool ?? false
        guard let value = raw(path) else { return standard }
        if let bool = ValueParsing.bool(value) { return bool }
        wrong(path, SettingKind.bool.allowed)
        return standard
    }

    mutating func integer(_ path: String) -> Int64 {
        guard let key = SettingTable.byPath[path], case .integer(let range, let unit) = key.kind else { return 0 }
        let standard = key.standard?.int ?? range.lowerBound
        guard let value = raw(path) else { return standard }
        if let number = ValueParsing.integer(value, unit: unit), range.contains(number) { return number }
        wrong(path, key.allowed)
        return standard
    }

    /// One of the words that may stand there, in any case; in lower case.
    mutating func word(_ path: String) -> String {
        guard let key = SettingTable.byPath[path] else { return "" }
        let standard = key.standard?.string ?? ""
        guard let value = raw(path) else { return standard }
        if key.kind.takes(value), let text = value.string { return text.lowercased() }
        wrong(path, key.allowed)
        return standard
    }

    // MARK: Collections

    mutating func object(_ path: String) -> JSONObject? {
        guard let value = raw(path) else { return nil }
        if case .object(let object) = value { return object }
        wrong(path, "a mapping")
        return nil
    }

    /// A list of texts; with `separator` also one text that is cut at it.
    mutating func texts(_ path: String, separator: Unicode.Scalar? = nil) -> [String]? {
        switch raw(path) {
        case nil: return nil
        case .array(let items)?:
            return items.indices.compactMap { text("\(path).\($0)") }
        case .string(let text)?:
            if let separator {
                return text.split(atByte: separator).filter { !$0.isEmpty }.map { String($0.withoutBlanks) }
            }
            wrong(path, "a list of texts")
            return nil
        case .null?, .bool?, .int?, .double?, .object?:
            wrong(path, "a list of texts")
            return nil
        }
    }

    /// A mapping of names to scalars; booleans as PostgreSQL takes them, unless told otherwise.
    mutating func parameters(
        _ path: String, booleans: (true: String, false: String) = ("on", "off")
    ) -> [ParameterSetting]? {
        guard let object = object(path) else { return nil }
        var settings: [ParameterSetting] = []
        for member in object.members {
            switch member.value {
            case .null: continue
            case .bool(let value):
                settings.append(ParameterSetting(name: member.key, value: value ? booleans.true : booleans.false))
            case .int, .double, .string:
                settings.append(ParameterSetting(name: member.key, value: member.value.comparableText))
            case .array, .object:
                let place = SettingPath(dotted: path).appending(member.key)
                let problem = ConfigurationProblem(
                    place, "found \(SettingReader.shown(member.value)), allowed is a text, a number or a boolean",
                    tree.origin(of: place))
                if problem.origin == .dynamic { warn("\(problem); it is left out") } else { problems.append(problem) }
            }
        }
        return settings
    }

    /// A command that is run without a shell: its quotes must be closed.
    mutating func command(_ path: String) -> String? {
        guard let text = filledText(path) else { return nil }
        checkCommand(path, text)
        return text
    }

    mutating func checkCommand(_ path: String, _ text: String) {
        if ShellWords.split(text) == nil { wrong(path, "a command whose quotes are closed") }
    }

    /// Both or neither: a name without a password is half an authentication (configuration.md §1.4).
    mutating func authentication(_ section: String) -> BasicAuthentication? {
        let path = "\(section).authentication"
        if raw(path) == nil, raw("\(section).auth") != nil { return legacyAuthentication("\(section).auth") }
        guard let object = object(path), !object.isEmpty else { return nil }
        let username = filledText("\(path).username")
        let password = filledText("\(path).password")
        if let username, let password { return BasicAuthentication(username: username, password: password) }
        if username == nil { missing("\(path).username", "a text: username and password go together") }
        if password == nil { missing("\(path).password", "a text: username and password go together") }
        return nil
    }
}

extension SettingReader {
    /// `username:password` in one text, which Patroni still goes by: an API that was closed must not be open here.
    private mutating func legacyAuthentication(_ path: String) -> BasicAuthentication? {
        let parts = text(path)?.split(atByte: ":", maxSplits: 1) ?? []
        if parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) {
            return BasicAuthentication(username: String(parts[0]), password: String(parts[1]))
        }
        wrong(path, "username:password")
        return nil
    }
}

/// A name and a password of HTTP Basic authentication.
public struct BasicAuthentication: Sendable, Hashable {
    public let username: String
    public let password: String
}
