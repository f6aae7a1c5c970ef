import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// A cluster that stays until the copy that replaces it is complete: whoever dies when, what stands there next is the
/// old one or the new one, and known for what it is (S7, S11).
@Suite struct ReplacementTests {
    /// An old cluster with a complete draft beside it.
    private func prepare(_ scene: CopyScene) throws -> StandingCluster {
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        try scene.file(directory.path + "/base/1/old")
        let standing = try directory.standing()
        try scene.makeCluster(directory.draft)
        try scene.file(directory.draft + "/base/1/new")
        try scene.file(directory.draft + "/backup_label")
        return standing
    }

    /// The mark as `setAside` writes it, before anything has moved.
    private func mark(_ scene: CopyScene, _ standing: StandingCluster) throws -> UnfinishedMark {
        var mark = UnfinishedMark(.copy)
        mark.phase = .filling
        mark.moved = try scene.directory.draftEntries()
        mark.replaced = standing.entries
        try scene.directory.write(mark)
        return mark
    }

    private func renames(_ scene: CopyScene, _ mark: UnfinishedMark) -> [(from: String, to: String)] {
        let directory = scene.directory
        let old = ["global"] + mark.replaced.keys.filter { $0 != "global" }.sorted()
        let new = mark.moved.keys.filter { $0 != "global" }.sorted() + ["global"]
        return old.map { ("\(directory.path)/\($0)", "\(directory.old)/\($0)") }
            + new.map { ("\(directory.draft)/\($0)", "\(directory.path)/\($0)") }
    }

    private func holds(_ scene: CopyScene, _ which: String) -> Bool {
        let other = which == "old" ? "new" : "old"
        let base = scene.directory.path + "/base/1/"
        return Files.exists(base + which) && !Files.exists(base + other)
    }

