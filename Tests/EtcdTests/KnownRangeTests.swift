import ClusterModel
import Testing

@testable import Etcd

/// What was read before, with what an answer says has changed.
@Suite struct KnownRangeTests {
    private static let start = BootInstant(nanoseconds: 0)

    private func range(_ revision: Int64, _ pairs: [(String, Int64)], count: Int64? = nil, term: Int = 2) throws
        -> EtcdRange
    {
        let entries = pairs.map { key, revision in
            JSONValue.object([
                "key": .string(Base64.encode(key)), "value": .string(Base64.encode("v\(revision)")),
                "mod_revision": .string(String(revision)),
            ])
        }
        let header: JSONObject = [
            "cluster_id": "1", "member_id": "1", "raft_term": .string(String(term)),
            "revision": .string(String(revision)),
        ]
        let reply: JSONObject = [
            "header": .object(header), "kvs": .array(entries), "count": .string(String(count ?? Int64(pairs.count))),
        ]
        return try #require(EtcdRange(reply))
    }

    private func known() throws -> KnownRange {
        KnownRange(try range(10, [("a", 3), ("b", 9)]), life: 0, at: Self.start)
    }

    /// Revision, changes and count of an answer, and the revisions of a, b and c then; nil where all is to be read.
    private typealias Row = (revision: Int64, changes: [(String, Int64)], count: Int64, expected: [Int64]?)

    @Test func changesAreMerged() throws {
        let rows: [Row] = [
            (10, [], 2, [3, 9]),
            // Somebody else's keys.
            (50, [], 2, [3, 9]),
            (12, [("a", 12)], 2, [12, 9]),
            (12, [("c", 11), ("b", 12)], 3, [3, 12, 11]),
            // Removed.
            (11, [], 1, nil),
            // Removed, and another put.
            (12, [("c", 12)], 2, nil),
            // Removed and put again.
            (12, [("a", 12)], 2, [12, 9]),
            // An answer of before, and one that holds what was not asked for.
            (9, [], 2, nil),
            (12, [("a", 3)], 2, nil),
        ]
        for row in rows {
            let merged = try known().with(try range(row.revision, row.changes, count: row.count), life: 0)
            #expect(merged?.pairs.map(\.revision) == row.expected, "\(row)")
            #expect(merged.map { $0.revision == row.revision } ?? true)
        }
    }

    @Test func aNewLifeIsReadWhole() throws {
        #expect(try known().with(try range(12, [], count: 2), life: 1) == nil)
        // A store that was set back and has been written to since.
        #expect(try known().with(try range(12, [], count: 2, term: 3), life: 0) == nil)
    }

    @Test func itIsReadWholeFromTimeToTime() throws {
        let merged = try #require(try known().with(try range(12, [], count: 2), life: 0))
        #expect(!merged.isDue(at: Self.start + .seconds(119)))
        #expect(merged.isDue(at: Self.start + .seconds(120)))
    }
}
