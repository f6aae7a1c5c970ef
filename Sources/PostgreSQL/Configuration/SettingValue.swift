/// A value of `pg_settings` beside one of the configuration: the same setting can be written in many ways
/// (postgresql.md §12.3).
struct SettingValue: Sendable, Hashable {
    /// `bool`, `integer`, `real`, `enum` or `string`.
    var type: String
    /// The unit in which the server counts: `kB`, `8kB`, `ms`…; nil where the number has none.
    var unit: String?

    /// Whether `setting`, the server's, and `text`, the configuration's, mean the same.
    func isSame(_ setting: String, _ text: String) -> Bool {
        switch type {
        case "bool": SettingValue.bool(setting) == SettingValue.bool(text)
        case "integer", "real":
            // The server shows permissions in octal, and a fraction with six digits.
            if let left = SettingValue.plain(setting, isInteger: type == "integer"), let right = number(text) {
                type == "integer"
                    ? left == right.rounded(.toNearestOrEven) : abs(left - right) <= 5e-6 * max(abs(left), abs(right))
            } else {
                false
            }
        case "enum":
            // Several of them take the words of a boolean for `on` and `off`: archive_mode, huge_pages.
            setting.lowercased() == text.trimmed.lowercased()
                || SettingValue.bool(setting) != nil && SettingValue.bool(setting) == SettingValue.bool(text)
        // A line break does not come through a configuration file.
        default: setting == String(text.map { $0.isNewline ? " " : $0 })
        }
    }

    /// The words that PostgreSQL takes for a boolean, and their unique beginnings.
    static func bool(_ text: String) -> Bool? {
        let word = text.trimmed.lowercased()
        if word.isEmpty || word == "o" { return nil }
        if word == "1" || ["true", "yes", "on"].contains(where: { $0.hasPrefix(word) }) { return true }
        if word == "0" || ["false", "no", "off"].contains(where: { $0.hasPrefix(word) }) { return false }
        return nil
    }

    /// The number that `text` means in the server's unit; nil for what is no number or has a unit of another kind.
    func number(_ text: String) -> Double? {
        let text = text.trimmed
        let digits = SettingValue.digits(of: text)
        let suffix = text.dropFirst(digits.count).trimmed
        guard let value = SettingValue.plain(digits, isInteger: type == "integer") else { return nil }
        if suffix.isEmpty { return value }
        guard let unit, let from = SettingValue.scale(suffix), let to = SettingValue.scale(unit), from.kind == to.kind
        else { return nil }
        return value * from.size / to.size
    }

    /// The part that C would read as a number: a sign, `0x1f`, `12`, `.5`, `1e3`.
    private static func digits(of text: String) -> String {
        let sign = text.prefix { $0 == "+" || $0 == "-" }
        let rest = text.dropFirst(sign.count)
        if rest.lowercased().hasPrefix("0x") {
            return String(sign + rest.prefix(2) + rest.dropFirst(2).prefix(while: \.isHexDigit))
        }
        let mantissa = rest.prefix { $0.isNumber || $0 == "." }
        let power = rest.dropFirst(mantissa.count)
        let exponent = power.dropFirst().drop { $0 == "+" || $0 == "-" }.prefix(while: \.isNumber)
        guard power.first == "e" || power.first == "E", !exponent.isEmpty else { return String(sign + mantissa) }
        let signOfPower = power.dropFirst().prefix { $0 == "+" || $0 == "-" }
        return String(sign + mantissa + "e" + signOfPower + exponent)
    }

    /// A whole number that begins with a zero is octal, as in C.
    private static func plain(_ digits: String, isInteger: Bool) -> Double? {
        let lower = digits.lowercased()
        let isNegative = lower.hasPrefix("-")
        let plain = lower.drop { $0 == "+" || $0 == "-" }
        let value: Double?
        if plain.hasPrefix("0x") {
            value = Int64(plain.dropFirst(2), radix: 16).map(Double.init)
        } else if isInteger, plain.count > 1, plain.hasPrefix("0"), plain.allSatisfy(\.isNumber) {
            value = Int64(plain, radix: 8).map(Double.init)
        } else {
            value = Double(plain)
        }
        return value.map { isNegative ? -$0 : $0 }
    }

    /// `text` as SHOW would print it: a number in the largest unit in which it is whole, a boolean as `on` or `off`.
    /// What is no value of this type stays as it is.
    func shown(_ text: String) -> String {
        switch type {
        case "bool": return SettingValue.bool(text).map { $0 ? "on" : "off" } ?? text
        case "integer", "real":
            guard let unit, let base = SettingValue.scale(unit), let number = number(text), number > 0 else {
                return text
            }
            let value = (type == "integer" ? number.rounded(.toNearestOrEven) : number) * base.size
            for unit in SettingValue.units(base.kind) {
                let count = value / unit.size
                if count >= 1, count == count.rounded(), count < 1e15 { return "\(Int64(count))\(unit.name)" }
            }
            return text
        default: return text
        }
    }

    /// From the largest on.
    private static func units(_ kind: Kind) -> [(name: String, size: Double)] {
        let names = kind == .bytes ? ["TB", "GB", "MB", "kB", "B"] : ["d", "h", "min", "s", "ms", "us"]
        return names.compactMap { name in scale(name).map { (name, $0.size) } }
    }

    private enum Kind { case bytes, time }

    /// The size of a unit in bytes or milliseconds; units may come with a factor: `8kB`.
    private static func scale(_ unit: String) -> (kind: Kind, size: Double)? {
        let factor = unit.prefix { $0.isNumber }
        let sizes: [String: (Kind, Double)] = [
            "B": (.bytes, 1), "kB": (.bytes, 1024), "MB": (.bytes, 1_048_576), "GB": (.bytes, 1_073_741_824),
            "TB": (.bytes, 1_099_511_627_776), "us": (.time, 0.001), "ms": (.time, 1), "s": (.time, 1000),
            "min": (.time, 60_000), "h": (.time, 3_600_000), "d": (.time, 86_400_000),
        ]
        guard let (kind, size) = sizes[String(unit.dropFirst(factor.count))] else { return nil }
        return (kind, size * (Double(factor) ?? 1))
    }
}
