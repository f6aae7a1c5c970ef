/// What of a configuration nobody is shown: not in an error, not in the log, not by `GET /config`, which asks for no
/// password.
public enum Secrets {
    /// What stands in the place of a secret.
    public static let mask = "***"

    /// Whether a value under these keys is a secret as a whole: all below `authentication`, passwords, tokens.
    public static func isSecret(_ keys: some Sequence<String>) -> Bool {
        keys.contains { key in
            let key = key.lowercased()
            return ["authentication", "auth", "auth_data", "token"].contains(key) || key.hasSuffix("password")
        }
    }

    /// The text without the name and password of a URL, and without what follows `password=`. In linear time: anybody
    /// may ask for `/config`.
    public static func masked(_ text: String) -> String {
        String(decoding: withoutPasswords(withoutUserInfo(Array(text.utf8))), as: UTF8.self)
    }

    /// What an error may show of a text that was found in place of another: nothing before an `@` either, since a URL
    /// that lost its scheme is none.
    public static func shown(_ text: String) -> String {
        let safe = masked(text).utf8
        guard let at = safe.lastIndex(of: UInt8(ascii: "@")) else { return cut(String(safe)) }
        return cut("\(mask)\(Substring(safe[at...]))")
    }

    private static func cut(_ text: String) -> String { String(text.unicodeScalars.prefix(200)) }

    /// The document as everybody may see it.
    public static func masked(_ object: JSONObject) -> JSONObject {
        JSONObject(object.members.map { ($0.key, masked($0.value, isSecret([$0.key]))) })
    }

    private static func masked(_ value: JSONValue, _ isSecret: Bool) -> JSONValue {
        switch value {
        case .null: value
        case .bool, .int, .double: isSecret ? .string(mask) : value
        case .string(let text): .string(isSecret ? mask : masked(text))
        case .array(let items): .array(items.map { masked($0, isSecret) })
        case .object(let object):
            .object(
                JSONObject(
                    object.members.map { ($0.key, masked($0.value, isSecret || Self.isSecret([$0.key]))) }))
        }
    }

    /// The document that a client meant who was shown `present` masked: what comes back as it was shown is as it was.
    public static func restored(_ object: JSONObject, from present: JSONObject) -> JSONObject {
        let shown = masked(present)
        return restored(object, present, shown)
    }

    private static func restored(_ object: JSONObject, _ present: JSONObject, _ shown: JSONObject) -> JSONObject {
        JSONObject(
            object.members.map { member in
                guard let old = present[member.key], let mask = shown[member.key], old != mask else {
                    return (member.key, member.value)
                }
                if member.value == mask { return (member.key, old) }
                guard let new = member.value.object, let old = old.object, let mask = mask.object else {
                    return (member.key, member.value)
                }
                return (member.key, .object(restored(new, old, mask)))
            })
    }

    /// From the first `://` to the last `@` of a word: a password may hold whatever ends the authority of a URL.
    private static func withoutUserInfo(_ bytes: [UInt8]) -> [UInt8] {
        var (safe, start) = ([UInt8](), 0)
        safe.reserveCapacity(bytes.count)
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(where: endsWord) ?? bytes.endIndex
            let word = bytes[start..<end]
            if let name = word.firstRange(of: "://".utf8)?.upperBound,
                let at = word[name...].lastIndex(of: UInt8(ascii: "@"))
            {
                safe += word[..<name]
                safe += mask.utf8
                safe += word[at...]
            } else {
                safe += word
            }
            safe += bytes[end..<min(end + 1, bytes.endIndex)]
            start = end + 1
        }
        return safe
    }

    private static func withoutPasswords(_ bytes: [UInt8]) -> [UInt8] {
        let lowercased = bytes.map { $0 | 0x20 }
        var (safe, start) = ([UInt8](), 0)
        safe.reserveCapacity(bytes.count)
        while let found = lowercased[start...].firstRange(of: "password".utf8) {
            safe += bytes[start..<found.upperBound]
            start = found.upperBound
            let equals = bytes[start...].drop(while: isBlank)
            guard equals.first == UInt8(ascii: "=") else { continue }
            let value = equals.dropFirst().drop(while: isBlank)
            safe += bytes[start..<value.startIndex]
            safe += mask.utf8
            start = endOfValue(value)
        }
        return safe + bytes[start...]
    }

    /// After the closing quote, or before the next blank; a backslash takes the byte behind it along.
    private static func endOfValue(_ value: ArraySlice<UInt8>) -> Int {
        let quote = value.first.flatMap { [UInt8(ascii: "'"), UInt8(ascii: "\"")].contains($0) ? $0 : nil }
        var place = value.startIndex + (quote == nil ? 0 : 1)
        while place < value.endIndex {
            if value[place] == UInt8(ascii: "\\") {
                place += 2
                continue
            }
            if let quote {
                if value[place] == quote { return place + 1 }
            } else if endsWord(value[place]) {
                return place
            }
            place += 1
        }
        return value.endIndex
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private static func endsWord(_ byte: UInt8) -> Bool {
        isBlank(byte) || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"")
    }
}
