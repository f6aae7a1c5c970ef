/// A command as it stands in the configuration, cut into words as a POSIX shell cuts them, and without a shell: quotes
/// and backslashes count, variables, wildcards and pipes do not (ha-loop.md §25).
public enum ShellWords {
    /// The words of `text`; nil where a quote is not closed, or a backslash stands at the end.
    public static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: [UInt8]?
        var quote: UInt8?
        var bytes = text.utf8[...]
        while let byte = bytes.popFirst() {
            switch (byte, quote) {
            case (Self.backslash, nil), (Self.backslash, Self.double?):
                guard let next = bytes.popFirst() else { return nil }
                // Within double quotes a backslash is one, unless it stands before what would mean something there.
                if quote != nil, next != Self.double, next != Self.backslash { word = (word ?? []) + [byte] }
                word = (word ?? []) + [next]
            case (let byte, let open?) where byte == open: quote = nil
            case (Self.single, nil), (Self.double, nil):
                quote = byte
                word = word ?? []
            case (0x20, nil), (0x09, nil), (0x0A, nil), (0x0D, nil):
                if let whole = word { words.append(String(decoding: whole, as: UTF8.self)) }
                word = nil
            case (let byte, _): word = (word ?? []) + [byte]
            }
        }
        if quote != nil { return nil }
        if let whole = word { words.append(String(decoding: whole, as: UTF8.self)) }
        return words
    }

    private static let backslash = UInt8(ascii: "\\")
    private static let single = UInt8(ascii: "'")
    private static let double = UInt8(ascii: "\"")
}
