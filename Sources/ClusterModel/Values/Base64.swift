/// Base64 with padding (RFC 4648 §4): keys and values of etcd's gateway, credentials of HTTP.
public enum Base64 {
    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << (8 * (3 - UInt32(group.count)))
            for place in 0..<4 {
                text.append(place <= group.count ? alphabet[Int(bits >> (18 - 6 * UInt32(place)) & 63)] : padding)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    public static func encode(_ text: String) -> String { encode(text.utf8) }

    /// Nil for what is not base64.
    public static func decode(_ text: String) -> [UInt8]? {
        var body = Array(text.utf8)
        guard body.count % 4 == 0 else { return nil }
        var missing = 0
        while missing < 2, body.last == padding {
            body.removeLast()
            missing += 1
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(body.count / 4 * 3)
        var bits: UInt32 = 0
        for (index, character) in body.enumerated() {
            let value = values[Int(character)]
            if value > 63 { return nil }
            bits = bits << 6 | UInt32(value)
            if index % 4 != 0 { bytes.append(UInt8(truncatingIfNeeded: bits >> (6 - 2 * UInt32(index % 4)))) }
        }
        return bytes
    }

    private static let padding = UInt8(ascii: "=")
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
