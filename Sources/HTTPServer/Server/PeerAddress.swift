import CPlatform
import Glibc

/// Who is at the other end of a connection.
struct Peer: Sendable {
    /// The IP address.
    var text: String
    var source: PeerSource

    init(_ storage: sockaddr_storage) {
        text = PeerAddress.text(storage)
        source = PeerAddress.source(storage)
    }

    init(text: String = "", source: PeerSource = PeerSource(bits: 0, isIPv4: true)) {
        self.text = text
        self.source = source
    }
}

/// What counts as one client where connections are shared out: an IPv4 address, or the 64 bits of an IPv6 network,
/// within which a host has as many addresses as it likes.
struct PeerSource: Sendable, Hashable {
    var bits: UInt64
    var isIPv4: Bool
}

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

    /// Nobody in particular where the family is neither.
    static func source(_ storage: sockaddr_storage) -> PeerSource {
        switch Int32(storage.ss_family) {
        case AF_INET6:
            withAddress(storage, as: sockaddr_in6.self) { address in
                withUnsafeBytes(of: address.sin6_addr) { raw in
                    let network = UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self))
                    let rest = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                    if network == 0 && rest >> 32 == 0xFFFF {
                        return PeerSource(bits: rest & 0xFFFF_FFFF, isIPv4: true)
                    }
                    return PeerSource(bits: network, isIPv4: false)
                }
            }
        case AF_INET:
            withAddress(storage, as: sockaddr_in.self) {
                PeerSource(bits: UInt64(UInt32(bigEndian: $0.sin_addr.s_addr)), isIPv4: true)
            }
        default: PeerSource(bits: 0, isIPv4: true)
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
