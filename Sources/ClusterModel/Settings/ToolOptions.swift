/// Options of initdb, pg_basebackup and pg_rewind as configured, rendered as arguments (configuration.md §2.8).
public struct ToolOptions: Sendable, Hashable {
    /// `--encoding=UTF8`, `--data-checksums`.
    public private(set) var arguments: [String] = []
    /// What was left out, and why: in words for a log or an error.
    public private(set) var problems: [String] = []

    /// The options of `tool` in `value`: an object of names and values, or a list of names and of objects with one
    /// pair. Names in `forbidden` are set by ourselves and are left out.
    public init(_ tool: String, _ value: JSONValue?, forbidden: Set<String>) {
        switch value {
        case nil, .null?: break
        case .object(let options)?:
            for option in options.members where !option.key.isEmpty && option.value.isTruthy {
                append(tool, option.key, option.value.comparableText, forbidden)
            }
        case .array(let items)?:
            for item in items { append(tool, item, forbidden) }
        case .bool?, .int?, .double?, .string?:
            problems.append("options for \(tool) must be a list or a mapping")
        }
    }

    private mutating func append(_ tool: String, _ item: JSONValue, _ forbidden: Set<String>) {
        if case .string(let text) = item {
            // `max-rate=100M` is one item, and its name is what stands before the sign.
            let parts = text.split(atByte: "=", maxSplits: 1).map { String($0) }
            return append(tool, parts[0], parts.count > 1 ? parts[1] : nil, forbidden)
        }
        guard let pairs = item.object, pairs.count == 1, let pair = pairs.members.first, let text = pair.value.string
        else {
            problems.append(
                "option \(ToolOptions.shown(item)) for \(tool) must be a name, or one name with a text for its value")
            return
        }
        append(tool, pair.key, text, forbidden)
    }

    private mutating func append(_ tool: String, _ name: String, _ value: String?, _ forbidden: Set<String>) {
        if forbidden.contains(where: { $0.utf8.starts(with: name.utf8) }) {
            // A tool takes the beginning of a name for the name.
            problems.append("option \(name) for \(tool) is not allowed")
        } else if !ToolOptions.isName(name) {
            problems.append("an option for \(tool) has a name of other than letters, digits and dashes")
        } else if let value {
            arguments.append("--\(name)=\(ToolOptions.unquoted(value))")
        } else {
            arguments.append("--\(name)")
        }
    }

    private static func isName(_ name: String) -> Bool {
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return name.utf8.allSatisfy { letters.contains($0 | 0x20) || digits.contains($0) || $0 == UInt8(ascii: "-") }
    }

    /// Values may be secrets, names are none.
    private static func shown(_ item: JSONValue) -> String {
        item.object.map { $0.keys.joined(separator: ", ") } ?? "that is no text"
    }

    /// Without the quotes around it, where the whole value is one quoted word.
    private static func unquoted(_ value: String) -> String {
        let bytes = value.utf8
        guard let quote = bytes.first, [UInt8(ascii: "'"), UInt8(ascii: "\"")].contains(quote), bytes.count >= 2,
            bytes.last == quote
        else { return value }
        let inner = bytes.dropFirst().dropLast()
        return inner.contains(quote) ? value : String(Substring(inner))
    }
}
