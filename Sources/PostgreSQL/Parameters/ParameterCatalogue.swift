import ClusterModel

/// The parameters that PostgreSQL 15 to 18 know, with what each takes (postgresql.md §12.6).
///
/// One line each: the name, what it takes (`bool`, `string`, `integer` and `real` with their bounds and the unit in
/// which the server counts, `enum` and `switch` with their words, a switch being one that takes the words of a boolean
/// too), and the major versions where those are not all: `@16-`, `@-17`, `@17-17`. In a word `~` is a blank.
enum ParameterCatalogue {
    enum Kind: Sendable, Hashable {
        case bool
        case string
        case integer(ClosedRange<Double>, unit: String?)
        case real(ClosedRange<Double>, unit: String?)
        /// Words in lower case.
        case word([String], orBool: Bool)
    }

    struct Parameter: Sendable, Hashable {
        var kind: Kind
        /// Major versions.
        var versions: ClosedRange<Int>
    }

    /// The oldest version of the table; of an older server nothing is known here.
    static let oldest = 15
    /// Servers that came later are judged as this one, as far as they know the names.
    static let newest = 18

    /// By names in lower case; one that takes other things in other versions has several entries.
    static let table: [String: [Parameter]] = read(firstHalf + "\n" + secondHalf)

    /// What `name` takes in the server of `version` (170002); nil where that has no such parameter.
    static func kind(_ name: String, version: Int) -> Kind? {
        let major = min(version / 10_000, newest)
        return table[name.lowercased()]?.first { $0.versions.contains(major) }?.kind
    }

    static func read(_ text: String) -> [String: [Parameter]] {
        var table: [String: [Parameter]] = [:]
        for line in text.split(atByte: "\n") {
            var words = line.split(separator: " ").map { String($0) }
            var versions = oldest...newest
            if let mark = words.last, mark.hasPrefix("@") {
                versions = range(mark.dropFirst())
                words.removeLast()
            }
            guard words.count >= 2, let kind = kind(words.dropFirst()) else { continue }
            table[words[0].lowercased(), default: []].append(Parameter(kind: kind, versions: versions))
        }
        return table
    }

    private static func range(_ text: Substring) -> ClosedRange<Int> {
        let ends = text.split(atByte: "-").map { Int($0) }
        let first = ends.first.flatMap { $0 } ?? oldest
        return first...max(first, ends.last.flatMap { $0 } ?? newest)
    }

    private static func kind(_ words: ArraySlice<String>) -> Kind? {
        let rest = Array(words.dropFirst())
        switch words.first {
        case "bool": return .bool
        case "string": return .string
        case "enum", "switch":
            let texts = rest.first?.split(atByte: ",").map { word in
                word == "''" ? "" : word.escaping { $0 == UInt8(ascii: "~") ? " " : nil }.lowercased()
            }
            return texts.map { .word($0, orBool: words.first == "switch") }
        case "integer", "real":
            guard rest.count >= 2, let low = Double(rest[0]) else { return nil }
            let high = rest[1] == "*" ? Double.infinity : Double(rest[1]) ?? .infinity
            let unit = rest.count > 2 ? rest[2] : nil
            return words.first == "real" ? .real(low...high, unit: unit) : .integer(low...high, unit: unit)
        default: return nil
        }
    }
}
