/// Cuts a stream of concatenated JSON objects into its documents, however the stream was cut into pieces.
///
/// It only counts braces outside of strings; whether a document is JSON is for the parser to say.
struct JSONDocumentSplitter {
    /// The stream is not what it should be.
    enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// A document is larger than the bound, in bytes.
        case tooLarge(limit: Int)
        /// Something between documents that is not space.
        case unexpected(UInt8)

        var description: String {
            switch self {
            case .tooLarge(let limit): "a document of the stream is larger than \(limit) bytes"
            case .unexpected(let byte): "byte \(byte) between the documents of the stream"
            }
        }
    }

    private let limit: Int
    /// The document that has begun and not ended.
    private var open: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false

    init(limit: Int) { self.limit = limit }

    /// The documents that end within `bytes`.
    mutating func push(_ bytes: [UInt8]) throws(Failure) -> [[UInt8]] {
        var documents: [[UInt8]] = []
        var start = 0
        for (index, byte) in bytes.enumerated() {
            if depth == 0 {
                if byte == UInt8(ascii: "{") {
                    depth = 1
                    start = index
                } else if !isSpace(byte) {
                    throw .unexpected(byte)
                }
                continue
            }
            step(byte)
            if depth == 0 {
                documents.append(open + bytes[start...index])
                open = []
                start = index + 1
            }
        }
        if depth > 0 { open += bytes[start...] }
        if open.count > limit { throw .tooLarge(limit: limit) }
        return documents
    }

    private mutating func step(_ byte: UInt8) {
        if isEscaped {
            isEscaped = false
        } else if isInString {
            if byte == UInt8(ascii: "\\") { isEscaped = true }
            if byte == UInt8(ascii: "\"") { isInString = false }
        } else {
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
