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
///
/// A large object finds its keys by hash: whoever writes to the store, or to the REST API, says how many there are.
public struct JSONObject: Sendable {
    /// The members in order.
    public private(set) var members: [Member]
    /// Where each key stands; empty while there are so few that looking through them is quicker.
    private var places: [String: Int] = [:]

    /// One key and its value.
    public struct Member: Sendable, Hashable {
        public let key: String
        public var value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    private static let fewKeys = 16

    /// The empty object.
    public init() { members = [] }

    /// The object with `members`; of a key that stands twice the last value counts, at the first one's place.
    public init(_ members: [(String, JSONValue)]) {
        self.members = []
        self.members.reserveCapacity(members.count)
        for (key, value) in members { self[key] = value }
    }

    public var isEmpty: Bool { members.isEmpty }
    public var count: Int { members.count }
    public var keys: [String] { members.map(\.key) }

    /// The value under `key`. Setting nil removes the key, in time that grows with the object; setting a value keeps
    /// the key's place, or appends it.
    public subscript(key: String) -> JSONValue? {
        get { place(of: key).map { members[$0].value } }
        set {
            switch (place(of: key), newValue) {
            case (let place?, let value?): members[place].value = value
            case (_?, nil): remove([key])
            case (nil, let value?): append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }

    /// Has `body` change the value under `key` where it stands: no other copy of it is made. Nil is no value, before
    /// and after.
    public mutating func change<Result>(_ key: String, _ body: (inout JSONValue?) -> Result) -> Result {
        var value: JSONValue?
        if let place = place(of: key) {
            value = members[place].value
            members[place].value = .null
        }
        defer { self[key] = value }
        return body(&value)
    }

    /// Removes all of `keys` at once.
    public mutating func remove(_ keys: Set<String>) {
        if keys.isEmpty { return }
        members.removeAll { keys.contains($0.key) }
        places = [:]
        index()
    }

    private func place(of key: String) -> Int? {
        places.isEmpty ? members.firstIndex { $0.key == key } : places[key]
    }

    private mutating func append(_ member: Member) {
        members.append(member)
        if places.isEmpty { index() } else { places[member.key] = members.count - 1 }
    }

    private mutating func index() {
        guard members.count > Self.fewKeys else { return }
        places.reserveCapacity(members.count)
        for (place, member) in members.enumerated() { places[member.key] = place }
    }
}

// The index says nothing that the members do not.
extension JSONObject: Hashable {
    public static func == (left: JSONObject, right: JSONObject) -> Bool { left.members == right.members }
    public func hash(into hasher: inout Hasher) { hasher.combine(members) }
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

    /// Whether Patroni counts the value as true: anything but null, false, zero and what is empty
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

    /// The text form by which Patroni compares scalars of different types (configuration.md §1.3, §2.5):
    /// `5` and `"5"` are the same, `true` and `"true"` are not (Patroni prints `True`).
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

    /// Equality as Patroni sees it (configuration.md §2.5): objects by their key sets and recursively, all else by
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
    /// Merges `patch` into the object as Patroni's *patch* does (configuration.md §1.3): null deletes, objects merge,
    /// everything else replaces where its text differs. Returns whether anything changed. The time grows with the sizes
    /// of both, not with their product.
    @discardableResult
    public mutating func apply(patch: JSONObject) -> Bool {
        var changed = false
        var removed: Set<String> = []
        for member in patch.members {
            if member.value.isNull {
                if self[member.key] != nil { removed.insert(member.key) }
            } else if change(member.key, { $0.apply(patch: member.value) }) {
                changed = true
            }
        }
        remove(removed)
        return changed || !removed.isEmpty
    }
}

extension JSONValue? {
    /// The merge of one key; `patch` is not null.
    fileprivate mutating func apply(patch: JSONValue) -> Bool {
        switch (self, patch) {
        case (.object(var mine)?, .object(let theirs)):
            self = nil
            defer { self = .object(mine) }
            return mine.apply(patch: theirs)
        case (let mine?, _) where mine.comparableText == patch.comparableText: return false
        case (_, _):
            self = patch
            return true
        }
    }
}
