import Posix
import Testing

/// What is kept true by nobody's memory: what C declares is used, documents are as wide as the code, files and
/// functions do not grow.
@Suite struct KeptTests {
    /// Functions of C of which only tests, or nobody, have need.
    @Test func whatCDeclaresIsUsed() throws {
        let code = try SourceFile.all(under: "Sources").flatMap(\.code).joined(separator: "\n")
        let sources = try SourceFile.paths("Sources").filter { $0.hasSuffix(".c") }
        let inC = try sources.map { try Files.readText("\(Package.root)/\($0)") }
        var found = 0
        for path in try SourceFile.paths("Sources") where path.hasSuffix(".h") {
            for name in Self.declared(try Files.readText("\(Package.root)/\(path)")) {
                found += 1
                // Declared, defined, and called by another function of C.
                let isCalledInC = inC.contains { text in
                    text.ranges(of: "\(name)(").count > (text.contains(" \(name)(void) {") ? 1 : 0)
                        && text.contains("    \(name)(")
                }
                if !code.contains("\(name)(") && !code.contains("\(name),") && !isCalledInC {
                    Issue.record("\(path): nobody calls \(name)")
                }
            }
        }
        #expect(found > 25)
    }

    /// The names of functions that a header declares, ours by their prefix.
    private static func declared(_ header: String) -> [String] {
        header.split(separator: "\n").compactMap { line in
            guard !line.hasPrefix("//"), !line.hasPrefix(" "), !line.hasPrefix("typedef"), !line.hasPrefix("#"),
                let open = line.firstIndex(of: "(")
            else { return nil }
            let name = line[..<open].split { $0 == " " || $0 == "*" }.last.map(String.init) ?? ""
            return name.hasPrefix("ms_") || name.hasPrefix("gd_") ? name : nil
        }
    }

    /// Tables, addresses and what is shown as it is sent are as wide as they must be.
    @Test func documentsAreAsWideAsTheCode() throws {
        var paths = try SourceFile.paths("docs") + ["CONTRIBUTING.md", "README.md", "CHANGELOG.md"]
        paths = paths.filter { $0.hasSuffix(".md") }
        #expect(paths.count > 10)
        for path in paths {
            var isVerbatim = false
            let text = try Files.readText("\(Package.root)/\(path)")
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                if line.hasPrefix("```") { isVerbatim.toggle() }
                let isFree = isVerbatim || line.hasPrefix("    ") || line.hasPrefix("|") || line.hasPrefix("#")
                if !isFree, !line.contains("://"), line.count > Rules.columnsMax {
                    Issue.record("\(path):\(index + 1): \(line.count) columns, at most \(Rules.columnsMax)")
                }
            }
        }
    }

    /// The exceptions only ever shrink.
    @Test func exceptionsAreNeeded() throws {
        for (path, figure) in Rules.longFiles {
            let text = try Files.readText("\(Package.root)/\(path)")
            let count = text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
            #expect(count == figure && count > Rules.linesMax, "\(path) has \(count) lines: say so in Rules.longFiles")
        }
        for (place, figure) in Rules.longFunctions {
            let words = place.split(separator: " ").map(String.init)
            let file = SourceFile(path: words[0], text: try Files.readText("\(Package.root)/\(words[0])"))
            let lines = Function.all(in: file).filter { $0.name == words[1] }.map(\.lines).max() ?? 0
            #expect(
                lines == figure.lines && lines > Rules.functionLinesMax && !figure.why.isEmpty,
                "\(place) has \(lines) lines: say so in Rules.longFunctions")
        }
    }
}
