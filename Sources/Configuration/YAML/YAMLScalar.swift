import ClusterModel

/// What a plain YAML 1.1 scalar is, by the rules of the reader that Patroni uses (configuration.md §1.2): `on` is
/// true, `0644` is octal, `22:22` counts sixties, `1e3` is a text. Dates stay texts: nothing of ours is a date.
enum YAMLScalar {
    /// The value of a plain scalar without a tag.
    static func value(plain text: String) -> JSONValue {
        if let constant = constants[text] { return constant }
        // Every number starts with one of these; texts are the common case.
        guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first) else { return .string(text) }
        return integer(text) ?? real(text) ?? .string(text)
    }

    /// The value of a scalar with one of the standard tags; nil where the text does not fit or the tag is not ours.
    static func value(_ text: String, tag: String) -> JSONValue? {
        let prefix = "tag:yaml.org,2002:"
        if tag == "!" { return .string(text) }
        guard tag.hasPrefix(prefix) else { return nil }
        switch tag.dropFirst(prefix.count) {
        case "str", "timestamp": return .string(text)
        case "int": return integer(text)
        case "float": return real(text) ?? integer(text).flatMap { $0.int.map { .double(Double($0)) } }
        case "bool": return constants[text]?.bool.map(JSONValue.bool)
        case "null": return .null
        default: return nil
        }
    }

    private static let constants: [String: JSONValue] = {
        var table: [String: JSONValue] = ["": .null, "~": .null, "null": .null, "Null": .null, "NULL": .null]
        for word in ["yes", "true", "on", "Yes", "True", "On", "YES", "TRUE", "ON"] { table[word] = .bool(true) }
        for word in ["no", "false", "off", "No", "False", "Off", "NO", "FALSE", "OFF"] { table[word] = .bool(false) }
        for word in [".inf", ".Inf", ".INF"] {
            table[word] = .double(.infinity)
            table["+" + word] = .double(.infinity)
            table["-" + word] = .double(-.infinity)
        }
        for word in [".nan", ".NaN", ".NAN"] { table[word] = .double(.nan) }
        return table
    }()

    private static func signed(_ text: String) -> (negative: Bool, body: Substring) {
        switch text.first {
        case "-": (true, text.dropFirst())
        case "+": (false, text.dropFirst())
        default: (false, text[...])
        }
    }

    /// Binary, octal, decimal, hexadecimal or sixties, with `_` between digits. A number too large for 64 bits stays a
    /// text: nothing of ours is that large.
    private static func integer(_ text: String) -> JSONValue? {
        let (negative, body) = signed(text)
        let (digits, radix): (Substring, Int)
        switch body {
        case _ where body.hasPrefix("0b"): (digits, radix) = (body.dropFirst(2), 2)
        case _ where body.hasPrefix("0x"): (digits, radix) = (body.dropFirst(2), 16)
        case _ where body.first == "0" && body.count > 1: (digits, radix) = (body.dropFirst(), 8)
        case _ where body.contains(":"): return sixties(body).map { .int(negative ? -$0 : $0) }
        default:
            guard body.first != "_" else { return nil }
            (digits, radix) = (body, 10)
        }
        let plain = digits.filter { $0 != "_" }
        if plain.isEmpty {
            guard radix == 8, !digits.isEmpty else { return nil }
            return .int(0)
        }
        guard plain.allSatisfy({ $0.isASCII && $0.hexDigitValue.map { $0 < radix } ?? false }) else { return nil }
        return Int64((negative ? "-" : "") + plain, radix: radix).map(JSONValue.int) ?? .string(text)
    }

    /// `[1-9][0-9_]*(:[0-5]?[0-9])+`
    private static func sixties(_ body: Substring) -> Int64? {
        let parts = body.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count > 1, parts[0].first != "0" else { return nil }
        return sum(parts)
    }

    private static func sum(_ parts: [Substring]) -> Int64? {
        guard let first = parts.first, isNumber(first), var total = Int64(first.filter { $0 != "_" }) else {
            return nil
        }
        for part in parts.dropFirst() {
            guard (1...2).contains(part.count), part.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int64(part),
                value < 60, total < .max / 60 - 1
            else { return nil }
            total = total * 60 + value
        }
        return total
    }

    private static func isNumber(_ text: Substring) -> Bool {
        text.first.map { $0.isASCII && $0.isNumber } ?? false
            && text.allSatisfy { $0 == "_" || $0.isASCII && $0.isNumber }
    }

    /// Needs a point; an exponent needs its sign.
    private static func real(_ text: String) -> JSONValue? {
        guard let point = text.firstIndex(of: ".") else { return nil }
        let (negative, body) = signed(text)
        let whole = body[..<point]
        var fraction = body[body.index(after: point)...]
        var exponent: Substring = ""
        if let mark = fraction.firstIndex(where: { $0 == "e" || $0 == "E" }) {
            exponent = fraction[fraction.index(after: mark)...]
            guard let sign = exponent.first, "+-".contains(sign), exponent.count > 1,
                exponent.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber })
            else { return nil }
            fraction = fraction[..<mark]
        }
        guard fraction.allSatisfy({ $0 == "_" || $0.isASCII && $0.isNumber }) else { return nil }
        if whole.contains(":") {
            guard exponent.isEmpty, let total = sum(whole.split(separator: ":", omittingEmptySubsequences: false)),
                let rest = Double("0." + fraction.filter { $0 != "_" } + "0")
            else { return nil }
            return .double((Double(total) + rest) * (negative ? -1 : 1))
        }
        // `.5` is a number, `-.5` and `._5` are texts: so Patroni's reader has it.
        guard isNumber(whole) || whole.isEmpty && text.first == "." && isNumber(fraction) else { return nil }
        let digits = "\(whole.isEmpty ? "0" : whole).\(fraction.isEmpty ? "0" : fraction)".filter { $0 != "_" }
        let padded = digits.last == "." ? digits + "0" : digits
        guard let value = Double(padded + (exponent.isEmpty ? "" : "e" + exponent)) else { return nil }
        return .double(negative ? -value : value)
    }
}
