/// A layout that was read once: records in, lines out. Pure but for the time zone.
struct LineFormat: Sendable {
    private enum Part {
        case literal(String)
        /// A field, how wide it is at least, and whether it stands at the left.
        case field(String, width: Int, isLeft: Bool)
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

    /// The line of `record`, its end included.
    func line(_ record: LogRecord) -> String { (isJSON ? object(record) : plain(record)) + "\n" }

    private func plain(_ record: LogRecord) -> String {
        var line = ""
        for part in parts {
            switch part {
            case .literal(let text): line += text
            case .field("message", let width, let isLeft):
                let facts = record.metadata.map { " \($0.key)=\($0.value)" }.joined()
                line += LineFormat.padded(LineFormat.printable(record.message + facts), width, isLeft)
            case .field(let name, let width, let isLeft):
                line += LineFormat.padded(
                    LineFormat.printable(record.value(name, dateFormat: dateFormat)?.text ?? ""), width, isLeft)
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

    private static func padded(_ text: String, _ width: Int, _ isLeft: Bool) -> String {
        let blanks = String(repeating: " ", count: max(0, width - text.count))
        return isLeft ? text + blanks : blanks + text
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
        let flags = rest.prefix { "-+ #".contains($0) }
        rest = rest.dropFirst(flags.count)
        let width = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(width.count)
        if rest.first == "." { rest = rest.dropFirst().drop { $0.isASCII && $0.isNumber } }
        guard let conversion = rest.first, "sdfr".contains(conversion) else { return nil }
        let part = Part.field(String(name), width: min(200, Int(width) ?? 0), isLeft: flags.contains("-"))
        return (part, rest.dropFirst())
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
