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
        #expect(!merged.isDue(at: Self.start + .seconds(599)))
        #expect(merged.isDue(at: Self.start + .seconds(600)))
    }

    // MARK: What the watch has told

    private static let keys = EtcdKeys(namespace: "service", scope: "lab", name: "n1")

    private func event(_ leaf: String, _ revision: Int64, deleted: Bool = false) throws -> EtcdEvent {
        let pair: JSONObject = [
            "key": .string(Base64.encode(Self.keys.prefix + leaf)), "value": .string(Base64.encode("v\(revision)")),
            "mod_revision": .string(String(revision)), "lease": "7",
        ]
        return try #require(EtcdEvent(["type": deleted ? "DELETE" : "PUT", "kv": .object(pair)]))
    }

    @Test func whatMembersPublishNeedNotBeRead() throws {
        let known = try known()
        let told = try #require(
            known.with([try event("members/n2", 11), try event("status", 12)], upTo: 12, Self.keys))
        #expect(told.revision == 12)
        #expect(told.pairs.map(\.revision) == [11, 12, 3, 9])
        #expect(told.pairs.first?.lease == "7")
        for leaf in ["leader", "failover", "config", "sync", "initialize", "history", "failsafe"] {
            #expect(known.with([try event(leaf, 11)], upTo: 11, Self.keys) == nil, "\(leaf) is read")
        }
        #expect(known.with([try event("members/n2", 11, deleted: true)], upTo: 11, Self.keys) == nil)
    }

    /// Where the watch begins, what it tells, and what is asked for: after and up to a revision, in a life.
    @Test func nothingIsLeftOut() throws {
        let changes = WatchedChanges()
        #expect(changes.events(after: 10, upTo: 11, life: 0) == nil)
        changes.note([try event("status", 11)])
        #expect(changes.events(after: 10, upTo: 11, life: 0) == nil, "it has no place")
        changes.begin(after: 10, life: 1)
        changes.note([try event("status", 11), try event("members/n2", 13)])
        #expect(changes.events(after: 10, upTo: 13, life: 1)?.map(\.revision) == [11, 13])
        #expect(changes.events(after: 11, upTo: 13, life: 1)?.map(\.revision) == [13])
        #expect(changes.events(after: 9, upTo: 13, life: 1) == nil, "it began later")
        #expect(changes.events(after: 10, upTo: 12, life: 1) == nil, "it is ahead")
        #expect(changes.events(after: 10, upTo: 14, life: 1) == nil, "it is behind")
        #expect(changes.events(after: 10, upTo: 13, life: 0) == nil)
        changes.lose()
        #expect(changes.events(after: 10, upTo: 13, life: 1) == nil)
    }

    @Test func whatIsKeptIsBounded() throws {
        let changes = WatchedChanges()
        changes.begin(after: 0, life: 0)
        let count = Int64(WatchedChanges.eventsMax)
        // Two of one revision: where one has to go, so does the other.
        changes.note([try event("status", 1), try event("members/n2", 1)])
        for revision in 2...count { changes.note([try event("status", revision)]) }
        #expect(changes.events(after: 0, upTo: count, life: 0) == nil)
        #expect(changes.events(after: 1, upTo: count, life: 0)?.count == Int(count) - 1)
    }
}
