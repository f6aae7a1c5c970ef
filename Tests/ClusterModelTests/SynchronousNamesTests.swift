import ClusterModel
import Testing

@Suite struct SynchronousNamesTests {
    static let texts: [(SynchronousNames, String)] = [
        (.nobody, ""), (.init(.priority, 1, ["a"]), "a"), (.init(.priority, 2, ["b", "a"]), "2 (a,b)"),
        (.init(.quorum, 1, ["a"]), "ANY 1 (a)"), (.init(.quorum, 1, ["b", "a-1"]), "ANY 1 (\"a-1\",b)"),
        (.init(.priority, 1, ["Any"]), "\"Any\""), (.init(.priority, 1, ["first"]), "\"first\""),
        (.init(.priority, 1, ["1a"]), "\"1a\""), (.init(.priority, 1, ["a$1"]), "a$1"),
        (.init(.priority, 1, ["a\"b"]), "\"a\"\"b\""), (.init(.priority, 1, ["é"]), "\"é\""),
        (.init(.priority, 3, ["a"]), "a"), (.init(.quorum, 0, ["a"]), ""),
        (.waiting(.priority), "__patroni_strict_sync_replica_placeholder__"),
        (.waiting(.quorum), "ANY 1 (__patroni_strict_sync_replica_placeholder__)"),
    ]

    @Test(arguments: texts) func isWrittenAndRead(_ names: SynchronousNames, _ text: String) {
        #expect(names.text == text)
        #expect(SynchronousNames(text) == names)
    }

    static let foreign: [(String, SynchronousNames?)] = [
        ("FIRST 2 (a, b, c)", .init(.priority, 2, ["a", "b", "c"])),
        ("any 1(a,\"b c\")", .init(.quorum, 1, ["a", "b c"])),
        ("a, b", .init(.priority, 1, ["a", "b"])), ("*", .init(.priority, 1, ["*"])), ("  ", .nobody),
        ("first", .init(.priority, 1, ["first"])), ("any, b", .init(.priority, 1, ["any", "b"])),
        ("a b", nil), ("1 (a", nil), ("1 ()", nil), ("a,", nil), ("\"a", nil), ("0 (a)", nil), ("a;b", nil),
        ("2 (a)", .init(.priority, 1, ["a"])),
    ]

    @Test(arguments: foreign) func othersAreReadAsPostgreSQLDoes(_ text: String, _ names: SynchronousNames?) {
        #expect(SynchronousNames(text) == names)
    }

    @Test(arguments: [
        ("n 2", true), ("~", true), ("", false), ("a,b", false), (" n", false), ("n ", false), ("n\t2", false),
        ("é", false), ("\u{7F}", false),
    ]) func whatCanBeNamed(_ name: String, _ can: Bool) { #expect(SynchronousNames.canName(name) == can) }

    /// dcs.md §2.8.
    @Test func syncIsWrittenAsPeersReadIt() {
        let state = SyncState(leader: "n2", voters: ["n3", "n1"], quorum: 1)
        #expect(state.json["sync_standby"] == "n1,n3")
        #expect(state.json["quorum"] == 1)
        #expect(SyncState(leader: "n2").json["sync_standby"] == .null)
    }
}
