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
            if let left = Double(setting), let right = number(text) { round(left) == round(right) } else { false }
        case "enum":
            // Several of them take the words of a boolean for `on` and `off`: archive_mode, huge_pages.
            setting.lowercased() == text.trimmed.lowercased()
                || SettingValue.bool(setting) != nil && SettingValue.bool(setting) == SettingValue.bool(text)
        default: setting == text
        }
    }

    private func round(_ value: Double) -> Double { type == "integer" ? value.rounded(.toNearestOrEven) : value }

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
        let digits = text.prefix { $0.isNumber || "+-.".contains($0) || isHex(text) && $0.isHexDigit || $0 == "x" }
        let suffix = text.dropFirst(digits.count).trimmed
        guard let value = SettingValue.plain(String(digits)) else { return nil }
        if suffix.isEmpty { return value }
        guard let unit, let from = SettingValue.scale(suffix), let to = SettingValue.scale(unit), from.kind == to.kind
        else { return nil }
        return value * from.size / to.size
    }

    private func isHex(_ text: String) -> Bool { text.lowercased().drop { $0 == "-" || $0 == "+" }.hasPrefix("0x") }

    private static func plain(_ digits: String) -> Double? {
        let lower = digits.lowercased()
        if lower.hasPrefix("0x") { return Int64(lower.dropFirst(2), radix: 16).map(Double.init) }
        if lower.count > 1, lower.hasPrefix("0"), lower.allSatisfy(\.isNumber) {
            return Int64(lower, radix: 8).map(Double.init)
        }
        return Double(lower)
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
