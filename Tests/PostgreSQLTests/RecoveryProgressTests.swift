import ClusterModel
import Posix
import Testing

@testable import PostgreSQL

/// What a server that recovers goes by, and no file tells any more.
@Suite struct RecoveryProgressTests {
    private static let wanted = "0000000100000000000000F0"

    private func at(_ seconds: Int64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

    private func control(backup: String = "0/0", isDue: Bool = false) -> ControlDataOutput {
        ControlDataOutput(
            """
            Database system identifier:           7400000000000000001
            Database cluster state:               in archive recovery
            Latest checkpoint location:           0/3000060
            Latest checkpoint's REDO location:    0/3000028
            Latest checkpoint's REDO WAL file:    000000010000000000000003
            Latest checkpoint's TimeLineID:       1
            Backup start location:                \(backup)
            End-of-backup record required:        \(isDue ? "yes" : "no")
            Bytes per WAL segment:                16777216

            """)
    }

    /// What is known of the timeline that a standby replays at 1000: beyond its last checkpoint, and not beyond what
    /// `pg_wal` has the history of. Timeline 2 begins at 900, 3 at 1000.
    @Test(
        arguments: [
            (1, ["000000010000000000000003"], nil, 1), (1, ["00000002.history", "x"], "000000020000000000000003", 2),
            (1, ["00000002.history"], "000000010000000000000003", 1), (1, ["00000002.history"], nil, nil),
            (1, ["00000002.history"], "000000030000000000000003", nil), (2, ["00000002.history"], nil, 2),
            (2, ["00000003.history"], "000000030000000000000003", 2),
            (1, ["00000003.history"], "000000030000000000000003", nil),
            (1, ["00000004.history"], "000000040000000000000003", nil),
            (3, ["00000002.history", "00000003.history.partial"], "000000020000000000000003", 3), (nil, [], nil, nil),
            (1, nil, "000000010000000000000003", nil), (1, ["0000000A.history", "0000000G.history"], nil, nil),
        ] as [(TimelineID?, [String]?, String?, TimelineID?)])
    func whatIsReplayed(_ least: TimelineID?, _ files: [String]?, _ file: String?, _ expected: TimelineID?) {
        // Of PostgreSQL 12 and later.
        for blanks in ["  ", ""] {
            let title = file.flatMap { self.title("\(blanks)recovering \($0)") }
            #expect(file == nil || title != nil)
            let deduced = ReplayTimeline.deduced(
                least: least, walFiles: files, title: title, replayed: WALPosition(1000)
            ) { [2: WALPosition(900), 3: WALPosition(1000)][$0] }
            #expect(deduced == expected)
        }
    }

    private func title(_ words: String) -> RecoveryTitle? { RecoveryTitle("postgres: test: startup \(words)") }

    @Test func titles() {
        #expect(title("waiting for \(Self.wanted)")?.isWaiting == true)
        #expect(title("recovering \(Self.wanted)   ")?.file == Self.wanted)
        for other in ["waiting for 00000002.history", "recovering ", "", "waiting for 0000000100000000000000f0"] {
            #expect(title(other) == nil, "\(other)")
        }
        #expect(RecoveryTitle("postgres: walreceiver streaming 0/3000000") == nil)
    }

    @Test func aLabelThatHasGoneIsStillGoneBy() {
        var progress = RecoveryProgress()
        let waiting = title("waiting for \(Self.wanted)")
        #expect(progress.learn(waiting, label: Self.wanted, control(), at: at(0)) { _ in false } == nil)
        let obstacle = progress.learn(waiting, label: nil, control(), at: at(1)) { _ in false }
        #expect(obstacle == .removedBackupLabel(file: Self.wanted))
        // What was asked for has come meanwhile.
        #expect(progress.learn(waiting, label: nil, control(), at: at(2)) { _ in true } == nil)
        // PostgreSQL itself has taken the label: it has found where to begin.
        let begun = control(backup: "0/2000028", isDue: true)
        #expect(progress.learn(title("recovering \(Self.wanted)"), label: nil, begun, at: at(3)) { _ in false } == nil)
    }

    @Test func whoComesLaterKnowsByWhatLiesBehind() {
        var progress = RecoveryProgress()
        let behind = progress.learn(title("waiting for 000000010000000000000002"), label: nil, control(), at: at(0)) {
            _ in false
        }
        #expect(behind == .removedBackupLabel(file: "000000010000000000000002"))
        // The next segment is what every standby waits for.
        let next = title("waiting for 000000010000000000000004")
        #expect(progress.learn(next, label: nil, control(), at: at(1)) { _ in false } == nil)
        #expect(progress.learn(nil, label: nil, control(), at: at(2)) { _ in false } == nil)
        #expect(progress.learn(next, label: nil, nil, at: at(3)) { _ in false } == nil)
    }

    @Test func anEndThatDoesNotComeIsTold() {
        let begun = control(backup: "0/2000028", isDue: true)
        var progress = RecoveryProgress()
        func judge(_ segment: String, _ seconds: Int64) -> PostgreSQLStatus.Obstacle? {
            progress.learn(title("recovering 0000000100000000000000\(segment)"), label: nil, begun, at: at(seconds)) {
                _ in true
            }
        }
        let told = PostgreSQLStatus.Obstacle.backupNotEnded(start: WALPosition(0x200_0028))
        #expect(judge("03", 0) == nil)
        #expect(judge("03", 19) == nil)
        #expect(judge("03", 20) == told)
        #expect(judge("04", 21) == nil, "it goes on")
        #expect(judge("05", 299) == nil)
        #expect(judge("06", 300) == told, "and on")
    }

    @Test("A server that lets nobody in is waited for while its recovery moves") func refusals() {
        typealias Signs = RecoveryRefusals.Signs
        let titles = ["4", "5"].map { RecoveryTitle("postgres: startup recovering 00000001000000000000000\($0)") }
        let steps: [(Int64, Signs?, Int64)] = [
            (0, Signs(title: titles[0], controlStamp: 1), 0), (200, Signs(title: titles[0], controlStamp: 1), 200),
            (300, Signs(title: titles[1], controlStamp: 1), 0), (400, Signs(title: titles[1], controlStamp: 2), 0),
            (900, Signs(title: titles[1], controlStamp: 2), 500), (950, nil, 550), (1000, nil, 600),
        ]
        var refusals = RecoveryRefusals()
        for (at, signs, expected) in steps {
            #expect(refusals.last(signs, at: BootInstant(nanoseconds: at)) == .nanoseconds(expected))
        }
        refusals.end()
        #expect(refusals.last(nil, at: BootInstant(nanoseconds: 2000)) == .zero)
    }
}
