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
            let name = text.prefix { $0 != "=" }
            let value = text.dropFirst(name.count + 1)
            return append(tool, String(name), name.count == text.count ? nil : String(value), forbidden)
        }
        guard let pairs = item.object, pairs.count == 1, let pair = pairs.members.first, let text = pair.value.string
        else {
            problems.append(
                "option \(item.comparableText) for \(tool) must be a name, or one name with a text for its value")
            return
        }
        append(tool, pair.key, text, forbidden)
    }

    private mutating func append(_ tool: String, _ name: String, _ value: String?, _ forbidden: Set<String>) {
        if forbidden.contains(name) {
            problems.append("option \(name) for \(tool) is not allowed")
        } else if let value {
            arguments.append("--\(name)=\(ToolOptions.unquoted(value))")
        } else {
            arguments.append("--\(name)")
        }
    }

    /// Without the quotes around it, where the whole value is one quoted word.
    private static func unquoted(_ value: String) -> String {
        guard let quote = value.first, quote == "'" || quote == "\"", value.last == quote, value.count >= 2 else {
            return value
        }
        let inner = value.dropFirst().dropLast()
        return inner.contains(quote) ? value : String(inner)
    }
}
