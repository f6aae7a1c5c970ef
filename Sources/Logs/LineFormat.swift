/// A layout that was read once: records in, lines out. Pure but for the time zone.
struct LineFormat: Sendable {
    private enum Part {
        case literal(String)
        case field(String, Shape)
    }

    /// What stands between the name and the conversion: `-8`, `03`, `.3`.
    private struct Shape: Sendable {
        var width = 0
        var isLeft = false
        var hasZeros = false
        var precision: Int?
        var conversion: Character = "s"
    }

    private let parts: [Part]
    private let fields: [LogOptions.Field]
    private let isJSON: Bool
    private let staticFields: [LogOptions.Field]
    private let dateFormat: String?

    init(_ options: LogOptions) {
        dateFormat = options.dateFormat
        staticFields = options.staticFields
        switch options.layout {
        case .plain(let format):
            parts = LineFormat.parse(format)
            fields = []
            isJSON = false
        case .json(let fields):
            parts = []
            self.fields = fields
            isJSON = true
        }
    }

    /// The fields that are written.
    var names: [String] {
        let inText = parts.compactMap { part in
            if case .field(let name, _) = part { name } else { nil }
        }
        return inText + fields.map(\.name)
    }

    /// The line of `record`, its end included.
    func line(_ record: LogRecord) -> String { (isJSON ? object(record) : plain(record)) + "\n" }

    private func plain(_ record: LogRecord) -> String {
        var line = ""
        for part in parts {
            switch part {
            case .literal(let text): line += text
            case .field("message", let shape):
                let facts = record.metadata.map { " \($0.key)=\($0.value)" }.joined()
                line += LineFormat.placed(.text(LineFormat.printable(record.message + facts)), shape)
            case .field(let name, let shape):
                guard let value = record.value(name, dateFormat: dateFormat) else {
                    line += LineFormat.placed(.text(""), shape)
                    continue
                }
                line += LineFormat.placed(LineFormat.printable(value), shape)
            }
        }
        return line
    }

    private func object(_ record: LogRecord) -> String {
        var members: [String] = []
        for field in fields {
            let value: String =
                switch record.value(field.name, dateFormat: dateFormat) {
                case .number(let number)?: String(number)
                case .real(let number)?: "\(number)"
                case .text(let text)?: LineFormat.quoted(text)
                case nil: "null"
                }
            members.append("\(LineFormat.quoted(field.key)): \(value)")
        }
        for fact in record.metadata {
            members.append("\(LineFormat.quoted(fact.key)): \(LineFormat.quoted(fact.value))")
        }
        for field in staticFields {
            members.append("\(LineFormat.quoted(field.key)): \(LineFormat.quoted(field.name))")
        }
        return "{" + members.joined(separator: ", ") + "}"
    }

    /// What nobody outside can make look like a line of ours, or like an order to a terminal: a line break is followed
    /// by a tab, other control characters are written as `\\x1b`. Scalar by scalar: a mark behind one hides nothing.
    static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A: result.append(contentsOf: "\n\t".unicodeScalars)
            case 0x09: result.append(scalar)
            case 0..<0x20, 0x7F..<0xA0:
                let digits = String(scalar.value, radix: 16)
                result.append(contentsOf: (digits.utf8.count < 2 ? "\\x0" : "\\x").unicodeScalars)
                result.append(contentsOf: digits.unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    private static func printable(_ value: LogRecord.Value) -> LogRecord.Value {
        if case .text(let text) = value { .text(printable(text)) } else { value }
    }

    private static func placed(_ value: LogRecord.Value, _ shape: Shape) -> String {
        let text = text(value, shape)
        let missing = max(0, shape.width - text.count)
        if shape.isLeft { return text + String(repeating: " ", count: missing) }
        if case .text = value { return String(repeating: " ", count: missing) + text }
        return String(repeating: shape.hasZeros && shape.conversion != "s" ? "0" : " ", count: missing) + text
    }

    /// As Python writes it: what is no number has no decimal places.
    private static func text(_ value: LogRecord.Value, _ shape: Shape) -> String {
        let conversion = shape.conversion
        switch value {
        case .number(let number) where conversion == "f": return decimal(Double(number), shape.precision ?? 6)
        case .real(let number) where conversion == "f": return decimal(number, shape.precision ?? 6)
        case .real(let number) where conversion == "d": return decimal(number.rounded(.down), 0)
        case .text, .number, .real:
            let width = ["s", "r"].contains(conversion) ? shape.precision : nil
            return width.map { String(value.text.prefix($0)) } ?? value.text
        }
    }

    /// `number`, which is not negative, with so many decimal places; nine are as many as a clock has.
    private static func decimal(_ number: Double, _ places: Int) -> String {
        let places = min(places, 9)
        let unit = (0..<places).reduce(Int64(1)) { unit, _ in unit * 10 }
        guard let scaled = Int64(exactly: (number * Double(unit)).rounded()) else { return "\(number)" }
        if places == 0 { return String(scaled) }
        let digits = String(scaled % unit)
        return "\(scaled / unit)." + String(repeating: "0", count: places - digits.utf8.count) + digits
    }

    /// `%(name)s` with flags and a width; what is no placeholder stays as it is.
    private static func parse(_ format: String) -> [Part] {
        var parts: [Part] = []
        var literal = ""
        var rest = format[...]
        while let character = rest.first {
            if rest.hasPrefix("%%") {
                literal += "%"
                rest = rest.dropFirst(2)
            } else if let (field, after) = placeholder(rest) {
                if !literal.isEmpty { parts.append(.literal(literal)) }
                literal = ""
                parts.append(field)
                rest = after
            } else {
                literal.append(character)
                rest = rest.dropFirst()
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return parts
    }

    private static func placeholder(_ text: Substring) -> (Part, Substring)? {
        guard text.hasPrefix("%("), let close = text.firstIndex(of: ")") else { return nil }
        let name = text[..<close].dropFirst(2)
        var rest = text[text.index(after: close)...]
        let flags = rest.prefix { "-+ #0".contains($0) }
        rest = rest.dropFirst(flags.count)
        var shape = Shape(isLeft: flags.contains("-"), hasZeros: flags.contains("0"))
        shape.width = number(&rest) ?? 0
        if rest.first == "." {
            rest = rest.dropFirst()
            shape.precision = number(&rest) ?? 0
        }
        guard let conversion = rest.first, "sdfr".contains(conversion) else { return nil }
        shape.conversion = conversion
        return (.field(String(name), shape), rest.dropFirst())
    }

    /// The number that `text` begins with, taken off; at most 200, so that no line grows without bound.
    private static func number(_ text: inout Substring) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        text = text.dropFirst(digits.count)
        return digits.isEmpty ? nil : min(200, Int(digits) ?? 200)
    }

    /// A JSON string.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
