import ClusterModel
import Testing

/// What is written to the store is read by every node: no size of it may take a time that grows faster than it does.
/// Where it did, these would not end within the limit.
@Suite(.timeLimit(.minutes(1))) struct LargeObjectTests {
    private static let count = 100_000

    private func object(_ value: JSONValue, _ range: Range<Int> = 0..<count) -> JSONObject {
        JSONObject(range.map { ("key\($0)", value) })
    }

    @Test func setsMergesComparesAndRemoves() {
        var object = object(1)
        for index in 0..<Self.count { object["key\(index)"] = 2 }
        #expect(object.count == Self.count && object["key99999"] == 2)
        let half = Self.count / 2
        let isMerged = object.apply(patch: self.object(3, half..<(2 * Self.count)))
        #expect(isMerged)
        #expect(object.count == 2 * Self.count && object["key0"] == 2 && object["key199999"] == 3)
        #expect(JSONValue.object(object).deepEquals(.object(object)))
        let isRemoved = object.apply(patch: self.object(.null, 0..<half))
        #expect(isRemoved)
        #expect(object.count == 2 * Self.count - half && object["key0"] == nil)
        #expect(object.members.first?.key == "key\(half)")
        let isRemovedAgain = object.apply(patch: self.object(.null, 0..<half))
        #expect(!isRemovedAgain)
    }

    @Test func nestedObjectsChangeInPlace() {
        var object: JSONObject = ["a": ["b": .object(object(1))]]
        for index in 0..<Self.count {
            object.change("a") { section in
                var inner = section?.object ?? JSONObject()
                section = nil
                inner.change("b") { $0.change("key\(index)", to: 2) }
                section = .object(inner)
            }
        }
        #expect(object["a"]?["b"]?["key500"] == 2)
    }

    /// Few or many: the same order, the same answers.
    @Test(arguments: [3, 16, 17, 40]) func keepsOrderAndPlaces(_ count: Int) {
        var object = object(0, 0..<count)
        object["key1"] = nil
        #expect(object.keys == (0..<count).filter { $0 != 1 }.map { "key\($0)" })
        object["key1"] = 7
        #expect(object.keys.last == "key1" && object["key1"] == 7 && object["none"] == nil)
        for key in object.keys { object[key] = nil }
        #expect(object.isEmpty)
        #expect(JSONObject([("a", 1), ("b", 2), ("a", 3)]) == ["a": 3, "b": 2])
        #expect(Set([self.object(1, 0..<20), self.object(1, 0..<20)]).count == 1)
    }
}

extension JSONValue? {
    fileprivate mutating func change(_ key: String, to value: JSONValue) {
        var object = self?.object ?? JSONObject()
        self = nil
        object[key] = value
        self = .object(object)
    }
}
