/// One message between daemon and guardian: fields, each `name=value` and a NUL. The socket keeps the boundaries of
/// messages (SOCK_SEQPACKET), and neither arguments nor environment can hold a NUL, so nothing needs to be escaped.
public struct GuardianMessage: Sendable, Hashable {
    /// A name and a value; names may come more than once.
    public struct Field: Sendable, Hashable {
        public var name: String
        public var value: String
    }

    /// Why a message cannot be used.
    public struct Malformed: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    /// A longer message is refused by sender and receiver.
    public static let maximumLength = 192 << 10

    /// In the order in which they were added; the first names the request or the answer.
    public private(set) var fields: [Field]

    public init(_ verb: String) { fields = [Field(name: "verb", value: verb)] }

    /// Reads a message whole; anything else than terminated fields is malformed.
    public init(_ bytes: some Collection<UInt8>) throws(Malformed) {
        guard bytes.count <= Self.maximumLength else { throw Malformed("a message of \(bytes.count) bytes") }
        var fields: [Field] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let end = rest.firstIndex(of: 0) else { throw Malformed("a message that is cut short") }
            let text = rest[..<end]
            guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { throw Malformed("a field without a name") }
            let value = text[text.index(after: equals)...]
            fields.append(
                Field(
                    name: String(decoding: text[..<equals], as: UTF8.self),
                    value: String(decoding: value, as: UTF8.self)))
            rest = rest[rest.index(after: end)...]
        }
        guard fields.first?.name == "verb" else { throw Malformed("a message without a verb") }
        self.fields = fields
    }

    public var verb: String { fields[0].value }

    public var bytes: [UInt8] {
        fields.flatMap { Array($0.name.utf8) + [UInt8(ascii: "=")] + Array($0.value.utf8) + [0] }
    }

    public mutating func add(_ name: String, _ value: String) { fields.append(Field(name: name, value: value)) }

    public mutating func add(_ name: String, _ value: Int64) { add(name, String(value)) }

    public func text(_ name: String) throws(Malformed) -> String {
        guard let field = fields.first(where: { $0.name == name }) else { throw Malformed("\(verb) without \(name)") }
        return field.value
    }

    public func texts(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    public func number(_ name: String) throws(Malformed) -> Int64 {
        let text = try text(name)
        guard let number = Int64(text) else { throw Malformed("\(verb): \(name) is no number: \(text.prefix(40))") }
        return number
    }

    func has(_ name: String) -> Bool { fields.contains { $0.name == name } }
}
