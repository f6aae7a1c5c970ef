/// A JSON value that keeps what clients compare: the order of an object's keys, and integers apart from reals.
///
/// It is only a value: text is read and written by the `JSON` target.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// A JSON object in the order in which its keys were read or set. A key stands once.
public struct JSONObject: Sendable, Hashable {
    /// The members in order.
    public private(set) var members: [Member]

    /// One key and its value.
    public struct Member: Sendable, Hashable {
        public let key: String
        public var value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// The empty object.
    public init() { members = [] }

    /// The object with `members`; of a key that stands twice the last value counts, at the first one's place.
    public init(_ members: [(String, JSONValue)]) {
        self.members = []
        self.members.reserveCapacity(members.count)
        // By hash: an object of a client's may have as many keys as fit into a body.
        var places: [String: Int] = [:]
        for (key, value) in members {
            if let place = places[key] {
                self.members[place].value = value
            } else {
                places[key] = self.members.count
                self.members.append(Member(key: key, value: value))
            }
        }
    }

    public var isEmpty: Bool { members.isEmpty }
    public var count: Int { members.count }
    public var keys: [String] { members.map(\.key) }

    /// The value under `key`. Setting nil removes the key; setting a value keeps the key's place, or appends it.
    public subscript(key: String) -> JSONValue? {
        get { members.first { $0.key == key }?.value }
        set {
            let index = members.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral
{
    public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
}

extension JSONValue {
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var int: Int64? { if case .int(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    /// The value under `key` of an object; nil for any other value.
    public subscript(key: String) -> JSONValue? { object?[key] }

    /// Whether the peer counts the value as true: anything but null, false, zero and what is empty
    /// (configuration.md §3.9: tags go by this, so the text "false" is true).
    public var isTruthy: Bool {
        switch self {
        case .null: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let value): !value.isEmpty
        case .array(let value): !value.isEmpty
        case .object(let value): !value.isEmpty
        }
    }

    /// The text form by which the peer compares scalars of different types (configuration.md §1.3, §2.5):
    /// `5` and `"5"` are the same, `true` and `"true"` are not (the peer prints `True`).
    public var comparableText: String {
        switch self {
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .int(let value): String(value)
        case .double(let value): "\(value)"
        case .string(let value): value
        case .array(let values): "[" + values.map(\.comparableElement).joined(separator: ", ") + "]"
        case .object(let value):
            "{" + value.members.map { "'\($0.key)': \($0.value.comparableElement)" }.joined(separator: ", ") + "}"
        }
    }

    private var comparableElement: String {
        if case .string(let value) = self { "'\(value)'" } else { comparableText }
    }

    /// Equality as the peer sees it (configuration.md §2.5): objects by their key sets and recursively, all else by
    /// text.
    public func deepEquals(_ other: JSONValue) -> Bool {
        if case .object(let mine) = self, case .object(let theirs) = other {
            guard mine.count == theirs.count else { return false }
            return mine.members.allSatisfy { member in theirs[member.key].map(member.value.deepEquals) ?? false }
        }
        if case .object = self { return false }
        if case .object = other { return false }
        return comparableText == other.comparableText
    }
}

extension JSONObject {
    /// Merges `patch` into the object as the peer's *patch* does (configuration.md §1.3): null deletes, objects merge,
    /// everything else replaces where its text differs. Returns whether anything changed.
    @discardableResult
    public mutating func apply(patch: JSONObject) -> Bool {
        var changed = false
        for member in patch.members {
            switch (self[member.key], member.value) {
            case (.some, .null):
                self[member.key] = nil
                changed = true
            case (.object(var mine)?, .object(let theirs)):
                if mine.apply(patch: theirs) {
                    self[member.key] = .object(mine)
                    changed = true
                }
            case (let mine?, let theirs):
                if mine.comparableText != theirs.comparableText {
                    self[member.key] = theirs
                    changed = true
                }
            case (nil, .null):
                break
            case (nil, let theirs):
                self[member.key] = theirs
                changed = true
            }
        }
        return changed
    }
}
