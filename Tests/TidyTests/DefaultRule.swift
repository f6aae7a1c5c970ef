import Testing

/// `default:` in a switch over an enum of ours, or what takes its place (`case let other:`): a case that is added later
/// falls into it in silence.
enum DefaultRule {
    /// Where it may stand, at most how often, and why.
    static let excepted: [String: (count: Int, why: String)] = [
        "Sources/ClusterModel/PostgreSQL/WALPosition.swift": (1, "JSON of others: every other type is junk"),
        "Sources/ClusterModel/Cluster/ClusterViewReader.swift": (1, "JSON of others: every other type is junk"),
        "Sources/ClusterModel/Cluster/Tags.swift": (1, "YAML and JSON of others: every other type is junk"),
    ]

    /// The lines of a file on which it stands. A switch of whose patterns one names a case is one over an enum; the
    /// formatter puts `switch`, `case` and `default` into one column.
    static func lines(in file: SourceFile) -> [Int] {
        file.code.indices.filter { index in
            guard takesTheRest(file.code[index]) else { return false }
            let column = indentation(file.code[index])
            for line in file.code[..<index].reversed() where !words(line).isEmpty && indentation(line) <= column {
                if indentation(line) < column || words(line).contains("switch") { return false }
                if let pattern = pattern(line), namesCase(pattern) { return true }
            }
            return false
        }.map { $0 + 1 }
    }

    /// `default:`, `case _:`, `case let other:`.
    private static func takesTheRest(_ line: String) -> Bool {
        if words(line).first?.hasPrefix("default:") == true { return true }
        guard !line.contains(" where "), let pattern = pattern(line) else { return false }
        let name = pattern.hasPrefix("let ") ? pattern.dropFirst(4) : pattern[...]
        return pattern == "_" || name.count < pattern.count && name.allSatisfy { $0.isLetter || $0 == "_" }
    }

    /// What stands between `case` and its colon, or the end of the line, without a condition.
    private static func pattern(_ line: String) -> String? {
        let start = line.drop { $0 == " " }
        guard start.hasPrefix("case ") else { return nil }
        var depth = 0
        let pattern = start.dropFirst(5).prefix { character in
            if "([{".contains(character) { depth += 1 } else if ")]}".contains(character) { depth -= 1 }
            return character != ":" || depth > 0
        }
        return String(pattern.prefix(upTo: pattern.firstRange(of: " where ")?.lowerBound ?? pattern.endIndex))
    }

    /// Whether it has `.name` somewhere, also as one of several or by its type's name. A range of blanked characters
    /// has dots, too.
    private static func namesCase(_ pattern: String) -> Bool {
        let characters = Array(pattern)
        return characters.indices.dropLast().contains { index in
            guard characters[index] == ".", characters[index + 1].isLowercase else { return false }
            let before = characters[..<index].reversed().prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            guard let first = before.last else { return index == 0 || " (,".contains(characters[index - 1]) }
            return first.isUppercase
        }
    }

    /// Keys of the store, which `ClusterLeaf` tells apart once for all.
    static func leaves(in file: SourceFile) -> [String] {
        guard file.path != "Sources/ClusterModel/Cluster/ClusterLeaf.swift" else { return [] }
        return file.lines.indices.filter { index in
            guard let pattern = pattern(file.lines[index]), pattern.hasPrefix("\"") else { return false }
            return leaves.contains { pattern.contains("\"\($0)\"") }
        }.map { "\(file.path):\($0 + 1): what a key of the store is, ClusterLeaf says" }
    }

    /// Those that mean nothing else.
    private static let leaves = ["rolling_restart", "optime/leader", "initialize"]

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
            for line in DefaultRule.refused(in: file) + DefaultRule.leaves(in: file) { Issue.record("\(line)") }
        }
    }

    @Test(
        arguments: [
            ("switch a {\ncase .b: 1\ndefault: 2\n}", [3]),
            ("switch (a, b) {\ncase (.c, let d): 1\ndefault: 2\n}", [3]),
            ("switch a {\ncase let .b(c): 1\ncase 3:\n    f()\n    default: 2\ndefault: 2\n}", [6]),
            ("switch a {\ncase .b:\n    switch c {\n    case 1: 2\n    default: 3\n    }\ncase .d: 4\n}", []),
            ("switch (a, b) {\ncase (\"c\", .d): 1\ndefault: 2\n}", [3]),
            ("switch error {\ncase Lost.all(let a): 1\ndefault: 2\n}", [3]),
            ("switch a {\ncase .b: 1\ncase let other: other\n}", [3]), ("switch a {\ncase .b: 1\ncase _: 2\n}", [3]),
            ("switch a {\ncase .b: 1\ncase let c where c.d: c\ncase .e: 2\n}", []),
            ("switch a {\ncase 3: f(.b)\ndefault: 2\n}", []), ("switch a {\ncase b.c: 1\ndefault: 2\n}", []),
            ("switch byte {\ncase 1...3: 1\ndefault: 2\n}", []),
            ("switch text {\ncase \".x\": 1\ndefault: 2\n}", []),
            ("switch text {\ncase \"a\"...\"z\": 1\ndefault: 2\n}", []),
            ("f(default: .x)", []),
        ] as [(String, [Int])])
    func found(text: String, lines: [Int]) {
        #expect(DefaultRule.lines(in: SourceFile(path: "Sources/X/Y.swift", text: text)) == lines)
    }
}
