import Glibc
import Posix
import Testing

@testable import Node

/// Whole stories of one node, compared with the transcripts beside this file: every event, every effect, every line of
/// the log. A change of behaviour shows as a diff. `scripts/test --rewrite-transcripts` writes them anew, on purpose.
@Suite struct TranscriptTests {
    private static let directory =
        "\(#filePath)".split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/transcripts"

    @Test(arguments: Stories.all.indices)
    func story(index: Int) throws {
        let story = Stories.all[index]
        let path = "\(Self.directory)/\(story.name.replacing(" ", with: "-")).txt"
        let told = "# \(story.name)\n\n" + story.lines.joined(separator: "\n").trimmed + "\n"
        if getenv("MATRIARCH_REWRITE_TRANSCRIPTS") != nil {
            try Files.replace(path, with: told.utf8, mode: 0o644)
            return
        }
        let kept = try Files.readText(path)
        guard kept != told else { return }
        let pairs = zip(
            kept.split(separator: "\n", omittingEmptySubsequences: false),
            told.split(separator: "\n", omittingEmptySubsequences: false))
        let line = pairs.enumerated().first { $0.element.0 != $0.element.1 }
        Issue.record(
            """
            \(path): line \((line?.offset ?? -1) + 1)
            kept: \(line.map { String($0.element.0) } ?? "the end")
            told: \(line.map { String($0.element.1) } ?? "the end")
            """)
    }

    /// A transcript without its story tells of nobody.
    @Test func everyTranscriptHasItsStory() throws {
        let names = Set(Stories.all.map { "\($0.name.replacing(" ", with: "-")).txt" })
        #expect(Set(try Files.list(Self.directory)) == names)
        #expect(names.count == Stories.all.count)
    }
}

extension String {
    fileprivate var trimmed: String { String(drop { $0 == "\n" }) }
}
