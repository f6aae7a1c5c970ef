import ClusterModel
import Configuration
import Testing

/// YAML as Patroni's tools write it (ctl.md §4): what is written is read again as what it was.
@Suite struct YAMLWriterTests {
    @Test(
        arguments: [
            (["b": 1, "a": ["x", 2]], "a:\n- x\n- 2\nb: 1\n"), (["a": [:], "b": []], "a: {}\nb: []\n"),
            (["on": "on", "n": .null, "t": true], "n: null\n'on': 'on'\nt: true\n"),
            (
                ["d": "2020-01-01", "s": "007", "l": "12345678901234567890"],
                "d: '2020-01-01'\nl: '12345678901234567890'\ns: '007'\n"
            ),
            (["e": "", "h": "#c", "c": "a: b", "u": "é"], "c: 'a: b'\ne: ''\nh: '#c'\nu: é\n"),
            (["f": 1.5, "g": 1e17, "m": "="], "f: 1.5\ng: 1.0e+17\nm: '='\n"),
            (["a": [["b": 1, "c": 2]]], "a:\n- b: 1\n  c: 2\n"), (["a": "\u{1F600}x"], "a: \u{1F600}x\n"),
            (
                ["a": "2001-12-14t21:59:43.10-05:00", "b": "2001-1-2"],
                "a: '2001-12-14t21:59:43.10-05:00'\nb: 2001-1-2\n"
            ),
        ] as [(JSONValue, String)])
    func written(value: JSONValue, text: String) throws {
        #expect(YAML.text(value) == text)
        #expect(try YAML.parse(text).value.deepEquals(value))
    }

    @Test func flow() {
        #expect(YAML.text(["b": "x", "a": 1], .flow) == "{a: 1, b: x}\n")
    }
}
