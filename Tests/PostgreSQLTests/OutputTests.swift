import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

@Suite("What PostgreSQL's programs say")
struct OutputTests {
    private static let control = """
        pg_control version number:            1300
        Database system identifier:           7301234567890123456
        Database cluster state:               shut down
        Latest checkpoint location:           0/15D6B60
        Latest checkpoint's TimeLineID:       3
        Min recovery ending loc's timeline:   2
        Minimum recovery ending location:     0/1500000
        wal_log_hints setting:                off
        max_connections setting:              100
        max_prepared_xacts setting:           5
        Current max_worker_processes setting: 8
        Data page checksum version:           0
        """

    @Test("pg_controldata")
    func controlData() throws {
        let output = ControlDataOutput(Self.control)
        let data = try #require(output.controlData)
        #expect(data.state == .shutDown)
        #expect(data.systemIdentifier == "7301234567890123456")
        #expect(data.checkpoint == WALPosition(0x15D6B60))
        #expect(data.checkpointTimeline == 3)
        #expect(data.minimumRecoveryEnd == WALPosition(0x1500000))
        #expect(data.minimumRecoveryTimeline == 2)
        #expect(!data.supportsRewind)
        #expect(
            output.minimumsOfStandby.map(\.parameter) == [
                "max_connections", "max_worker_processes", "max_prepared_transactions",
            ])
        #expect(output.minimumsOfStandby.map(\.value) == [100, 8, 5])
    }

    @Test(
        "Rewinding needs hints or checksums",
        arguments: [("wal_log_hints setting: on", true), ("Data page checksum version: 1", true), ("x: y", false)])
    func rewind(line: String, isPossible: Bool) {
        let text = line + "\n" + Self.control
        #expect(ControlDataOutput(text).controlData?.supportsRewind == isPossible)
    }

    @Test(
        "What is no control data",
        arguments: ["", "pg_controldata: fatal: no such file", "Database cluster state: odd"])
    func noControlData(text: String) { #expect(ControlDataOutput(text).controlData == nil) }

    private static let shutdown =
        "rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/01500028, prev 0/014FFFF0, desc: "
        + "CHECKPOINT_SHUTDOWN redo 0/1500028; tli 1; prev tli 1; fpw true; oldest running xid 0; shutdown"

    @Test("Records of pg_waldump")
    func records() throws {
        let ended =
            Self.shutdown
            + "\npg_waldump: error: error in WAL record at 0/1500028: invalid record length at 0/15000A0: "
            + "wanted 24, got 0\n"
        let output = WALDumpOutput(ended)
        let record = try #require(output.records.first)
        #expect(record.position == WALPosition(0x1500028))
        #expect(record.previous == WALPosition(0x14FFFF0))
        #expect(record.isShutdownCheckpoint)
        #expect(!record.isSwitch)
        #expect(output.end == WALPosition(0x15000A0))
        #expect(output.end(ofLastRecordAt: WALPosition(0x1500028)) == WALPosition(0x15000A0))
        #expect(output.end(ofLastRecordAt: WALPosition(1)) == nil)
        #expect(WALDumpOutput(Self.shutdown + "\n" + ended).end(ofLastRecordAt: record.position) == nil)
    }

    @Test(
        "Which record it is",
        arguments: [
            ("XLOG", "SWITCH", true, false), ("XLOG", "xlog switch", true, false),
            ("XLOG", "CHECKPOINT_ONLINE redo 0/1; online", false, false), ("Heap", "SWITCH", false, false),
            ("XLOG", "checkpoint: redo 0/1; shutdown", false, true),
        ])
    func kinds(manager: String, description: String, isSwitch: Bool, isShutdown: Bool) throws {
        let line = "rmgr: \(manager)  len (rec/tot): 24/ 24, tx: 0, lsn: 0/0A, prev 0/01, desc: \(description) "
        let record = try #require(WALDumpOutput(line).records.first)
        #expect(record.isSwitch == isSwitch)
        #expect(record.isShutdownCheckpoint == isShutdown)
    }

    @Test("A history file")
    func history() {
        let text = "1\t0/3000148\tno recovery target specified\n\n2\t16/B374D848\tbefore 2020\tx\n# 3\n3 4\nx\t0/1\ty\n"
        let lines = TimelineHistoryFile.parse(text)
        #expect(lines.map(\.timeline) == [1, 2])
        #expect(lines.map(\.position.description) == ["0/3000148", "16/B374D848"])
        #expect(lines.map(\.reason) == ["no recovery target specified", "before 2020\tx"])
        #expect(TimelineHistoryFile.name(10) == "0000000A.history")
    }

    @Test(
        "Times",
        arguments: [
            (0, "1970-01-01T00:00:00.000000+00:00"), (951_827_696_123_456_789, "2000-02-29T12:34:56.123456+00:00"),
            (1_798_761_599_000_000_000, "2026-12-31T23:59:59.000000+00:00"),
        ] as [(Int64, String)])
    func times(nanoseconds: Int64, text: String) { #expect(ISO8601.text(nanosecondsSinceEpoch: nanoseconds) == text) }

    @Test("What is archived before a rewind, and how")
    func archive() {
        let name = "0000000100000000000000A3"
        #expect(ArchiveCommand.segment(name + ".ready") == name)
        #expect(ArchiveCommand.segment(name + ".partial.ready") == name + ".partial")
        for other in [name + ".done", "00000002.history.ready", name, "x.ready"] {
            #expect(ArchiveCommand.segment(other) == nil)
        }
        #expect(
            ArchiveCommand.expand("cp %p /a/%f %r 100%% %x %", path: "/w/n", name: "n")
                == "cp /w/n /a/n 000000010000000000000001 100% %x %")
    }

    @Test("Progress of a base backup")
    func progress() throws {
        let progress = try #require(BaseBackupProgress("  3123/25130 kB (12%), 0/1 tablespace (/d/base/1)"))
        #expect(progress == BaseBackupProgress("3123/25130 kB (12%)"))
        #expect(progress.percent == 12)
        #expect(progress.totalKilobytes == 25130)
        for text in ["waiting for checkpoint", "1 kB (1%)", "%) kB (", "a/b kB (1%)"] {
            #expect(BaseBackupProgress(text) == nil)
        }
    }

    @Test("Progress is told at each tenth, or every five seconds while it moves")
    func gate() throws {
        let gate = ProgressGate()
        func admits(_ percent: Int, _ seconds: Int64) throws -> Bool {
            let progress = try #require(BaseBackupProgress("\(percent)/100 kB (\(percent)%)"))
            return gate.admits(progress, now: BootInstant(nanoseconds: seconds * 1_000_000_000))
        }
        #expect(try admits(0, 0))
        #expect(try !admits(1, 1))
        #expect(try admits(10, 2))
        #expect(try !admits(10, 60))
        #expect(try admits(11, 61))
        #expect(try admits(100, 61))
    }

    @Test(
        "Why a connection was refused",
        arguments: [
            (
                "connection to server at \"h\", port 5432 failed: FATAL:  57P03: the database system is starting up\n"
                    + "LOCATION:  ProcessStartupPacket, postmaster.c:2362\n", "57P03",
                "connection to server at \"h\", port 5432 failed: FATAL:  the database system is starting up"
            ),
            (
                "connection to server at \"h\" failed: Connection refused\n\tIs it running?\n", "",
                "connection to server at \"h\" failed: Connection refused; \tIs it running?"
            ),
            ("FATAL:  password wrong", "", "FATAL:  password wrong"),
        ])
    func refusal(text: String, state: String, message: String) {
        let refusal = ConnectionRefusal(text)
        #expect(refusal.state == state)
        #expect(refusal.message == message)
    }

    @Test(
        "Parameters that PostgreSQL refuses",
        arguments: [
            ("LOG:  unrecognized configuration parameter \"foo\" in file \"/x\" line 3", ["foo"]),
            ("LOG:  invalid value for parameter \"work_mem\": \"a\"\nHINT: x\n", ["work_mem"]),
            ("LOG:  0 is outside the valid range for parameter \"port\" (1 .. 65535)\nparameter \"port\"", ["port"]),
            ("FATAL:  could not open file", []),
        ] as [(String, [String])])
    func refused(text: String, names: [String]) { #expect(RefusedParameters.find(in: text) == names) }

    @Test(arguments: [
        ("2027-02-03 04:05:06.70809+00", "2027-02-03 04:05:06.70809+00:00"),
        ("2027-02-03 04:05:06-03", "2027-02-03 04:05:06-03:00"),
        ("2027-02-03 04:05:06+05:30", "2027-02-03 04:05:06+05:30"), ("2027-02-03", "2027-02-03"), ("", ""),
    ])
    func offsetsAreWhole(_ text: String, _ expected: String) { #expect(StatusQuery.timestamp(text) == expected) }

    @Test("The row of the status query, for a primary and for a standby")
    func statusRow() throws {
        let primary: [String?] = [
            "f", "0000000A", "0/5000", nil, nil, nil, nil, "f", nil, nil, nil, nil, nil, nil, "f", "2026-01-01",
        ]
        let facts = try #require(StatusQuery.decode(primary, version: 150_006))
        let detail = StatusQuery.decodeDetail([
            #"[["a","physical",true,"0/10",false,null,null,null,false,false,false],"#
                + #"["l","logical",false,null,true,"d","pgoutput","0/20",true,true,false]]"#,
            #"[["u", "app", null, "streaming", "async", 0, "0/30", "0/20", null]]"#,
        ])
        let slots = try #require(detail).slots
        #expect(!facts.inRecovery)
        #expect(facts.timeline == 10)
        #expect(facts.position == WALPosition(0x5000))
        #expect(slots.map(\.name) == ["a", "l"])
        #expect(slots.map(\.restartPosition) == [WALPosition(16), nil])
        #expect(slots.map(\.database) == [nil, "d"] && slots.map(\.plugin) == [nil, "pgoutput"])
        #expect(slots.map(\.confirmedPosition) == [nil, WALPosition(32)])
        #expect(slots.map(\.isLost) == [false, true] && slots.map(\.isFailover) == [false, true])
        #expect(detail?.walSenders.map(\.applicationName) == ["app"])
        #expect(
            detail?.walSenders.map { [$0.written, $0.flushed, $0.replayed] } == [
                [WALPosition(48), WALPosition(32), nil]
            ])
        let standby: [String?] = [
            "t", nil, nil, "0/3000", "0/4000", "0/3500", "2026", "t", "streaming", "h", "5432", "s", "0/4000", "2", "t",
            "2026-01-01",
        ]
        let replica = try #require(StatusQuery.decode(standby, version: 150_006))
        #expect(replica.timeline == 2)
        #expect(StatusQuery.decodeControl(["1"]) == 1)
        #expect(StatusQuery.decodeControl([nil]) == nil)
        #expect(replica.position == WALPosition(0x4000))
        #expect(replica.replayPaused)
        #expect(replica.replicationState == "streaming")
        #expect(
            replica.receiver
                == .init(
                    isStreaming: true, host: "h", port: 5432, slotName: "s", latestEnd: WALPosition(0x4000)))
        #expect(StatusQuery.decode([], version: 1) == nil)
    }

    @Test(
        "What the control file tells of the end",
        arguments: [
            (.shutDown, 100, 7, 3, false, 50), (.shutDownInRecovery, 100, 7, 3, true, 100),
            (.inArchiveRecovery, 100, 7, 3, true, 100), (.shutDownInRecovery, 0, 7, 3, false, 50),
            (.shutDownInRecovery, 100, 0, 3, false, 50),
        ] as [(ControlData.ClusterState, UInt64, TimelineID, TimelineID, Bool, UInt64)])
    func divergence(
        state: ControlData.ClusterState, minimum: UInt64, minimumTimeline: TimelineID, timeline: TimelineID,
        inRecovery: Bool, position: UInt64
    ) throws {
        let control = ControlData(
            state: state, systemIdentifier: "1", checkpoint: WALPosition(50), checkpointTimeline: timeline,
            minimumRecoveryEnd: WALPosition(minimum), minimumRecoveryTimeline: minimumTimeline)
        let facts = try #require(DivergenceRule.facts(of: control))
        #expect(facts.localInRecovery == inRecovery)
        #expect(facts.localPosition == WALPosition(position))
        #expect(facts.localTimeline == (inRecovery ? minimumTimeline : timeline))
        var running = control
        running.state = .inProduction
        // After a crash there may be more than the last checkpoint, and never less.
        let atLeast = try #require(DivergenceRule.facts(of: running))
        #expect(atLeast.isAtLeast && !facts.isAtLeast || state != .shutDown)
        #expect(atLeast.localPosition == WALPosition(50) && atLeast.localTimeline == timeline)
    }
}
