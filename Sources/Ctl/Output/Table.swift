import ClusterModel
import Configuration
import JSON

/// Rows under titles, and the ways in which they are printed (ctl.md §4).
struct Table: Sendable {
    struct Column: Sendable {
        /// In every format but a drawn table.
        let key: String
        /// In a drawn table.
        let title: String
        let isRight: Bool

        init(_ key: String, title: String? = nil, isRight: Bool = false) {
            self.key = key
            self.title = title ?? key
            self.isRight = isRight
        }
    }

    var columns: [Column]
    /// As many cells as columns; an empty text is an empty cell.
    var rows: [[JSONValue]]
    /// Stands in the uppermost rule.
    var title: String?
    /// Whether objects come without their empty cells.
    var omitsEmpty = false

    /// The text, its newline included.
    func text(_ format: OutputFormat, delimiter: String = "\t") -> String {
        switch format {
        case .pretty: titled.pretty + "\n"
        case .tsv: separated(delimiter)
        case .json: PythonText.json(.array(objects.map { .object($0) })) + "\n"
        case .yaml, .yml: YAML.text(.array(objects.map { .object($0) })) + "\n"
        }
    }

    private var objects: [JSONObject] {
        rows.map { row in
            JSONObject(
                zip(columns, row).filter { !omitsEmpty || $0.1 != "" }.map { ($0.0.key, $0.1) })
        }
    }

    /// A line a row, the titles first; nothing is quoted.
    private func separated(_ delimiter: String) -> String {
        let head = columns.isEmpty ? [] : [columns.map(\.key)]
        let lines = head + rows.map { $0.map(PythonText.text) }
        return lines.map { $0.joined(separator: delimiter) + "\n" }.joined()
    }

    // MARK: Drawn

    /// A drawn table has titles in any case.
    private var titled: Table {
        guard columns.isEmpty, let width = rows.first?.count else { return self }
        var table = self
        table.columns = (0..<width).map { Column("Field \($0 + 1)") }
        return table
    }

    private var pretty: String {
        let cells = rows.map { row in row.map { Self.lines(PythonText.text($0).printable) } }
        let titles = columns.map { [$0.title] }
        let widths = columns.indices.map { column in
            ([titles] + cells).flatMap { $0.indices.contains(column) ? $0[column] : [] }.map(TextWidth.of).max() ?? 0
        }
        let rule = "+" + widths.map { String(repeating: "-", count: $0 + 2) + "+" }.joined()
        // One cell of several lines would make rows run into one another.
        let isRuled = cells.contains { $0.contains { $0.count > 1 } }
        var lines = [titled(rule), draw(titles, widths), rule].flatMap { $0.split(separator: "\n").map(String.init) }
        for (index, row) in cells.enumerated() {
            if isRuled, index > 0 { lines.append(rule) }
            lines.append(draw(row, widths))
        }
        return (lines + [rule]).joined(separator: "\n")
    }

    private func titled(_ rule: String) -> String {
        guard let title else { return rule }
        let shown = String(" \(title.printable) ".prefix(max(0, rule.count - 2)))
        return "+" + shown + rule.dropFirst(1 + TextWidth.of(shown))
    }

    private func draw(_ row: [[String]], _ widths: [Int]) -> String {
        let height = row.map(\.count).max() ?? 1
        return (0..<max(1, height)).map { line in
            "|"
                + row.indices.map { column in
                    let text = line < row[column].count ? row[column][line] : ""
                    let blanks = String(repeating: " ", count: max(0, widths[column] - TextWidth.of(text)))
                    return " " + (columns[column].isRight ? blanks + text : text + blanks) + " |"
                }.joined()
        }.joined(separator: "\n")
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}

/// How many columns of a terminal a text takes.
enum TextWidth {
    static func of(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + width($1) } }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: 0
        case 0..<0x300: 1
        // Marks that stand over the character before.
        case 0x300...0x36F, 0x200B...0x200F, 0xFE00...0xFE0F, 0x20D0...0x20FF: 0
        // East Asian characters and pictures take two.
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            2
        default: 1
        }
    }
}

extension String {
    /// What stands in the store was written by others: no control character of theirs reaches the terminal.
    var printable: String {
        let isControl = { (scalar: Unicode.Scalar) in
            scalar.value < 0x20 && scalar != "\n" || (0x7F..<0xA0).contains(scalar.value)
        }
        guard unicodeScalars.contains(where: isControl) else { return self }
        return String(String.UnicodeScalarView(unicodeScalars.map { isControl($0) ? "?" : $0 }))
    }
}
