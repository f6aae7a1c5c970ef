import ClusterModel
import Processes
import Testing

@testable import PostgreSQL

/// What a stop waits for, as tables.
@Suite("What holds a stop up")
struct HoldupTests {
    struct Row: Sendable, CustomStringConvertible {
        let description: String
        var processes: [(String, Character)] = []
        var senders: [String] = []
        var isWritten = false
        let expected: Holdup.Cause?
        var named = ""

        var holdup: Holdup? {
            let processes = processes.enumerated().map {
                Holdup.Part(pid: Int32(100 + $0.offset), title: $0.element.0, state: $0.element.1)
            }
            return Holdup(processes, senders: senders, hasWrittenLastRecord: isWritten)
        }
    }

    static let sender = "walsender 7 of n2"
    static let sending: (String, Character) = ("walsender replicator 127.0.0.1(5) streaming 0/3000000", "S")

    static let rows: [Row] = [
        Row(description: "nobody", expected: nil),
        Row(
            description: "sessions come before all that waits for their end",
            processes: [("checkpointer", "S"), ("app db 10.0.0.1(9) COMMIT", "D"), sending], senders: [sender],
            expected: .processes, named: "app db 10.0.0.1(9) COMMIT (101, which waits in the kernel, as for a disk)"),
        Row(
            description: "a background writer, too", processes: [("background writer", "T"), ("checkpointer", "T")],
            expected: .processes, named: "background writer (100, which is stopped)"),
        Row(
            description: "a checkpointer that is stopped is not held up by the senders that wait for it",
            processes: [("checkpointer", "T"), sending, ("archiver", "S")], senders: [sender], expected: .checkpoint,
            named: "the shutdown checkpoint: checkpointer (100, which is stopped)"),
        Row(
            description: "nor one that waits for its disk", processes: [("checkpointer", "D"), sending],
            senders: [sender], expected: .checkpoint, named: "waits in the kernel"),
        Row(
            description: "nor one that writes",
            processes: [("checkpointer performing shutdown checkpoint", "S"), sending], senders: [sender],
            expected: .checkpoint, named: "checkpointer performing shutdown checkpoint (100)"),
        Row(
            description: "nor that of a standby", processes: [("checkpointer performing shutdown restartpoint", "R")],
            expected: .checkpoint),
        Row(
            description: "before it begins it waits for the senders", processes: [("checkpointer", "S"), sending],
            senders: [sender], expected: .senders, named: sender),
        Row(
            description: "without any it is at its work", processes: [("checkpointer", "S"), ("archiver", "S")],
            expected: .checkpoint),
        Row(
            description: "after the last record the senders send it",
            processes: [("checkpointer", "T"), sending, ("archiver", "S")], senders: [sender], isWritten: true,
            expected: .senders, named: sender),
        Row(
            description: "the archiver comes last",
            processes: [("checkpointer", "S"), ("archiver archiving 000000010000000000000003", "S")], isWritten: true,
            expected: .archiver, named: "archiver archiving 000000010000000000000003 (101)"),
        Row(
            description: "or whatever is left", processes: [("logger", "S")], isWritten: true, expected: .rest,
            named: "logger (100)"),
    ]

    /// One segment after another is progress, however long all of them take.
    @Test func anArchiverHangsOnOneSegment() {
        var watch = ArchiverWatch()
        let began = BootInstant(nanoseconds: 0)
        for second in 0..<100 {
            watch.see((second / 20..<9).map { "\($0)" }, at: began + .seconds(second))
            #expect(!watch.hasHung(for: .seconds(20), at: began + .seconds(second)), "\(second)")
        }
        #expect(watch.stillSince == began + .seconds(80))
        #expect(!watch.hasHung(for: .seconds(20), at: began + .milliseconds(99_999)))
        #expect(watch.hasHung(for: .seconds(20), at: began + .seconds(100)))
        #expect(!ArchiverWatch().hasHung(for: .zero, at: began))
    }

    @Test(arguments: rows) func isNamed(_ row: Row) {
        let holdup = row.holdup
        #expect(holdup?.cause == row.expected, "\(row)")
        #expect(row.named.isEmpty || holdup?.description.contains(row.named) == true, "\(row): \(holdup as Any)")
    }

    @Test(
        arguments: [
            ("postgres: checkpointer \0", "checkpointer"), ("postgres: demo: checkpointer ", "checkpointer"),
            ("postgres: demo: app db [local] idle\0\0", "app db [local] idle"), ("/usr/bin/postgres\0-D\0/data", nil),
            ("", nil),
        ] as [(String, String?)])
    func titles(_ commandLine: String, _ title: String?) {
        #expect(Holdup.Part.title(commandLine) == title)
    }

    // MARK: What a postmaster has left behind

    @Test(
        "Who is killed and kept by the kernel is waited for no longer, where nothing else is wanted than its silence",
        arguments: [
            ([], true, true, .ended), ([], false, true, .ended), ([(7, false)], true, false, .kill),
            ([(7, true)], true, false, .kill), ([(7, true)], true, true, .kept(7)),
            ([(7, true)], false, true, .outOfTime(7)), ([(7, true), (8, false)], true, true, .outOfTime(8)),
            ([(7, false)], true, true, .outOfTime(7)), ([(7, false)], false, true, .outOfTime(7)),
        ] as [([(Int32, Bool)], Bool, Bool, OrphanVerdict)])
    func orphans(_ found: [(Int32, Bool)], isKillEnough: Bool, isOver: Bool, expected: OrphanVerdict) {
        let orphans = found.map { Orphan(pid: $0.0, isDoomed: $0.1) }
        #expect(judge(orphans, isKillEnough: isKillEnough, isOver: isOver) == expected)
    }

    @Test("A process that is on its way out executes nothing more; one of whose threads is may")
    func exiting() throws {
        func isExiting(_ flags: Int, threads: Int) throws -> Bool {
            let rest = "D 42 1 1 0 -1 \(flags) 1 0 0 0 0 0 0 0 20 0 \(threads) 0 12345 1 2"
            return try #require(ProcessTable.Stat("7 (postgres) \(rest)")).isExiting
        }
        #expect(try isExiting(4_194_564, threads: 1))
        #expect(try !isExiting(4_194_560, threads: 1))
        #expect(try !isExiting(4_194_564, threads: 2))
    }
}
