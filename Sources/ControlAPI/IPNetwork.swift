import Glibc

/// A network of IP addresses, or one address: `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`.
public struct IPNetwork: Sendable, Hashable {
    /// 4 or 16 bytes; an IPv4 address that is mapped into IPv6 is its four.
    private let address: [UInt8]
    /// How many bits count.
    private let bits: Int

    /// Reads `text`; nil for what is none. Bits behind the prefix do not matter.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, let parsed = Self.bytes(String(first)) else { return nil }
        let full = parsed.bytes.count * 8
        if parts.count == 2 {
            // A prefix of a mapped network counts from the front of the long form.
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]) else {
                return nil
            }
            let bits = length - (parsed.isMapped ? 96 : 0)
            guard (0...full).contains(bits) else { return nil }
            self.bits = bits
        } else {
            bits = full
        }
        address = parsed.bytes
    }

    /// One address; nil for what is none, a network among it: what a member says of itself lets in nobody else.
    public init?(address text: String) {
        guard let parsed = Self.bytes(text) else { return nil }
        address = parsed.bytes
        bits = parsed.bytes.count * 8
    }

    /// Whether the address `text` belongs to the network; false for what is no address.
    public func contains(_ text: String) -> Bool {
        guard let other = Self.bytes(text)?.bytes, other.count == address.count else { return false }
        for index in address.indices {
            let counted = min(8, max(0, bits - index * 8))
            let mask = UInt8(truncatingIfNeeded: 0xFF00 >> counted)
            if address[index] & mask != other[index] & mask { return false }
        }
        return true
    }

    private static func bytes(_ text: String) -> (bytes: [UInt8], isMapped: Bool)? {
        var short = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, text, &short) == 1 { return (short, false) }
        var long = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, text, &long) == 1 else { return nil }
        let isMapped = long.prefix(10).allSatisfy { $0 == 0 } && long[10] == 0xFF && long[11] == 0xFF
        return isMapped ? (Array(long.suffix(4)), true) : (long, false)
    }
}
