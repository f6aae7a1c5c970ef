import ClusterModel
import HighAvailability
import Testing

/// A control file that tells nothing: what is wrong is said, nothing is removed for it, and once it is mended the node
/// goes on by itself.
@Suite struct ControlFileTests {
    static let path = "/data/global/pg_control"
    static let following = StoppedAndDivergedTests.following

    static func without(
        _ trouble: PostgreSQLStatus.ControlTrouble?, _ change: (inout PostgreSQLStatus) -> Void = { _ in }
    ) -> PostgreSQLStatus {
        var status = Scene.stopped(standbySignal: true)
        status.systemIdentifier = nil
        status.control = nil
        status.controlTrouble = trouble
        change(&status)
        return status
    }

    static let rows: [Row] = [
        Row(
            description: "a standby without it waits",
            seen: Scene.seen(following, without(.missing(path))), expected: .action(.wait),
            because: ["control-file-missing"]),
        Row(
            description: "with one that is cut off, too",
            seen: Scene.seen(following, without(.damaged("\(path): it has 100 bytes"))), expected: .action(.wait),
            because: ["control-file-damaged"]),
        Row(
            description: "and with one that the disk does not give",
            seen: Scene.seen(following, without(.unreadable("Input/output error"))), expected: .action(.wait),
            because: ["control-file-unreadable"]),
        Row(
            description: "or that nobody could ask",
            seen: Scene.seen(following, without(.notAsked("timed out: pg_controldata"))), expected: .action(.wait),
            because: ["control-file-not-asked"]),
        Row(
            description: "who leads gives the key to somebody who can",
            seen: Scene.seen(Scene.view(leader: "n1"), without(.unreadable("Permission denied")), renewal: .held),
            expected: LeaderKeyTests.ended, because: ["control-file-unreadable", "sessions-may-go-on"]),
        Row(
            description: "mended, the node goes on",
            seen: Scene.seen(following, Scene.stopped(standbySignal: true)), expected: .plan(.startStandby),
            because: ["not-running", "must-follow"]),
        Row(
            description: "a server that starts, and may accept writes, is ended where another leads",
            seen: Scene.seen(
                following,
                without(.unreadable("Input/output error")) {
                    $0.postmaster = 100
                    $0.readiness = .rejecting
                    $0.hasStandbySignal = false
                }), expected: .plan(.demote), because: ["primary-without-lease"]),
        Row(
            description: "a bootstrap that was broken off says so, too",
            seen: Scene.seen(Scene.view(), without(.missing(path)) { $0.unfinished = .bootstrap }),
            expected: .action(.wait), because: ["control-file-missing"]),
        Row(
            description: "after a rewind that was broken off a file that is damaged lets a copy replace it",
            seen: Scene.seen(
                following, without(.damaged("\(path): its checksum is wrong")) { removable(&$0) },
                divergence: nothingHere),
            expected: .plan(.reclone), because: ["rewind-broken-off", "rewind-failed"]),
        Row(
            description: "not before its source has answered",
            seen: Scene.seen(
                following, without(.missing(path)) { removable(&$0) },
                divergence: .unavailable("connection refused")),
            expected: .action(.wait), because: ["rewind-broken-off", "divergence-unknown"]),
        Row(
            description: "nor without permission",
            seen: Scene.seen(
                following, without(.missing(path)) { $0.unfinished = .rewind }, divergence: nothingHere),
            expected: .action(.wait), because: ["rewind-broken-off", "rewind-failed", "directory-kept"]),
        Row(
            description: "one that could only not be read does not",
            seen: Scene.seen(
                following, without(.unreadable("Permission denied")) { removable(&$0) },
                divergence: StoppedAndDivergedTests.same),
            expected: .action(.wait), because: ["rewind-broken-off", "control-file-unreadable"]),
        Row(
            description: "nor a program that is late",
            seen: Scene.seen(
                following, without(.notAsked("timed out: pg_controldata")) { removable(&$0) },
                divergence: StoppedAndDivergedTests.same),
            expected: .action(.wait), because: ["rewind-broken-off", "control-file-not-asked"]),
    ]

    /// As the controller answers where nothing can be known of what stands here.
    static let nothingHere = Observation.Divergence.facts(StoppedAndDivergedTests.facts(0, local: 0))

    static func removable(_ status: inout PostgreSQLStatus) {
        status.unfinished = .rewind
        status.mayRemove.onRewindFailure = true
    }

    @Test(arguments: rows) func decides(_ row: Row) { row.check() }

    static let remedies: [(PostgreSQLStatus.ControlTrouble, [String])] = [
        (.missing(path), ["\(path) is missing", "backup", "/reinitialize"]),
        (.damaged("\(path): it has 3 bytes"), ["it has 3 bytes", "backup", "/reinitialize"]),
        (.unreadable("Permission denied"), ["Permission denied", "user of PostgreSQL", "disk"]),
        (.notAsked("there is no such program"), ["no such program", "postgresql.bin_dir"]),
    ]

    @Test(arguments: remedies) func saysWhatToDo(_ trouble: PostgreSQLStatus.ControlTrouble, _ texts: [String]) {
        let need = Scene.decided(Scene.seen(Self.following, Self.without(trouble))).0.needsOperator
        for text in texts { #expect(need?.contains(text) == true, "\(text): \(need ?? "nothing")") }
    }

    @Test func aHalfRewoundDirectoryThatIsKeptNeedsHands() {
        let left = Self.without(.missing(Self.path)) { $0.unfinished = .rewind }
        let seen = Scene.seen(Self.following, left, divergence: Self.nothingHere)
        #expect(Scene.decided(seen).0.needsOperator?.contains("remove_data_directory_on_rewind_failure") == true)
    }

    @Test func anInvalidIdentifierNeedsHandsToo() {
        let seen = Scene.seen(Self.following, LeaderAndFollowerTests.unidentified())
        #expect(Scene.decided(seen).0.needsOperator?.contains("/reinitialize") == true)
    }
}
