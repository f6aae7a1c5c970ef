import ClusterModel
import Configuration
import JSON
import Testing

@testable import Ctl

/// Changes of the dynamic configuration (ctl.md §12).
@Suite struct ChangeTests {
    @Test(
        arguments: [
            ("ttl=20", #"{"ttl":20,"a":{"b":1}}"#), ("a.b=", #"{"ttl":30}"#), ("a.b=null", #"{"ttl":30}"#),
            ("a.c=on", #"{"ttl":30,"a":{"b":1,"c":true}}"#), ("a.b.c=x", #"{"ttl":30,"a":{"b":{"c":"x"}}}"#),
            ("postgresql.parameters.ext.guc=1", #"{"ttl":30,"a":{"b":1},"postgresql":{"parameters":{"ext.guc":1}}}"#),
            ("x=[1, 2]", #"{"ttl":30,"a":{"b":1},"x":[1,2]}"#), ("x.y.z=", #"{"ttl":30,"a":{"b":1}}"#),
            ("a=b=c", #"{"ttl":30,"a":"b=c"}"#),
        ])
    func applied(pair: String, result: String) throws {
        var document: JSONObject = ["ttl": 30, "a": ["b": 1]]
        try SettingChange(pair).apply(to: &document)
        #expect(JSON.text(document, .compact) == result)
    }

    @Test func whatIsNoPair() {
        #expect(throws: CtlError.refused("Invalid parameter setting ttl")) { try SettingChange("ttl") }
        #expect(throws: CtlError.self) { try SettingChange("ttl={") }
    }

    @Test func differences() {
        #expect(UnifiedDiff("a\nb\n", "a\nb\n").lines == [])
        #expect(UnifiedDiff("", "a\n").lines == ["--- ", "+++ ", "@@ -0,0 +1 @@", "+a"])
        #expect(UnifiedDiff("a\n", "").lines == ["--- ", "+++ ", "@@ -1 +0,0 @@", "-a"])
        let numbers = (1...20).map { "\($0)\n" }.joined()
        let changed = numbers.replacing("\n5\n", with: "\nfive\n").replacing("\n18\n", with: "\n18\nhalf\n")
        #expect(
            UnifiedDiff(numbers, changed).lines == [
                "--- ", "+++ ", "@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8",
                "@@ -16,5 +16,6 @@", " 16", " 17", " 18", "+half", " 19", " 20",
            ])
    }
}
