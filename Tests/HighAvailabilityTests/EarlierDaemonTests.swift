import ClusterModel
import HighAvailability
import Testing

/// The key of an earlier daemon, whose server may run on where this one does not look.
@Suite struct EarlierDaemonTests {
    static let empty = Scene.seen(Scene.view(leader: "n1"), Scene.empty)
    static let rows: [Row] = [
        Row(
            description: "a data directory that is empty says nothing of the server that led",
            seen: empty, memory: began(ago: 1), expected: .action(.wait),
            because: ["data-directory-empty", "sessions-may-go-on", "key-of-earlier-daemon"]),
        Row(
            description: "its guardian ends it with the lease", seen: empty, memory: began(ago: 30),
            expected: LeaderKeyTests.ended, because: ["data-directory-empty", "sessions-may-go-on"]),
        Row(
            description: "nor does one that cannot be read",
            seen: Scene.seen(
                Scene.view(leader: "n1"),
                PostgreSQLStatus(dataDirectory: .inaccessible("?"), state: .stopped, observedAt: Scene.now)),
            memory: began(ago: 29), expected: .action(.wait),
            because: ["data-directory-inaccessible", "sessions-may-go-on", "key-of-earlier-daemon"]),
        Row(
            description: "where a server has run under this daemon, the directory is the one",
            seen: empty, memory: began(ago: 1, hasRun: true), expected: LeaderKeyTests.ended,
            because: ["data-directory-empty", "sessions-may-go-on"]),
        Row(
            description: "and where the guardian of the directory has told of its lease",
            seen: empty, memory: Memory(), expected: LeaderKeyTests.ended,
            because: ["data-directory-empty", "sessions-may-go-on"]),
    ]

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    private static func began(ago seconds: Int, hasRun: Bool = false) -> Memory {
        var memory = Memory()
        memory.beganWithoutLease = Scene.now - .seconds(seconds)
        memory.hasRun = hasRun
        return memory
    }
}
