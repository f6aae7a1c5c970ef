import Posix
import Testing

/// What a comment cites exists: `rest-api.md §8.2` is a page of docs/behaviour or docs, with a section of that number.
@Suite struct CitationTests {
    @Test func pagesAndSectionsExist() throws {
        let pages = try Page.all()
        let files = try SourceFile.all(under: "Sources") + SourceFile.all(under: "Tests")
        var found = 0
        for file in files where !file.path.hasPrefix("Tests/TidyTests/") {
            for (index, line) in file.lines.enumerated() where line.utf8.contains(UInt8(ascii: "/")) {
                for citation in Citation.all(in: line) {
                    found += 1
                    guard let page = pages[citation.page] else {
                        Issue.record("\(file.path):\(index + 1): there is no page \(citation.page) in docs")
                        continue
                    }
                    for section in citation.sections where !page.sections.contains(section) {
                        Issue.record("\(file.path):\(index + 1): \(citation.page) has no section \(section)")
                    }
                }
            }
        }
        #expect(found > 200)
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

    /// Every page of docs and docs/behaviour, by its file's name.
    static func all() throws -> [String: Page] {
        var pages: [String: Page] = [:]
        let top = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        for path in try SourceFile.paths("docs").filter({ $0.hasSuffix(".md") && !$0.hasSuffix("/README.md") }) + top {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            // Of two pages of a name the one of behaviour, which comes first, has the numbers.
            if pages[name] != nil { continue }
            pages[name] = Page(text: try Files.readText("\(Package.root)/\(path)"))
        }
        return pages
    }
}
