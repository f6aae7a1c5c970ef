import Testing

/// `default:` in a switch over an enum of ours: a case that is added later falls into it in silence.
enum DefaultRule {
    /// Where it may stand, at most how often, and why.
    static let excepted: [String: (count: Int, why: String)] = [
        "Sources/ClusterModel/PostgreSQL/WALPosition.swift": (1, "JSON of others: every other type is junk"),
        "Sources/ClusterModel/Cluster/ClusterViewReader.swift": (1, "JSON of others: every other type is junk"),
        "Sources/ClusterModel/Cluster/Tags.swift": (1, "YAML and JSON of others: every other type is junk"),
    ]

    /// The lines of a file on which it stands. A switch whose cases begin with a dot is one over an enum; the
    /// formatter puts `switch`, `case` and `default` into one column.
    static func lines(in file: SourceFile) -> [Int] {
        file.code.indices.filter { index in
            guard words(file.code[index]).first?.hasPrefix("default:") == true else { return false }
            let column = indentation(file.code[index])
            for line in file.code[..<index].reversed() where !words(line).isEmpty && indentation(line) <= column {
                if indentation(line) < column || words(line).contains("switch") { return false }
                let found = words(line)
                guard found.count > 1, found[0] == "case" else { continue }
                let pattern = found[1] == "let" && found.count > 2 ? found[2] : found[1]
                // A range of blanked characters begins with dots, too.
                let name = pattern.drop { $0 == "(" }
                if name.hasPrefix("."), name.dropFirst().first?.isLetter == true { return true }
            }
            return false
        }.map { $0 + 1 }
    }

    static func refused(in file: SourceFile) -> [String] {
        let found = lines(in: file)
        guard found.count > excepted[file.path]?.count ?? 0 else { return [] }
        return found.map { "\(file.path):\($0): a switch over an enum names its cases, and has no default" }
    }

    private static func words(_ line: String) -> [Substring] { line.split(separator: " ") }

    private static func indentation(_ line: String) -> Int { line.utf8.prefix { $0 == UInt8(ascii: " ") }.count }
}

@Suite struct DefaultRuleTests {
    @Test func noDefaultOverAnEnum() throws {
        for file in try SourceFile.all(under: "Sources") {
            for line in DefaultRule.refused(in: file) { Issue.record("\(line)") }
        }
    }

    @Test(
        arguments: [
            ("switch a {\ncase .b: 1\ndefault: 2\n}", [3]),
            ("switch (a, b) {\ncase (.c, let d): 1\ndefault: 2\n}", [3]),
            ("switch a {\ncase let .b(c): 1\ncase 3:\n    f()\n    default: 2\ndefault: 2\n}", [6]),
            ("switch a {\ncase .b:\n    switch c {\n    case 1: 2\n    default: 3\n    }\ncase .d: 4\n}", []),
            ("switch byte {\ncase 1...3: 1\ndefault: 2\n}", []),
            ("switch text {\ncase \".x\": 1\ndefault: 2\n}", []),
            ("switch text {\ncase \"a\"...\"z\": 1\ndefault: 2\n}", []),
            ("f(default: .x)", []),
        ] as [(String, [Int])])
    func found(text: String, lines: [Int]) {
        #expect(DefaultRule.lines(in: SourceFile(path: "Sources/X/Y.swift", text: text)) == lines)
    }
}
