/// Header fields in the order they came, looked up without case.
///
/// All text lies in one array, with ranges into it, so that a request costs two allocations however many fields it has;
/// a field becomes a `String` only when somebody asks for it.
public struct HTTPHeaders: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    /// Where a field lies in the bytes.
    struct Field: Sendable, Hashable {
        var name: Range<Int>
        var value: Range<Int>
    }

    private var bytes: [UInt8]
    private var fields: [Field]

    /// No fields.
    public init() {
        bytes = []
        fields = []
    }

    /// The fields as written, in order; a name may come more than once.
    public init(dictionaryLiteral elements: (String, String)...) {
        self.init()
        for (name, value) in elements { append(name, value) }
    }

    /// Fields that a parser already found in `bytes`.
    init(bytes: [UInt8], fields: [Field]) {
        self.bytes = bytes
        self.fields = fields
    }

    /// Adds a field at the end, whether or not its name is there.
    public mutating func append(_ name: String, _ value: String) {
        let start = bytes.count
        bytes.append(contentsOf: name.utf8)
        let middle = bytes.count
        bytes.append(contentsOf: value.utf8)
        fields.append(Field(name: start..<middle, value: middle..<bytes.count))
    }

    /// How many fields there are.
    public var count: Int { fields.count }

    /// Whether there is no field.
    public var isEmpty: Bool { fields.isEmpty }

    /// The value of the first field with this name, whatever its case.
    public subscript(name: String) -> String? {
        for field in fields where matches(field, name) { return text(field.value) }
        return nil
    }

    /// Whether a field with this name is there, whatever its case.
    public func contains(_ name: String) -> Bool { fields.contains { matches($0, name) } }

    /// The values of all fields with this name, in order.
    public func values(_ name: String) -> [String] {
        fields.filter { matches($0, name) }.map { text($0.value) }
    }

    /// Every field, in order.
    public var all: [(name: String, value: String)] { fields.map { (text($0.name), text($0.value)) } }

    /// Appends the fields as lines to `output`. A field whose name is no token is left out, and control characters in a
    /// value become spaces: what comes from a configuration file can never start a header or a body of its own.
    func write(to output: inout [UInt8]) {
        for field in fields where !field.name.isEmpty && bytes[field.name].allSatisfy(ByteClass.isToken) {
            output += bytes[field.name]
            output += [UInt8(ascii: ":"), ByteClass.space]
            for byte in bytes[field.value] { output.append(ByteClass.isFieldValue(byte) ? byte : ByteClass.space) }
            output += [ByteClass.carriageReturn, ByteClass.lineFeed]
        }
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    private func matches(_ field: Field, _ name: String) -> Bool {
        guard field.name.count == name.utf8.count else { return false }
        var index = field.name.lowerBound
        for byte in name.utf8 {
            if ByteClass.lowercased(bytes[index]) != ByteClass.lowercased(byte) { return false }
            index += 1
        }
        return true
    }

    /// Equal when the same fields stand in the same order, wherever their text lies.
    public static func == (left: HTTPHeaders, right: HTTPHeaders) -> Bool {
        left.fields.count == right.fields.count
            && zip(left.fields, right.fields).allSatisfy { mine, other in
                left.bytes[mine.name] == right.bytes[other.name] && left.bytes[mine.value] == right.bytes[other.value]
            }
    }

    public func hash(into hasher: inout Hasher) {
        for field in fields {
            hasher.combine(bytes[field.name])
            hasher.combine(bytes[field.value])
        }
    }
}
