import ClusterModel
import Configuration
import Testing

@Suite struct YAMLTests {
    /// What PyYAML's safe loader makes of the same texts.
    @Test(
        arguments: [
            ("on", true), ("off", false), ("yes", true), ("no", false), ("NO", false), ("On", true), ("y", "y"),
            ("n", "n"),
            ("oN", "oN"), ("tRUE", "tRUE"), ("~", .null), ("null", .null), ("Null", .null),
            ("NULL", .null), ("nUll", "nUll"),
            ("", .null), ("0644", 420), ("0o644", "0o644"), ("22:22", 1342), ("1:30:15", 5415), ("-1:30", -90),
            ("1:60", "1:60"),
            ("01:30", "01:30"), ("1_000", 1000), ("1_", 1), ("_1", "_1"), ("0_7", 7), ("0_", 0), ("0x1F", 31),
            ("-0x10", -16),
            ("0x_1", 1), ("0x", "0x"), ("0b101", 5), ("0b2", "0b2"), ("089", "089"), ("007", 7), ("00", 0), ("0", 0),
            ("-0", 0), ("+5", 5), ("-17", -17), ("2020-01-01", "2020-01-01"), ("1e3", "1e3"), ("1e+3", "1e+3"),
            ("1.0e+3", 1000.0), ("1.e+3", 1000.0), (".5", 0.5), ("-.5", "-.5"), ("+.5", "+.5"), ("1.", 1.0),
            ("0.", 0.0),
            ("1_0.5", 10.5), (".1_5", 0.15), ("._5", "._5"), (".5e+1", 5.0), (".5e1", ".5e1"),
            ("190:20:30.15", 685_230.15),
            ("-1:30.5", -90.5), ("6.8523015e+5", 685_230.15), (".inf", .double(.infinity)),
            ("-.inf", .double(-.infinity)),
            ("10.0.0.1:2379", "10.0.0.1:2379"), ("9223372036854775807", .int(.max)),
            ("-9223372036854775808", .int(.min)),
            ("-", "-"), ("\"on\"", "on"), ("'5432'", "5432"), ("!!str 5", "5"), ("!!int \"5\"", 5), ("!!float 5", 5.0),
            ("! yes", "yes"), ("=", "="),
        ] as [(String, JSONValue)])
    func scalar(text: String, expected: JSONValue) throws {
        // A lone dash would start a list where it stands after a key.
        let value =
            text == "-" ? try YAML.parse("[\(text)]").value.array?.first : try YAML.parse("k: \(text)").value["k"]
        #expect(value == expected)
    }

    @Test func notANumberIsReadAsSuch() throws {
        let value = try YAML.parse("k: .nan").value["k"]
        #expect(value?.comparableText == "nan")
    }

    @Test func keysKeepTheirOrderAndTheLastValueCounts() throws {
        let value = try YAML.parse("b: 1\na: 2\nb: 3\n5: x\non: y\n").value
        #expect(value.object?.keys == ["b", "a", "5", "true"])
        #expect(value["b"] == 3)
    }

    @Test func anchorsAndMerge() throws {
        let text = """
            base: &base {a: 1, b: 2}
            other: &other {b: 3, c: 4}
            one:
              b: 9
              <<: *base
            both:
              <<: [*base, *other]
              d: 5
            list: &list [1, 2]
            same: *list
            quoted: {"<<": 1}
            """
        let value = try YAML.parse(text).value
        #expect(value["one"] == ["a": 1, "b": 9])
        #expect(value["both"]?["b"] == 2)
        #expect(value["both"]?["c"] == 4)
        #expect(value["same"] == [1, 2])
        #expect(value["quoted"] == ["<<": 1])
    }

    @Test func blocks() throws {
        let value = try YAML.parse("a: |\n  one\n  two\nb: >-\n  one\n  two\nc:\n- x\n- y: z\n").value
        #expect(value == ["a": "one\ntwo\n", "b": "one two", "c": ["x", ["y": "z"]]])
    }

    @Test func marksTellWhereKeysStand() throws {
        let marks = try YAML.parse("a: 1\nb:\n  c:\n  - x\n  - y\n").marks
        #expect(marks[SettingPath(["a"])]?.line == 1)
        #expect(marks[SettingPath(["b", "c"])] == marks[SettingPath(dotted: "b.c")])
        #expect(marks[SettingPath(dotted: "b.c")]?.line == 3)
        #expect(marks[SettingPath(dotted: "b.c")]?.column == 3)
        #expect(marks[SettingPath(dotted: "b.c.1")]?.line == 5)
    }

    @Test(arguments: [
        ("a: [1, 2\nb: 3\n", 2), ("a: b: c\n", 1), ("\ta: 1\n", 1), ("a: *nowhere\n", 1), ("a: 1\n---\nb: 2\n", 2),
        ("a: !!python/object x\n", 1), ("? [a]\n: 1\n", 1), ("a: &x\n  b: *x\n", 2), ("<<: 5\n", 1),
        ("a: !!int x\n", 1),
    ])
    func malformed(text: String, line: Int) {
        let error = #expect(throws: YAMLError.self) { try YAML.parse(text) }
        #expect(error?.mark.line == line)
    }

    @Test func bytesThatAreNoTextAreRefused() {
        #expect(throws: YAMLError.self) { try YAML.parse(bytes: [0x61, 0x3A, 0x20, 0xFF, 0xFE]) }
        #expect(throws: YAMLError.self) { try YAML.parse("a: \u{1}") }
    }

    /// Where it is that a text is none; libyaml tells no place of it.
    @Test(
        arguments: [
            ([0xFF], 1, 4), (Array("x\nb: c".utf8) + [0xE4, 0x0A], 2, 5), (Array("x\n\n\u{1}".utf8), 3, 1),
        ] as [([UInt8], Int, Int)])
    func whereBytesAreNoText(bytes: [UInt8], line: Int, column: Int) {
        let error = #expect(throws: YAMLError.self) { try YAML.parse(bytes: Array("a: ".utf8) + bytes) }
        #expect(error?.mark.line == line && error?.mark.column == column, "\(String(describing: error))")
    }

    @Test func aTabIsNamed() {
        let error = #expect(throws: YAMLError.self) { try YAML.parse("a:\n  b: 1\n\tc: 2\n") }
        #expect(error?.mark.line == 3 && error?.message.contains("tab") == true, "\(String(describing: error))")
        let other = #expect(throws: YAMLError.self) { try YAML.parse("a: [1\nb: 2\n") }
        #expect(other?.message.contains("tab") == false)
    }

    @Test func aliasesDoNotMultiplyWithoutBound() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let alias = "*a\(level - 1)"
            text += "a\(level): &a\(level) [" + Array(repeating: alias, count: 10).joined(separator: ", ") + "]\n"
        }
        let error = #expect(throws: YAMLError.self) { try YAML.parse(text) }
        #expect(error?.message.contains("more than") == true)
    }

    @Test func depthIsBounded() {
        let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        #expect(throws: YAMLError.self) { try YAML.parse(deep) }
        #expect(throws: Never.self) {
            try YAML.parse(String(repeating: "[", count: 40) + String(repeating: "]", count: 40))
        }
    }

    @Test func sizeIsBounded() {
        #expect(throws: YAMLError.self) { try YAML.parse(bytes: Array(repeating: 0x20, count: (4 << 20) + 1)) }
    }

    @Test func emptyTextIsNothing() throws {
        #expect(try YAML.parse("").value == .null)
        #expect(try YAML.parse("# only words\n").value == .null)
    }
}
