import Testing

/// Declarations in Swift that nothing in Sources names but themselves: dead, or there for tests alone.
enum UnusedRule {
    /// What may stand there all the same, and why.
    static let excepted: [String: String] = [
        "Simulate": "where `simulate` begins",
        "https": "a scheme, made of its text",
        "storePrefix": "what namespace and scope come to, for tests",
        "responseWithoutWork": "what an overloaded server answers, for tests of handlers",
        "waitingCount": "tells tests that all wait",
    ]

    private static let kinds: Set<String> = [
        "func", "var", "let", "struct", "enum", "actor", "class", "protocol", "typealias",
    ]
    private static let modifiers: Set<String> = [
        "public", "private", "fileprivate", "internal", "static", "final", "mutating", "nonisolated", "indirect",
        "set", "unsafe", "override", "lazy", "weak", "main", "discardableResult", "concurrent", "inline", "always",
    ]
    private static let patterns: Set<String> = ["let", "var", "nil", "is", "true", "false"]

    /// The names that a line declares.
    static func declared(in line: String) -> [String] {
        let words = words(line)
        if words.first == "case" {
            // An enum's: a switch of ours names its cases with a dot, and constants of C are in capitals.
            guard words.count > 1, words[1].first?.isLowercase == true, !patterns.contains(words[1]),
                line.drop(while: { $0 == " " }).hasPrefix("case \(words[1])")
            else { return [] }
            let isList = !line.contains("(") && !line.contains("=") && !line.contains(":")
            return isList ? Array(words.dropFirst()) : [words[1]]
        }
        guard let kind = words.firstIndex(where: { kinds.contains($0) }), kind + 1 < words.count,
            words[..<kind].allSatisfy({ modifiers.contains($0) })
        else { return [] }
        return [words[kind + 1]]
    }

    static func words(_ line: String) -> [String] {
        line.utf8.split { byte in
            let isLetter = (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
            let isDigit = byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            return !isLetter && !isDigit && byte != UInt8(ascii: "_")
        }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Of all these files, the names that are declared and stand nowhere else.
    static func unused(in files: [SourceFile]) -> [(name: String, place: String)] {
        var counts: [String: Int] = [:]
        var places: [String: String] = [:]
        for file in files {
            for (index, line) in file.code.enumerated() {
                for word in words(line) { counts[word, default: 0] += 1 }
                for name in declared(in: line) { places[name] = "\(file.path):\(index + 1)" }
            }
        }
        return places.filter { counts[$0.key] == 1 }.map { ($0.key, $0.value) }.sorted { $0.place < $1.place }
    }
}

@Suite struct UnusedRuleTests {
    @Test func whatIsDeclaredIsUsed() throws {
        let unused = UnusedRule.unused(in: try SourceFile.all(under: "Sources"))
        for (name, place) in unused where UnusedRule.excepted[name] == nil {
            Issue.record("\(place): nothing in Sources uses \(name)")
        }
        for (name, why) in UnusedRule.excepted where !unused.contains(where: { $0.name == name }) {
            Issue.record("\(name) is used, or gone: its exception (\(why)) can go")
        }
    }

    @Test(
        arguments: [
            ("    public private(set) var a = b", ["a"]), ("    static func f(_ x: Int) -> Int {", ["f"]),
            ("    case a, b, c", ["a", "b", "c"]), ("    case a(Int, of: B)", ["a"]), ("    case a = 1", ["a"]),
            ("    case .a, .b: 1", []), ("    case let a?: 1", []), ("    case EINTR: 1", []), ("    case 1: 2", []),
            ("    guard let a else { return }", []), ("    a.b(let: c)", []),
        ] as [(String, [String])])
    func declared(line: String, names: [String]) {
        #expect(UnusedRule.declared(in: line) == names)
    }

    @Test func found() {
        let texts = ["struct A {\n    var b = 1\n    let c = b\n}", "let d = A()\nfunc e() { print(\"\\(d)\") }"]
        let files = texts.map { SourceFile(path: "Sources/X/Y.swift", text: $0) }
        #expect(UnusedRule.unused(in: files).map(\.name).sorted() == ["c", "e"])
    }
}
