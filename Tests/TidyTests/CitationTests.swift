import Posix
import Testing

/// What a comment cites exists: `rest-api.md §8.2` is a page of docs/behaviour or docs, with a section of that number.
@Suite struct CitationTests {
    @Test func pagesAndSectionsExist() throws {
        let pages = try Page.all()
        let files = try SourceFile.all(under: "Sources") + SourceFile.all(under: "Tests")
        var found = 0
        for file in files where !file.path.hasPrefix("Tests/TidyTests/") {
            found += expectPages(of: file.path, file.lines.map { $0.contains("/") ? $0 : "" }, pages)
        }
        #expect(found > 200)
        found = 0
        for path in try Page.paths() {
            let text = try Files.readText("\(Package.root)/\(path)")
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            found += expectPages(of: path, lines.map(String.init), pages)
        }
        #expect(found > 50)
    }

    /// How many citations there are.
    private func expectPages(of path: String, _ lines: [String], _ pages: [String: Page]) -> Int {
        var found = 0
        for (index, line) in lines.enumerated() {
            for citation in Citation.all(in: line) {
                found += 1
                guard let page = pages[citation.page] else {
                    Issue.record("\(path):\(index + 1): there is no page \(citation.page) in docs")
                    continue
                }
                for section in citation.sections where !page.sections.contains(section) {
                    Issue.record("\(path):\(index + 1): \(citation.page) has no section \(section)")
                }
            }
        }
        return found
    }

    /// A reader can look up the invariants alone: any other letter with a number is of a list that is not here.
    @Test func codesAreThoseOfTheArchitecture() throws {
        let invariants = try Files.readText("\(Package.root)/docs/architecture.md")
        for file in try SourceFile.all(under: "Sources") + SourceFile.all(under: "Tests") {
            for (index, line) in file.lines.enumerated() {
                for code in Citation.codes(in: line) where !invariants.contains("| \(code) |") {
                    Issue.record("\(file.path):\(index + 1): \(code) stands in no document")
                }
            }
        }
    }

    @Test(arguments: [
        ("    /// S1: nobody (L4)", ["S1", "L4"]), ("// (X9, S1–S10).", ["X9", "S1", "S10"]), ("let a = X9", []),
        ("/// HTTP/1.1, UTF8, \u{E9}, 0xE9, V12X, ipv4", []),
    ])
    func codesAreRead(line: String, codes: [String]) {
        #expect(Citation.codes(in: line) == codes)
    }

    @Test func sectionsAreRead() {
        let text = "## 3. Stop\n1. first\n2) second\n### 3.4 Slow\n| 1 | a |\n#### 3.4.1 x\n**7.2.3** y\n## 12 Z\n"
        let page = Page(text: text)
        #expect(page.sections.isSuperset(of: ["3", "3.1", "3.2", "3.4", "3.4.1", "12"]))
        #expect(!page.sections.contains("4"))
    }

    @Test(arguments: [
        ("/// as in rest-api.md §8.2, and", "rest-api.md", ["8.2"]),
        ("// (ha-loop.md §7, §5.4, §5.5)", "ha-loop.md", ["7", "5.4", "5.5"]),
        ("// dcs.md §5.1, 5.2", "dcs.md", ["5.1"]), ("// see time.md.", "time.md", []),
        ("// rest-api.md §12.2.1–7", "rest-api.md", ["12.2.1"]),
        ("// (rest-api.md §3. Nothing", "rest-api.md", ["3"]),
    ])
    func citationsAreRead(line: String, page: String, sections: [String]) {
        #expect(Citation.all(in: line) == [Citation(page: page, sections: sections)])
    }
}

/// One place where a comment sends its reader.
struct Citation: Hashable {
    var page: String
    var sections: [String]

    /// The pages that a line names, each with the sections that follow it.
    static func all(in line: String) -> [Citation] {
        var found: [Citation] = []
        var rest = line[...]
        while let range = rest.firstRange(of: ".md") {
            let name = rest[..<range.lowerBound].reversed().prefix { $0.isLetter || $0.isNumber || $0 == "-" }
            rest = rest[range.upperBound...]
            guard !name.isEmpty, rest.first?.isLetter != true else { continue }
            found.append(Citation(page: String(name.reversed()) + ".md", sections: sections(after: rest)))
        }
        return found
    }

    /// `S1`: a capital letter and a number or two, in a line that is a comment.
    static func codes(in line: String) -> [String] {
        guard line.drop(while: { $0 == " " }).hasPrefix("//") else { return [] }
        let words: [Substring] = line.split { " /()[],.:;–-".contains($0) }
        return words.map(String.init).filter { word in
            let number = word.dropFirst()
            return word.first?.isUppercase == true && (1...2).contains(number.count) && number.allSatisfy(\.isNumber)
        }
    }

    /// ` §7, §5.4`: the numbers that stand right behind a page's name, each with its sign.
    private static func sections(after text: Substring) -> [String] {
        var sections: [String] = []
        var rest = text
        while true {
            let gap = rest.prefix { " ,–-".contains($0) }
            rest = rest[gap.endIndex...]
            guard rest.first == "§" else { return sections }
            rest = rest.dropFirst()
            let number = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest[number.endIndex...]
            sections.append(String(number.last == "." ? number.dropLast() : number))
        }
    }
}

/// A page of the documentation, as far as it can be cited.
struct Page {
    private(set) var sections: Set<String> = []

    /// Headings (`## 3. Stop`, `### 3.4 Slow`), and below each the numbers of its list items and of its table's rows.
    init(text: String) {
        var section = ""
        for line in text.split(separator: "\n") {
            let isHeading = line.first == "#"
            let start = line.drop { "#|* -".contains($0) }
            let number = start.prefix { $0.isNumber || $0 == "." }
            let trimmed = number.last == "." ? number.dropLast() : number
            guard trimmed.first?.isNumber == true else { continue }
            if isHeading {
                section = String(trimmed)
                sections.insert(section)
            } else {
                sections.insert(trimmed.contains(".") ? String(trimmed) : "\(section).\(trimmed)")
            }
        }
    }

    static func paths() throws -> [String] {
        try SourceFile.paths("docs").filter { $0.hasSuffix(".md") } + ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    }

    /// Every page of docs and docs/behaviour, by its file's name.
    static func all() throws -> [String: Page] {
        var pages: [String: Page] = [:]
        for path in try paths() where !path.hasSuffix("/README.md") {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            // Of two pages of a name the one of behaviour, which comes first, has the numbers.
            if pages[name] != nil { continue }
            pages[name] = Page(text: try Files.readText("\(Package.root)/\(path)"))
        }
        return pages
    }
}
