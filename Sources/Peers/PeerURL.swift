/// Addresses of a peer's REST API, as it gives them in its member key: whoever may write there chooses them, so nothing
/// of them is used but where to ask, and that only where it is a plain address.
public enum PeerURL {
    /// `apiURL`'s scheme and authority with `path` (rest-api.md §19); nil where it is no http address: a scheme, a host
    /// of letters, digits and `.-_` or an IPv6 address in brackets, and a port.
    public static func replacingPath(of apiURL: String, with path: String) -> String? {
        let bytes = Array(apiURL.utf8)
        guard let scheme = ["http://", "https://"].first(where: { isPrefix($0, of: bytes) }) else { return nil }
        let authority = bytes[scheme.utf8.count...].prefix { !ends.contains($0) }
        guard isAuthority(authority) else { return nil }
        return scheme + String(decoding: authority, as: UTF8.self) + path
    }

    private static let ends = Set("/?#".utf8)

    /// Whatever the case of its letters.
    private static func isPrefix(_ scheme: String, of bytes: [UInt8]) -> Bool {
        bytes.count >= scheme.utf8.count
            && zip(bytes, scheme.utf8).allSatisfy { byte, wanted in
                byte == wanted || (isLetter(wanted) && byte | 0x20 == wanted)
            }
    }

    private static func isAuthority(_ authority: ArraySlice<UInt8>) -> Bool {
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let inside = authority[authority.startIndex + 1..<close]
            let isAddress = inside.allSatisfy {
                isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
            }
            return !inside.isEmpty && isAddress && isPort(authority[(close + 1)...])
        }
        let host = authority.prefix { $0 != UInt8(ascii: ":") }
        let isName = host.allSatisfy { isLetter($0) || isDigit($0) || marks.contains($0) }
        return !host.isEmpty && isName && isPort(authority[host.endIndex...])
    }

    /// Nothing, or a colon and a number.
    private static func isPort(_ text: ArraySlice<UInt8>) -> Bool {
        guard let colon = text.first else { return true }
        guard colon == UInt8(ascii: ":"), text.count <= 6, text.dropFirst().allSatisfy(isDigit) else { return false }
        return (1...65535).contains(Int(String(decoding: text.dropFirst(), as: UTF8.self)) ?? 0)
    }

    private static let marks = Set(".-_".utf8)
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private static func isHexadecimal(_ byte: UInt8) -> Bool { isDigit(byte) || (0x61...0x66).contains(byte | 0x20) }
}
