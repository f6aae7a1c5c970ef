/// How settings are written: booleans and numbers with units, as Patroni reads them (configuration.md §2,
/// rest-api.md §20). What does not parse is nil; the caller knows the default and the words for an error.
public enum ValueParsing {
    /// `on, true, yes, 1` and `off, false, no, 0` in any case.
    public static func bool(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "on", "true", "yes", "1": true
        case "off", "false", "no", "0": false
        default: nil
        }
    }

    /// The same of a scalar, by its text.
    public static func bool(_ value: JSONValue?) -> Bool? {
        switch value {
        case nil, .null?, .array?, .object?: nil
        case .bool(let value)?: value
        case .int?, .double?, .string?: value.flatMap { bool($0.comparableText) }
        }
    }

    /// A whole number: hexadecimal (`0x10`), octal (`010`), decimal, or a real that is rounded half to even; with a
    /// unit it is converted to `unit`. A unit where the caller has none makes it unparsable.
    public static func integer(_ text: String, unit base: SettingUnit? = nil) -> Int64? {
        guard let scanned = ScannedNumber(text) else { return nil }
        if scanned.unit.isEmpty, case .integer(let value) = scanned.value { return value }
        return scanned.converted(to: base).flatMap { Int64(exactly: $0.rounded(.toNearestOrEven)) }
    }

    /// The same of a number or a text; booleans and null are no numbers.
    public static func integer(_ value: JSONValue?, unit: SettingUnit? = nil) -> Int64? {
        switch value {
        case nil, .null?, .bool?, .array?, .object?: nil
        case .int(let value)?: value
        case .double(let value)?: Int64(exactly: value.rounded(.toNearestOrEven))
        case .string(let text)?: integer(text, unit: unit)
        }
    }

    /// A real number, with a unit converted to `unit`.
    public static func real(_ text: String, unit base: SettingUnit? = nil) -> Double? {
        ScannedNumber(real: text)?.converted(to: base)
    }

    /// The same of a number or a text.
    public static func real(_ value: JSONValue?, unit: SettingUnit? = nil) -> Double? {
        switch value {
        case nil, .null?, .bool?, .array?, .object?: nil
        case .int(let value)?: Double(value)
        case .double(let value)?: value
        case .string(let text)?: real(text, unit: unit)
        }
    }
}

/// A unit of memory or time, as PostgreSQL spells it; case matters. A factor may stand before it: `8kB`.
public struct SettingUnit: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case memory, time
    }

    let kind: Kind
    /// Bytes or microseconds.
    let size: Double
    /// The size of the next smaller unit; nil for the smallest.
    let smaller: Double?

    public static let bytes = SettingUnit(kind: .memory, size: 1, smaller: nil)
    public static let seconds = SettingUnit(kind: .time, size: 1_000_000, smaller: 1000)

    public var isTime: Bool { kind == .time }

    private init(kind: Kind, size: Double, smaller: Double?) {
        self.kind = kind
        self.size = size
        self.smaller = smaller
    }

    /// The unit that `text` names; nil for none that we know.
    public init?(_ text: some StringProtocol) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let name = text.dropFirst(digits.count)
        guard let factor = digits.isEmpty ? 1 : Double(digits), factor > 0 else { return nil }
        for (kind, table) in SettingUnit.tables {
            guard let index = table.firstIndex(where: { $0.name == name }) else { continue }
            self.init(
                kind: kind, size: table[index].size * factor, smaller: index == 0 ? nil : table[index - 1].size)
            return
        }
        return nil
    }

    private static let tables: [(Kind, [(name: String, size: Double)])] = [
        (
            .memory,
            [("B", 1), ("kB", 1024), ("MB", 1_048_576), ("GB", 1_073_741_824), ("TB", 1_099_511_627_776)]
        ),
        (
            .time,
            [
                ("us", 1), ("ms", 1000), ("s", 1_000_000), ("min", 60_000_000), ("h", 3_600_000_000),
                ("d", 86_400_000_000),
            ]
        ),
    ]
}

