import Configuration
import Posix
import Testing

/// `docs/configuration.md` is what the table says. To write it anew: `matriarch --reference > docs/configuration.md`.
@Suite struct ReferenceTests {
    @Test func thePageIsTheTable() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let page = try Files.readText("\(root)/docs/configuration.md")
        let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
        let expected = SettingReference.page.split(separator: "\n", omittingEmptySubsequences: false)
        for (line, (found, wanted)) in zip(1..., zip(lines, expected)) {
            try #require(found == wanted, "line \(line)")
        }
        // A terminal's line break at the end is no other page.
        #expect((0...1).contains(abs(lines.count - expected.count)))
    }
}
