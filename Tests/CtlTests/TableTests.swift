import ClusterModel
import Testing

@testable import Ctl

/// The formats of ctl.md §4.
@Suite struct TableTests {
    private let table = Table(
        columns: [Table.Column("N", isRight: true), Table.Column("Text")],
        rows: [[1, "é\u{1F600}"], [10, .null], [.bool(true), ""]])

    @Test func drawn() {
        #expect(
            table.text(.pretty) == """
                +------+------+
                |    N | Text |
                +------+------+
                |    1 | é😀  |
                |   10 | None |
                | True |      |
                +------+------+

                """)
    }

    @Test func aTitleIsCutToTheTable() {
        var table = table
        table.title = "A title that is longer than the table"
        #expect(table.text(.pretty).hasPrefix("+ A title that+\n"))
    }

    @Test func whatOthersWroteSendsNothingToTheTerminal() {
        var table = Table(columns: [Table.Column("A")], rows: [["\u{1B}[2Jx\u{9B}\n\ty"]])
        table.title = "\u{1B}]0;t"
        let text = table.text(.pretty)
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || (0x7F..<0xA0).contains($0.value) })
        #expect(text.contains("| ?[2Jx? |\n| ?y     |"))
    }

    @Test func separated() {
        #expect(table.text(.tsv) == "N\tText\n1\té😀\n10\tNone\nTrue\t\n")
        #expect(table.text(.tsv, delimiter: ";").hasPrefix("N;Text\n"))
    }

    @Test func json() {
        #expect(
            table.text(.json)
                == #"[{"N": 1, "Text": "\u00e9\ud83d\ude00"}, {"N": 10, "Text": null}, {"N": true, "Text": ""}]"# + "\n"
        )
        #expect(PythonText.json(#"\u00AB"#) == #""\\u00AB""#, "a backslash of the text's own is none of ours")
    }

    @Test func yaml() {
        #expect(table.text(.yml) == "- N: 1\n  Text: é😀\n- N: 10\n  Text: null\n- N: true\n  Text: ''\n\n")
    }

    @Test func lists() { #expect(PythonText.list(["a", "b"]) == "['a', 'b']") }
}

@Suite struct WordsTests {
    @Test(
        arguments: [
            ("list", [], "list", []), ("-c x list -c y", ["-c", "x"], "list", ["-c", "y"]),
            ("-k --dcs-url=a query -d b", ["-k", "--dcs-url=a"], "query", ["-d", "b"]),
            ("-- list a", [], "list", ["a"]),
            ("failover --candidate= --set=a= -s a=", [], "failover", ["--candidate", "", "--set=a=", "-s", "a="]),
            ("--dcs-url= list", ["--dcs-url", ""], "list", []),
            ("--help", ["--help"], nil, []), ("-c", ["-c"], nil, []), ("-cx list", ["-cx"], "list", []),
        ] as [(String, [String], String?, [String])])
    func words(line: String, global: [String], command: String?, rest: [String]) {
        let words = CommandLineWords(line.split(separator: " ").map(String.init))
        #expect(words.global == global)
        #expect(words.command == command)
        #expect(words.rest == rest)
    }

    @Test(arguments: [(150_018, "15.18"), (90_624, "9.6.24"), (170_000, "17.0")] as [(Int64, String)])
    func versions(number: Int64, text: String) { #expect(VersionCommand.text(server: number) == text) }

    @Test func times() {
        let noon: Int64 = 1_767_268_800_123_456_789
        #expect(LocalTime.event(noon).hasSuffix(":00.12345"), "five digits, cut and not rounded")
        #expect(LocalTime.milliseconds(noon).hasSuffix(":00,123"))
    }
}
