import CPlatform
import Glibc

/// Socket addresses as text.
enum PeerAddress {
    /// The IP address, without port; an IPv4 address mapped into IPv6 in its plain form, so that rules written for IPv4
    /// hold on a dual-stack listener too. Empty when the family is neither.
    static func text(_ storage: sockaddr_storage) -> String {
        switch Int32(storage.ss_family) {
        case AF_INET:
            return withAddress(storage, as: sockaddr_in.self) { render(AF_INET, $0.sin_addr) }
        case AF_INET6:
            let text = withAddress(storage, as: sockaddr_in6.self) { render(AF_INET6, $0.sin6_addr) }
            let mapped = "::ffff:"
            return text.hasPrefix(mapped) && text.contains(".") ? String(text.dropFirst(mapped.count)) : text
        default:
            return ""
        }
    }

    /// The port of an IP address.
    static func port(_ storage: sockaddr_storage) -> UInt16 {
        // Both families keep the port at the same place.
        withAddress(storage, as: sockaddr_in.self) { UInt16(bigEndian: $0.sin_port) }
    }

    private static func withAddress<Address, Result>(
        _ storage: sockaddr_storage, as type: Address.Type, _ body: (Address) -> Result
    ) -> Result {
        withUnsafeBytes(of: storage) { body($0.loadUnaligned(as: Address.self)) }
    }

    private static func render<Address>(_ family: Int32, _ address: Address) -> String {
        withUnsafeBytes(of: address) { raw in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
                guard inet_ntop(family, raw.baseAddress, text.baseAddress, socklen_t(text.count)) != nil,
                    let base = text.baseAddress
                else { return "" }
                return String(cString: base)
            }
        }
    }
}
