/// The byte classes of RFC 9110 that the parser and the writer ask about.
enum ByteClass {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09

    // One bit per ASCII character that may stand in a token (RFC 9110 §5.6.2), lower and upper half.
    private static let tokenLow: UInt64 = 0x3FF_6CFA_0000_0000
    private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

    /// A character of a method or of a field name.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        let mask = byte < 64 ? tokenLow : tokenHigh
        return byte < 128 && (mask >> UInt64(byte & 63)) & 1 == 1
    }

    /// A byte that a field value may hold: visible, space, tab, or beyond ASCII. No other control character.
    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool { (byte >= 0x20 && byte != 0x7F) || byte == tab }

    /// A byte that a request target may hold: visible, and what is beyond ASCII, which should come percent-encoded and
    /// often does not.
    @inline(__always)
    static func isTarget(_ byte: UInt8) -> Bool { byte > 0x20 && byte != 0x7F && byte != UInt8(ascii: "#") }

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// ASCII letters in lower case; every other byte as it is.
    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }

    /// The value of a decimal digit.
    @inline(__always)
    static func decimal(_ byte: UInt8) -> Int? { byte >= 0x30 && byte <= 0x39 ? Int(byte - 0x30) : nil }

    /// The value of a hexadecimal digit of either case.
    static func hexadecimal(_ byte: UInt8) -> Int? {
        if let digit = decimal(byte) { return digit }
        let lower = lowercased(byte)
        return lower >= 0x61 && lower <= 0x66 ? Int(lower - 0x61) + 10 : nil
    }
}

extension Span<UInt8> {
    /// Whether the bytes are `text`, ASCII letters compared without case. `text` must be in lower case.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in indices where ByteClass.lowercased(self[index]) != text.utf8Start[index] { return false }
        return true
    }

    /// The bytes as text; what is not UTF-8 becomes U+FFFD.
    var text: String { withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }

    /// The bytes without spaces and tabs at both ends, as a range.
    func trimmedRange(_ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, ByteClass.isBlank(self[start]) { start += 1 }
        while start < end, ByteClass.isBlank(self[end - 1]) { end -= 1 }
        return start..<end
    }

    /// The first index of `byte` at or after `start`.
    func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        var index = start
        while index < count {
            if self[index] == byte { return index }
            index += 1
        }
        return nil
    }
}
