// Text that other programs read is handled byte by byte. Swift's characters are grapheme clusters: a quote with a
// combining mark behind it is one character and no quote, and "\r\n" is one character and no line feed. PostgreSQL,
// libpq, shells and Prometheus see the bytes.

extension StringProtocol {
    /// The text with every ASCII byte for which `replacement` has a text replaced by that; bytes of other characters
    /// stay.
    public func escaping(_ replacement: (UInt8) -> String?) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(utf8.count + 2)
        for byte in utf8 {
            if byte < 0x80, let text = replacement(byte) {
                bytes.append(contentsOf: text.utf8)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether the byte stands in the text, whatever mark follows it.
    public func hasByte(_ byte: Unicode.Scalar) -> Bool { utf8.contains(UInt8(ascii: byte)) }

    /// Whether a byte below the blank, or DEL, stands in the text: NUL, line breaks, tabs, escapes of terminals.
    public var hasControlBytes: Bool { utf8.contains { $0 < 0x20 || $0 == 0x7F } }
}

extension StringProtocol {
    /// The text as one line that orders nothing from a terminal: line breaks are `\\n` and `\\r`, other control
    /// characters `\\x1b`. Scalar by scalar: a mark behind one hides nothing.
    public var onOneLine: String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar.value {
            case 0x0A: result.append(contentsOf: "\\n".unicodeScalars)
            case 0x0D: result.append(contentsOf: "\\r".unicodeScalars)
            case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029:
                let digits = String(scalar.value, radix: 16)
                let start = digits.utf8.count < 2 ? "\\x0" : digits.utf8.count > 2 ? "\\u" : "\\x"
                result.append(contentsOf: (start + digits).unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    /// Without the ASCII blanks around it: space, tab, line feed, vertical tab, form feed, carriage return.
    public var withoutBlanks: Substring {
        var bytes = Substring(self).utf8
        while let first = bytes.first, isBlank(first) { bytes = bytes.dropFirst() }
        while let last = bytes.last, isBlank(last) { bytes = bytes.dropLast() }
        return Substring(bytes)
    }

    /// The parts between the bytes `separator`, empty ones included.
    public func split(atByte separator: Unicode.Scalar, maxSplits: Int = .max) -> [Substring] {
        Substring(self).utf8.split(
            separator: UInt8(ascii: separator), maxSplits: maxSplits, omittingEmptySubsequences: false
        ).map { Substring($0) }
    }
}

/// What C's `isspace` takes for blank in the C locale.
private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
