import ClusterModel
import Testing

/// Patroni's *patch* and *deep-compare* (configuration.md §1.3, §2.5).
@Suite struct PatchTests {
    static let patches: [(JSONObject, JSONObject, JSONObject, Bool)] = [
        (["a": 1], ["b": 2], ["a": 1, "b": 2], true),
        (["a": 1], ["a": .null], [:], true),
        (["a": 1], ["b": .null], ["a": 1], false),
        (["a": 1], ["a": "1"], ["a": 1], false),
        (["a": 1], ["a": 2], ["a": 2], true),
        (["a": true], ["a": "true"], ["a": "true"], true),
        (["a": ["x": 1, "y": 2]], ["a": ["x": .null]], ["a": ["y": 2]], true),
        (["a": ["x": 1]], ["a": ["x": 1]], ["a": ["x": 1]], false),
        (["a": [1, 2]], ["a": [1, 2]], ["a": [1, 2]], false),
        (["a": [1, 2]], ["a": [2]], ["a": [2]], true),
        (["a": ["x": 1]], ["a": 5], ["a": 5], true),
        ([:], ["a": ["x": .null]], ["a": ["x": .null]], true),
    ]

    @Test(arguments: patches) func merges(
        _ before: JSONObject, _ patch: JSONObject, _ after: JSONObject, _ changes: Bool
    ) {
        var object = before
        #expect(object.apply(patch: patch) == changes)
        #expect(object == after)
    }

    static let comparisons: [(JSONValue, JSONValue, Bool)] = [
        (2, "2", true), (true, "true", false), (true, "True", true), (.null, "None", true),
        (["a": 1], ["a": "1"], true),
        (["a": 1], ["a": 1, "b": 2], false), (["a": 1, "b": 2], ["b": 2, "a": 1], true), ([1, 2], [1, 2], true),
        ([1, 2], [2, 1], false), (["a": 1], "{'a': 1}", false),
    ]

    @Test(arguments: comparisons) func compares(_ left: JSONValue, _ right: JSONValue, _ same: Bool) {
        #expect(left.deepEquals(right) == same)
        #expect(right.deepEquals(left) == same)
    }

    @Test func aKeyKeepsItsPlace() {
        var object: JSONObject = ["a": 1, "b": 2, "c": 3]
        object["b"] = 5
        object["d"] = 6
        object["a"] = nil
        #expect(object.keys == ["b", "c", "d"])
        #expect(JSONObject([("a", 1), ("a", 2)]) == ["a": 2])
    }
}