    @Test("The old one is what it was until the new one is complete, and gone when that stands there")
    func replaced() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let standing = try prepare(scene)
        for name in [".bash_history", "lost+found/orphan"] { try scene.file("\(directory.path)/\(name)") }
        try directory.markRewind()
        #expect(directory.look() == (.initialized, .rewind))
        try directory.requireUnchanged(standing)
        let mark = try directory.setAside(standing)
        #expect(directory.look() == (.empty, .copy))
        #expect(Files.exists(directory.old + "/base/1/old"))
        try directory.installDraft(mark)
        #expect(directory.look() == (.initialized, nil))
        try directory.removeMark()
        try directory.removeOld()
        #expect(holds(scene, "new"))
        #expect(
            try Files.list(directory.path) == [
                ".bash_history", "PG_VERSION", "backup_label", "base", "global", "lost+found", "pg_tblspc", "pg_wal",
            ])
    }

    @Test("Killed after any step, the next one finds the old one or goes on to the new one", arguments: 0...11)
    func killed(after count: Int) throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let standing = try prepare(scene)
        // Before the mark nothing is known of a draft.
        #expect(directory.look() == (.initialized, nil))
        #expect(try directory.brokenOffReplacement() == nil)
        let mark = try mark(scene, standing)
        let steps = renames(scene, mark)
        #expect(steps.count == 11)
        try Files.makeDirectory(directory.old)
        for step in steps.prefix(count) { #expect(rename(step.from, step.to) == 0) }
        let found = directory.look()
        let broken = try directory.brokenOffReplacement()
        switch count {
        case 0: #expect(found == (.initialized, nil) && broken == nil && holds(scene, "old"))
        case 11: #expect(found == (.initialized, nil) && broken == nil && holds(scene, "new"))
        default:
            #expect(found == (.empty, .copy))
            let broken = try #require(broken)
            try directory.goOn(broken)
            try directory.installDraft(broken)
            #expect(directory.look() == (.initialized, nil))
            try directory.removeMark()
            try directory.removeOld()
            #expect(holds(scene, "new"))
            #expect(try directory.contents() == mark.moved.keys.sorted())
        }
    }

    @Test("Where a part of the draft has gone as well, only another copy follows")
    func nothingWhole() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let mark = try mark(scene, try prepare(scene))
        try Files.makeDirectory(directory.old)
        for step in renames(scene, mark).prefix(1) { #expect(rename(step.from, step.to) == 0) }
        try Files.removeTree(directory.draft + "/base")
        #expect(try directory.brokenOffReplacement() == nil)
        #expect(directory.look() == (.empty, .copy))
        // What was not set aside yet is nobody else's, and in no copy's way.
        _ = try directory.beginFilling(.copy)
        #expect(try Files.list(directory.path) == [".matriarch-unfinished"])
    }

    @Test("What somebody puts there between the two stays")
    func overtaken() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let standing = try prepare(scene)
        let mark = try directory.setAside(standing)
        try scene.file(directory.path + "/base/1/theirs")
        #expect(throws: PostgreSQLError.self) { try directory.installDraft(mark) }
        #expect(throws: PostgreSQLError.self) { try directory.beginFilling(.copy) }
        #expect(try directory.contents() == ["base"])
        #expect(Files.exists(directory.path + "/base/1/theirs"))
    }

    @Test("Somebody's control file among what was not set aside yet makes no cluster; nor does the old one's alone")
    func mixed() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let mark = try mark(scene, try prepare(scene))
        try Files.makeDirectory(directory.old)
        for step in renames(scene, mark).prefix(3) { #expect(rename(step.from, step.to) == 0) }
        try scene.file(directory.controlFile)
        #expect(directory.look() == (.empty, .copy))
        try Files.removeTree(directory.path + "/global")
        #expect(rename(directory.old + "/global", directory.path + "/global") == 0)
        #expect(directory.look() == (.empty, .copy))
    }

    @Test("Changes of the cluster are seen, others are not: keys, settings, modes")
    func changes() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let standing = try prepare(scene)
        try scene.file(directory.path + "/server.key")
        try scene.file(directory.path + "/postgresql.conf")
        chmod(directory.controlFile, 0o640)
        try directory.requireUnchanged(standing)
        // It came since, and stays; the draft's goes.
        try scene.file(directory.draft + "/server.key")
        try Files.replace(directory.path + "/server.key", with: "here".utf8, mode: 0o600)
        let mark = try directory.setAside(standing)
        try directory.installDraft(mark)
        #expect(try Files.readText(directory.path + "/server.key") == "here")

        for change in ["/base/1/other", "/global/pg_control", "/standby.signal"] {
            let before = try directory.standing()
            try scene.file(directory.path + change)
            let error = #expect(throws: PostgreSQLError.self) { try directory.requireUnchanged(before) }
            #expect(error?.description.contains("it stays as it is") == true)
        }
    }

    @Test("What a directory takes is told without its WAL")
    func size() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        let small = try directory.standing().bytes
        try Files.replace(directory.path + "/base/1/2", with: [UInt8](repeating: 1, count: 300_000), mode: 0o600)
        let large = try directory.standing().bytes
        #expect(large - small >= 300_000)
        try Files.replace(directory.path + "/pg_wal/1", with: [UInt8](repeating: 1, count: 300_000), mode: 0o600)
        #expect(try directory.standing().bytes == large)
    }

    @Test(arguments: [
        ("pg_basebackup: error: could not write to file \"base.tar\": No space left on device\nremoving", true),
        ("pg_basebackup: error: could not create directory: Disk quota exceeded", true),
        ("could not read COPY data: ERROR:  could not write to file: No space left on device", false),
        ("pg_basebackup: error: could not read COPY data: server closed the connection unexpectedly", false),
    ])
    func knowsADiskThatIsFull(_ output: String, _ isFull: Bool) {
        #expect(RoomForBoth.isFilled(by: output) == isFull)
    }

    static let gigabyte = Int64(1) << 30

    static let rooms: [(room: RoomForBoth, obstacle: String?)] = [
        (RoomForBoth(needed: 10 * gigabyte, available: 12 * gigabyte), nil),
        (RoomForBoth(needed: 10 * gigabyte, available: 12 * gigabyte - 1), "do not fit"),
        (RoomForBoth(needed: 0, available: gigabyte - 1), "do not fit"),
        (RoomForBoth(needed: .max, available: .max), "do not fit"),
        (RoomForBoth(needed: gigabyte, available: nil), "not known"),
        (RoomForBoth(outside: ["/fast/wal"], needed: 0, available: gigabyte), "/fast/wal is outside"),
        (RoomForBoth(mounts: ["base"], needed: 0, available: gigabyte), "mounted at base"),
        (RoomForBoth(knowsTablespaces: false, needed: 0, available: gigabyte), "tablespaces"),
        (RoomForBoth(needed: 0, available: gigabyte, refusal: "the disk was full"), "the disk was full"),
    ]

    @Test(arguments: 0..<9) func tellsWhyBothHaveNoRoom(_ index: Int) {
        let (room, expected) = Self.rooms[index]
        guard let expected else {
            #expect(room.obstacle == nil)
            return
        }
        #expect(room.obstacle?.contains(expected) == true, "\(room.obstacle ?? "none")")
    }
}
