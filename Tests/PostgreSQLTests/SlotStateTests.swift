import Testing

@testable import PostgreSQL

/// Copies of logical slots: the file, and when the copy is safe (postgresql.md §22.4).
@Suite struct SlotStateTests {
    static func file(name: String = "l", rest: Int = 100) -> [UInt8] {
        var data = Array(name.utf8) + [UInt8](repeating: 0, count: 64 - name.utf8.count)
        data += [UInt8](repeating: 7, count: rest)
        func bytes(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
        let covered = bytes(2) + bytes(UInt32(data.count)) + data
        return bytes(SlotState.magic) + bytes(SlotState.checksum(covered)) + covered
    }

    static func fault(_ bytes: [UInt8]) -> SlotState.Fault? {
        do throws(SlotState.Fault) {
            _ = try SlotState(name: "l", bytes: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func aWholeFileIsTaken() { #expect(Self.fault(Self.file()) == nil) }

    @Test func checksumsAreCastagnolis() { #expect(SlotState.checksum("123456789".utf8) == 0xE306_9283) }

    /// Wherever it is cut off, and whichever byte is another.
    @Test func whatIsHalfOrDamagedIsNot() {
        let whole = Self.file()
        for length in 0..<whole.count { #expect(Self.fault(Array(whole[..<length])) != nil, "\(length)") }
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 1
            #expect(Self.fault(damaged) != nil, "\(index)")
        }
        #expect(Self.fault(Self.file(name: "m")) == .otherSlot)
        #expect(Self.fault(whole + [0]) == .cutOff)
    }

    @Test(arguments: ["0", "zz", "0G"]) func digitsAreHexadecimal(_ text: String) {
        #expect(throws: SlotState.Fault.unreadable) { try SlotState(name: "l", hexadecimal: text) }
    }

    /// Primary's slot, standby's slot there, copy here; ready?
    static let looks: [([(UInt32?, UInt32?, UInt32?)], Bool)] = [
        ([(700, nil, 700)], false),
        ([(700, 700, 700)], true),
        ([(700, 690, 690)], false),
        // The primary's has gone on since; what counts is where it was.
        ([(700, nil, 690), (800, 700, 700)], true),
        ([(700, nil, 690), (800, 800, 700)], false),
        ([(4_294_967_290, 5, 5)], true),
        ([(5, 4_294_967_290, 5)], false),
        ([(700, 700, nil)], false),
        ([(nil, 700, 700)], false),
        // Dropped and made again at the primary: it counts anew.
        ([(700, 700, 700), (nil, 700, 700)], false),
    ]

    @Test(arguments: looks) func copiesAreReady(_ looks: [(UInt32?, UInt32?, UInt32?)], _ ready: Bool) {
        var slots = CopiedSlots()
        for look in looks { slots.look("l", primary: look.0, physical: look.1, local: look.2) }
        #expect(slots.ready == (ready ? ["l"] : []))
    }
}
