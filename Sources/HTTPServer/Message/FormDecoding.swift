/// One pair of a query.
public struct QueryItem: Sendable, Hashable {
    /// The name, decoded.
    public let name: String
    /// The value, decoded; empty when there was none.
    public let value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// Form-decoding of a query; a path is taken as it stands.
enum FormDecoding {
    /// The pairs of `name=value&name=value`. A broken escape stays as it is: probes like `?tag_x=100%` must not fail.
    static func items(_ query: String) -> [QueryItem] {
        query.utf8.split(separator: UInt8(ascii: "&")).map { pair in
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return QueryItem(name: formText(parts[0]), value: parts.count > 1 ? formText(parts[1]) : "")
        }
    }

    private static func formText(_ text: Substring.UTF8View) -> String {
        let bytes = Array(text)
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let byte = escape(bytes, at: index) {
                decoded.append(byte)
                index += 3
            } else {
                decoded.append(bytes[index] == UInt8(ascii: "+") ? ByteClass.space : bytes[index])
                index += 1
            }
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    /// The byte of a `%XX` at `index`.
    private static func escape(_ bytes: [UInt8], at index: Int) -> UInt8? {
        guard bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
            let high = ByteClass.hexadecimal(bytes[index + 1]), let low = ByteClass.hexadecimal(bytes[index + 2])
        else { return nil }
        return UInt8(high << 4 | low)
    }
}
