/// The header lines of one message as they arrive: their text, where each field lies in it, and what they say about the
/// message itself.
struct HeaderDraft {
    private(set) var control = MessageControl()
    private var bytes: [UInt8] = []
    private var fields: [HTTPHeaders.Field] = []

    // What an ordinary probe needs, so that neither array grows twice.
    private static let usualBytes = 256
    private static let usualFields = 8

    /// The bytes of the lines read so far.
    var count: Int { bytes.count }

    /// The fields read so far.
    var headers: HTTPHeaders { HTTPHeaders(bytes: bytes, fields: fields) }

    /// Takes in a line that is not empty.
    mutating func append(_ line: Span<UInt8>, limits: HTTPLimits) throws(HTTPParseError) {
        if fields.count == limits.headersMax || bytes.count + line.count > limits.headerBytesMax {
            throw HTTPParseError(431, "at most \(limits.headersMax) fields and \(limits.headerBytesMax) bytes")
        }
        let field = try HeaderLine(line)
        try control.read(line.extracting(field.name), line.extracting(field.value), limits: limits)
        if fields.isEmpty {
            bytes.reserveCapacity(HeaderDraft.usualBytes)
            fields.reserveCapacity(HeaderDraft.usualFields)
        }
        let base = bytes.count
        line.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
        fields.append(HTTPHeaders.Field(name: field.name.shifted(by: base), value: field.value.shifted(by: base)))
    }
}

extension Range<Int> {
    fileprivate func shifted(by offset: Int) -> Range<Int> { (lowerBound + offset)..<(upperBound + offset) }
}