/// A number at the start of a text and the unit after it.
struct ScannedNumber {
    enum Value {
        case integer(Int64)
        case real(Double)
    }

    let value: Value
    let unit: String

    /// Whole numbers first; a point or an exponent after one makes it a real.
    init?(_ text: String) {
        let text = Substring(text).trimmed
        let whole = ScannedNumber.wholePrefix(text)
        let next = (whole?.rest ?? text).first
        if next == "." || (whole != nil && (next == "e" || next == "E")) {
            self.init(real: String(text))
            return
        }
        guard let whole else { return nil }
        self.init(value: .integer(whole.value), unit: String(whole.rest.trimmed))
    }

    private init(value: Value, unit: String) {
        self.value = value
        self.unit = unit
    }

    /// A real, an optional unit.
    init?(real text: String) {
        let text = Substring(text).trimmed
        guard let (number, rest) = ScannedNumber.realPrefix(text) else { return nil }
        self.init(value: .real(number), unit: String(rest.trimmed))
    }

    private var number: Double {
        switch value {
        case .integer(let value): Double(value)
        case .real(let value): value
        }
    }

    /// The number in `base`. A fraction of a unit is first rounded to whole next smaller units, as PostgreSQL does.
    func converted(to base: SettingUnit?) -> Double? {
        if unit.isEmpty { return number }
        guard let base, let unit = SettingUnit(unit), unit.kind == base.kind else { return nil }
        guard let smaller = unit.smaller else { return number * unit.size / base.size }
        return (number * unit.size / smaller).rounded(.toNearestOrEven) * smaller / base.size
    }

    private static func wholePrefix(_ text: Substring) -> (value: Int64, rest: Substring)? {
        let sign = text.prefix { $0 == "+" || $0 == "-" }
        guard sign.count <= 1 else { return nil }
        var body = text.dropFirst(sign.count)
        var radix = 10
        if body.hasPrefix("0x"), body.dropFirst(2).first?.isASCIIHexDigit == true {
            body = body.dropFirst(2)
            radix = 16
        } else if body.first == "0" {
            radix = 8
        }
        let digits = body.prefix { $0.isASCIIHexDigit && ($0.hexDigitValue ?? radix) < radix }
        guard !digits.isEmpty, let value = Int64(sign + digits, radix: radix) else { return nil }
        return (value, body.dropFirst(digits.count))
    }

    private static func realPrefix(_ text: Substring) -> (value: Double, rest: Substring)? {
        var rest = text
        if let first = rest.first, first == "+" || first == "-" { rest = rest.dropFirst() }
        let whole = rest.prefix { $0.isASCIIDigit }
        rest = rest.dropFirst(whole.count)
        if rest.first == "." {
            let fraction = rest.dropFirst().prefix { $0.isASCIIDigit }
            if !fraction.isEmpty { rest = rest.dropFirst(1 + fraction.count) }
        }
        guard rest.startIndex > text.startIndex, text[..<rest.startIndex].last?.isASCIIDigit == true else { return nil }
        if let first = rest.first, first == "e" || first == "E" {
            var exponent = rest.dropFirst()
            if let sign = exponent.first, sign == "+" || sign == "-" { exponent = exponent.dropFirst() }
            let digits = exponent.prefix { $0.isASCIIDigit }
            if !digits.isEmpty { rest = exponent.dropFirst(digits.count) }
        }
        guard let value = Double(text[..<rest.startIndex]), value.isFinite else { return nil }
        return (value, rest)
    }
}

extension Character {
    var isASCIIDigit: Bool { isASCII && isNumber }
    var isASCIIHexDigit: Bool { isASCII && isHexDigit }
}

extension Substring {
    /// Without the blanks around it.
    var trimmed: Substring { withoutBlanks }
}
