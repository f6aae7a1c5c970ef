import ClusterModel

/// What a key takes.
enum SettingKind: Sendable, Hashable {
    case text
    /// A text that stands in keys of the store and in URLs: without slashes and blanks.
    case name
    case path
    case url
    case bool
    /// A boolean or one of the words.
    case boolOrWord([String])
    case word([String])
    /// With a unit where a number with one is converted to it.
    case integer(ClosedRange<Int64>, unit: SettingUnit?)
    case real
    /// Seconds of a lease, which are raised to their minimum (configuration.md §4.2).
    case seconds
    /// A list of texts; also one text with commas between.
    case texts
    /// A list of texts, each a line of a file.
    case lines
    /// Names of methods: a list of texts, or one.
    case methods
    /// A format of the log.
    case format
    /// Names and scalars.
    case parameters
    /// Options of a program: a mapping, or a list of names and pairs.
    case options
    case slots
    case maps
    /// A mapping of anything.
    case map
    /// A mapping whose keys are rows of the table.
    case section
    case any

    /// Reads `integer 0 4096 s`, `words a,b`; nil for what is no kind.
    init?(_ text: String) {
        let words = text.split(separator: " ").map { String($0) }
        let list = words.count > 1 ? words[1].split(atByte: ",").map { String($0) } : []
        switch words.first {
        case "integer":
            guard words.count >= 3, let low = Int64(words[1]) else { return nil }
            guard let high = words[2] == "*" ? Int64.max : Int64(words[2]) else { return nil }
            self = .integer(low...max(low, high), unit: words.count > 3 ? SettingUnit(words[3]) : nil)
        case "words": self = .word(list)
        case "switch": self = .boolOrWord(list)
        default:
            guard words.count == 1, let kind = SettingKind.simple[text] else { return nil }
            self = kind
        }
    }

    private static let simple: [String: SettingKind] = [
        "text": .text, "name": .name, "path": .path, "url": .url, "bool": .bool, "real": .real, "seconds": .seconds,
        "texts": .texts, "lines": .lines, "methods": .methods, "format": .format, "parameters": .parameters,
        "options": .options,
        "slots": .slots, "maps": .maps, "map": .map, "section": .section, "any": .any,
    ]

    /// In words, for an error and for the reference.
    var allowed: String {
        switch self {
        case .text: "a text"
        case .name: "a text without slashes"
        case .path: "a path"
        case .url: "a URL"
        case .bool: "a boolean (on, off, true, false, yes, no, 1, 0)"
        case .boolOrWord(let words):
            "a boolean (on, off, true, false, yes, no, 1, 0) or \(words.joined(separator: ", "))"
        case .word(let words): words.joined(separator: ", ")
        case .integer(let range, _):
            "a whole number, at least \(range.lowerBound)"
                + (range.upperBound == .max ? "" : " and at most \(range.upperBound)")
        case .real: "a number"
        case .seconds: "a whole number of seconds"
        case .texts, .lines: "a list of texts"
        case .methods: "a list of names"
        case .format: "a text, or a list where log.type is json"
        case .parameters: "a mapping of names to texts, numbers or booleans"
        case .options: "a mapping of options, or a list of names and of pairs"
        case .slots: "a mapping of names to slots"
        case .maps: "a list of mappings"
        case .map, .section: "a mapping"
        case .any: "a text, a number or a boolean"
        }
    }

    /// `or with a unit of time`, for the reference; nil where none may stand.
    var unitInWords: String? {
        guard case .integer(_, let unit?) = self else { return nil }
        return "or with a unit of \(unit.isTime ? "time" : "memory")"
    }

    /// Whether `value`, which is not null, may stand there.
    func takes(_ value: JSONValue) -> Bool {
        switch self {
        case .text, .name, .path, .url: value.isText
        case .bool: ValueParsing.bool(value) != nil
        case .boolOrWord(let words): ValueParsing.bool(value) != nil || SettingKind.isWord(value, words)
        case .word(let words): SettingKind.isWord(value, words)
        case .integer(let range, let unit): ValueParsing.integer(value, unit: unit).map(range.contains) ?? false
        case .real: ValueParsing.real(value) != nil
        case .seconds: ClusterTimings.isSeconds(value)
        case .lines: value.array?.allSatisfy(\.isText) ?? false
        case .texts, .methods: value.isText || value.array?.allSatisfy(\.isText) ?? false
        case .format: value.string != nil || value.array != nil
        case .parameters: value.object?.members.allSatisfy { $0.value.isNull || $0.value.isScalar } ?? false
        case .options: value.object != nil || value.array != nil
        case .slots, .map, .section: value.object != nil
        case .maps: value.array?.allSatisfy { $0.object != nil } ?? false
        case .any: true
        }
    }

    /// Whether a number that stands there counts as the text it was written as.
    var isText: Bool {
        switch self {
        case .text, .name, .path, .url: true
        case .bool, .boolOrWord, .word, .integer, .real, .seconds, .texts, .lines, .methods, .format, .parameters,
            .options, .slots, .maps, .map, .section, .any:
            false
        }
    }

    /// Whether other keys, or values of any kind, stand in it.
    var isTree: Bool {
        switch self {
        case .section, .map, .maps, .parameters, .options, .slots: true
        case .text, .name, .path, .url, .bool, .boolOrWord, .word, .integer, .real, .seconds, .texts, .lines, .methods,
            .format, .any:
            false
        }
    }

    private static func isWord(_ value: JSONValue, _ words: [String]) -> Bool {
        value.string.map { words.contains($0.lowercased()) } ?? false
    }
}

extension JSONValue {
    /// A text, or a number, which counts as the text it was written as.
    fileprivate var isText: Bool {
        switch self {
        case .string, .int, .double: true
        case .null, .bool, .array, .object: false
        }
    }

    fileprivate var isScalar: Bool {
        switch self {
        case .string, .int, .double, .bool: true
        case .null, .array, .object: false
        }
    }
}
