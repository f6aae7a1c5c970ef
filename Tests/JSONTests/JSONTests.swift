import ClusterModel
import JSON
import Testing

@Suite struct JSONTests {
    @Test func keysKeepTheirOrder() throws {
        let text = #"{"z": 1, "a": {"y": null, "b": [true, false]}, "m": "x"}"#
        let value = try JSON.parse(text)
        #expect(value.object?.keys == ["z", "a", "m"])
        #expect(JSON.text(value) == text)
    }

    @Test(
        arguments: [
            (
                ["a": 1, "b": [1, 2], "c": .object([:]), "d": []], #"{"a":1,"b":[1,2],"c":{},"d":[]}"#,
                #"{"a": 1, "b": [1, 2], "c": {}, "d": []}"#
            ),
            (.null, "null", "null"), (true, "true", "true"), ("x", "\"x\"", "\"x\""), (-5, "-5", "-5"),
            ([.null, "a"], #"[null,"a"]"#, #"[null, "a"]"#),
        ] as [(JSONValue, String, String)])
    func separators(value: JSONValue, compact: String, spaced: String) {
        #expect(JSON.text(value, .compact) == compact)
        #expect(JSON.text(value, .spaced) == spaced)
    }

    @Test(arguments: [
        ("é", #""\u00E9""#), ("😀", #""\uD83D\uDE00""#), ("a\"b\\c/d", #""a\"b\\c/d""#),
        ("\n\t\r\u{8}\u{C}", #""\n\t\r\b\f""#),
        ("\u{0}\u{1F}", #""\u0000\u001F""#), ("", "\"\""), ("\u{7F}", "\"\u{7F}\""),
    ])
    func escapes(text: String, expected: String) throws {
        let written = JSON.text(.string(text))
        #expect(written.lowercased() == expected.lowercased())
        #expect(try JSON.parse(written) == .string(text))
    }

    @Test(
        arguments: [
            ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)), ("0", 0), ("-0", 0),
            ("1.5", 1.5),
            ("1e3", 1000.0), ("10.0", 10.0), (" 7 ", 7), ("\t\n[1]\r\n", [1]), (#""\u00e9\ud83d\ude00""#, "é😀"),
            ("{}", [:]),
            (#"{"a": 1, "a": 2}"#, ["a": 2]), ("5", 5), ("\"5\"", "5"),
        ] as [(String, JSONValue)])
    func parsed(text: String, expected: JSONValue) throws {
        #expect(try JSON.parse(text) == expected)
    }

    @Test(arguments: [(1.4, "1.4"), (0.1, "0.1"), (10, "10.0"), (-2.5, "-2.5"), (.nan, "null"), (.infinity, "null")])
    func reals(value: Double, text: String) {
        #expect(JSON.text(.double(value)) == text)
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\"}", "{a: 1}", "'x'", "tru", "01", "1.", "+1", "\"\\x\"", "\"a", "[1] 2", "NaN",
        "9223372036854775808", "{\"a\": 1,}", "\"\u{1}\"", "\u{FEFF}1",
    ])
    func malformed(text: String) {
        #expect(throws: JSON.SyntaxError.self) { try JSON.parse(text) }
    }

    @Test func malformedBytes() {
        #expect(throws: JSON.SyntaxError.self) { try JSON.parse(bytes: [0x22, 0xFF, 0x22]) }
        #expect(throws: JSON.SyntaxError.self) { try JSON.parse(bytes: [0x22, 0xED, 0xA0, 0x80, 0x22]) }
        #expect(throws: JSON.SyntaxError.self) { try JSON.parse(bytes: [0x31, 0x00]) }
    }

    @Test func errorsTellWhere() {
        let error = #expect(throws: JSON.SyntaxError.self) { try JSON.parse("{\n  \"a\": x\n}") }
        #expect(error?.line == 2)
        let rest = #expect(throws: JSON.SyntaxError.self) { try JSON.parse("{}\n\n  {}") }
        #expect(rest?.line == 3)
        #expect(rest?.column == 3)
        #expect(rest?.position == 6)
    }

    @Test func documentsOneAfterAnother() throws {
        var bytes = Array("{\"a\":1}\n[2] \"x\"{".utf8)
        var values: [JSONValue] = []
        while let (value, consumed) = try? JSON.parsePrefix(bytes: bytes) {
            values.append(value)
            bytes.removeFirst(consumed)
        }
        #expect(values == [["a": 1], [2], "x"])
        #expect(bytes == Array("{".utf8))
    }

    /// Bounded by the reader, so that nesting cannot end the process.
    @Test func nestingIsBounded() {
        let deep = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(throws: Never.self) { try JSON.parse(deep(1000)) }
        #expect(throws: JSON.SyntaxError.self) { try JSON.parse(deep(100_000)) }
    }

    @Test func whatIsWrittenReadsBack() throws {
        let value: JSONValue = [
            "conn_url": "postgres://10.0.0.1:5432/postgres", "tags": ["nofailover": true, "p": "1"],
            "xlog": 123_456_789_012,
            "none": .null, "list": [1, [2, ["k": "ü"]]],
        ]
        for style in [JSON.Style.compact, .spaced] { #expect(try JSON.parse(JSON.text(value, style)) == value) }
    }
}
