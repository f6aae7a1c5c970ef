/// The name of the physical replication slot of a member (postgresql.md §22.1).
public enum SlotName {
    /// Lower case; `-` and `.` become `_`; any other character outside `[a-z0-9_]` becomes `u` and its code point in at
    /// least four decimal digits; at most 63 characters.
    public static func of(member name: String) -> String {
        // Most names are slots' names already.
        if PermanentSlot.isName(name) { return name }
        var slot = ""
        for scalar in name.lowercased().unicodeScalars {
            switch scalar {
            case "a"..."z", "0"..."9", "_": slot.unicodeScalars.append(scalar)
            case "-", ".": slot += "_"
            default:
                let digits = String(scalar.value)
                slot += "u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            }
        }
        return String(slot.prefix(63))
    }
}
