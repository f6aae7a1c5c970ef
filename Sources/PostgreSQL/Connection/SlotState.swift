import ClusterModel

/// The file `state` of a replication slot, as a server of the same major version writes it. Pure.
///
/// It begins with a magic number, a CRC-32C of all that follows, the version of the layout and the length of the rest;
/// that begins with the slot's name. Whoever starts a server with one that is cut off starts no server.
struct SlotState: Sendable, Hashable {
    static let magic: UInt32 = 0x0105_1CA1
    /// Far more than any version writes.
    static let sizeMax = 65_536

    var name: String
    var bytes: [UInt8]

    /// Takes in hexadecimal digits; throws for what a server would not start with.
    init(name: String, hexadecimal text: String) throws(Fault) {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2), digits.count / 2 <= Self.sizeMax else { throw .unreadable }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.value(digits[index]), let low = Self.value(digits[index + 1]) else {
                throw .unreadable
            }
            bytes.append(high << 4 | low)
        }
        try self.init(name: name, bytes: bytes)
    }

    init(name: String, bytes: [UInt8]) throws(Fault) {
        self.name = name
        self.bytes = bytes
        guard bytes.count > 16 + 64 else { throw .cutOff }
        guard number(at: 0) == Self.magic else { throw .otherFormat }
        guard Int(number(at: 12)) == bytes.count - 16 else { throw .cutOff }
        guard Self.checksum(bytes[8...]) == number(at: 4) else { throw .damaged }
        let stored = bytes[16..<16 + 64].prefix { $0 != 0 }
        guard Array(stored) == Array(name.utf8) else { throw .otherSlot }
    }

    enum Fault: String, Error, Sendable, Hashable {
        case unreadable = "what the server gave is no file"
        case cutOff = "it is cut off"
        case otherFormat = "it is of another format"
        case damaged = "its checksum is wrong"
        case otherSlot = "it is another slot's"
    }

    private func number(at offset: Int) -> UInt32 {
        // In the order of the machine's bytes, which is the primary's too: WAL knows no other way.
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    /// CRC-32C (Castagnoli).
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }
}
