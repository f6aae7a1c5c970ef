import Posix
import Testing

/// Reasons are a promise: each is compared by a table of the rules, and docs/reasons.md tells it.
@Suite struct ReasonTests {
    /// The text literals that stand first after `opening`: `Explanation("paused"`.
    static func codes(after opening: String, in text: String) -> [String] {
        var found: [String] = []
        var rest = text[...]
        while let range = rest.firstRange(of: opening) {
            rest = rest[range.upperBound...]
            let literal = rest.drop { $0.isWhitespace }
            guard literal.first == "\"" else { continue }
            found.append(String(literal.dropFirst().prefix { $0 != "\"" }))
        }
        return found
    }

    /// All text literals between `because: [` and `]`.
    static func compared(in text: String) -> Set<String> {
        var found: Set<String> = []
        var rest = text[...]
        while let range = rest.firstRange(of: "because: [") {
            rest = rest[range.upperBound...]
            let list = rest.prefix { $0 != "]" }
            for (index, part) in list.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            where index % 2 == 1 { found.insert(String(part)) }
        }
        return found
    }

    @Test func everyReasonIsComparedByATableAndTold() throws {
        let rules = try SourceFile.paths("Sources/HighAvailability").filter { $0.hasSuffix(".swift") }
        let codes = try rules.flatMap { Self.codes(after: "Explanation(", in: try text($0)) }
        #expect(codes.count > 60)
        #expect(Set(codes).count == codes.count, "two reasons have one code")
        let tables = try SourceFile.paths("Tests/HighAvailabilityTests").filter { $0.hasSuffix(".swift") }
        let compared = try tables.reduce(into: Set<String>()) { $0.formUnion(Self.compared(in: try text($1))) }
        #expect(compared.subtracting(codes) == [], "the tables name what no rule says")
        let page = try text("docs/reasons.md")
        for code in codes {
            #expect(compared.contains(code), "no table compares \(code)")
            #expect(page.contains("| `\(code)` |"), "docs/reasons.md does not have \(code)")
        }
    }

    @Test func codesAreRead() {
        #expect(Self.codes(after: "F(", in: "F(\"a\", 1) F(\n    \"b-c\") F(x)") == ["a", "b-c"])
        #expect(Self.compared(in: "because: [\"a\", \"b\"]), because: []") == ["a", "b"])
    }

    private func text(_ path: String) throws -> String { try Files.readText("\(Package.root)/\(path)") }
}
