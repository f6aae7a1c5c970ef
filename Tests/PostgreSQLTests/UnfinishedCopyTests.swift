import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// A directory of a test, with what looks like a cluster with a tablespace.
struct CopyScene {
    let base = "/tmp/matriarch-copy-\(getpid())-\(BootClock.now().nanoseconds)"
    var directory: DataDirectory { DataDirectory(path: base + "/data") }
    var tablespace: String { base + "/tablespace" }

    func file(_ path: String) throws {
        try Files.makeDirectory(Files.parent(path))
        try Files.replace(path, with: "15\n".utf8, mode: 0o600)
    }

    func makeCluster(_ data: String) throws {
        try file(data + "/PG_VERSION")
        try file(data + "/global/pg_control")
        try file(data + "/base/1/1259")
        try file(data + "/pg_wal/000000010000000000000001")
        try Files.makeDirectory(data + "/pg_tblspc")
    }

    func addTablespace() throws {
        try file(tablespace + "/PG_15_202209061/5/16385")
        symlink(tablespace, directory.path + "/pg_tblspc/16384")
    }

    func remove() { try? Files.removeTree(base) }
}

/// A daemon that dies while a directory is made or removed leaves half of one behind: the next one must take it for
/// what it is, and end it (S11).
@Suite struct UnfinishedCopyTests {
    @Test("A removal begins with the control file, and counts as empty from its beginning")
    func removal() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        try scene.addTablespace()
        #expect(directory.look() == (.initialized, nil))
        var mark = UnfinishedMark(.copy)
        mark.controlStamp = Files.modificationTime(directory.controlFile)
        try directory.write(mark)
        // Killed right after the mark: everything stands there still, and is no cluster any more.
        #expect(directory.look() == (.empty, .copy))
        let emptied = try directory.beginFilling(.copy)
        #expect(!Files.exists(directory.controlFile))
        #expect(directory.look() == (.empty, .copy))
        #expect(try Files.list(scene.tablespace).isEmpty)
        #expect(emptied.tablespaces.map(\.path) == [scene.tablespace])
        #expect(try Files.list(directory.path) == [".matriarch-unfinished"])
    }

    /// SIGTERM while a directory is removed: a service manager does not wait for it.
    @Test("A removal that is cancelled ends soon, and is known to be unfinished")
    func cancelled() async throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        let removal = Task { () -> PostgreSQLError? in
            withUnsafeCurrentTask { $0?.cancel() }
            do throws(PostgreSQLError) {
                _ = try directory.beginFilling(.copy)
                return nil
            } catch {
                return error
            }
        }
        #expect(await removal.value == .cancelled)
        #expect(!Files.exists(directory.controlFile))
        #expect(Files.exists(directory.path + "/PG_VERSION"))
        #expect(directory.look() == (.empty, .copy))
    }

    @Test("An error in what a tablespace's link leads to ends the removal, the mark stays")
    func errorOutside() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        try scene.addTablespace()
        // Something in the way that is not there to be listed: a file where the directory should be readable.
        try Files.removeTree(scene.tablespace)
        try Files.makeDirectory(scene.tablespace + "/PG_15_202209061")
        let holder = scene.tablespace + "/PG_15_202209061/mount"
        try Files.makeDirectory(holder)
        guard geteuid() == 0, mount("tmpfs", holder, "tmpfs", 0, nil) == 0 else { return }
        defer { umount(holder) }
        #expect(throws: PostgreSQLError.self) { try directory.beginFilling(.copy) }
        #expect(!Files.exists(directory.controlFile))
        #expect(Files.exists(directory.path + "/PG_VERSION"))
        #expect(directory.look() == (.empty, .copy))
    }

    @Test("A copy is a cluster when its control file has come up, the last of all")
    func copy() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.file(directory.path + "/.snapshot")
        try scene.file(directory.path + "/lost+found/orphan")
        #expect(directory.look() == (.empty, nil))
        var mark = try directory.beginFilling(.copy)
        mark = try directory.beginDraft(mark, places: [scene.tablespace])
        #expect(mark.filled == [scene.tablespace])
        try scene.makeCluster(directory.draft)
        for place in [directory.draft, directory.path] { try scene.file(place + "/patroni.dynamic.json") }
        try scene.file(directory.draft + "/.matriarch-unfinished")
        #expect(directory.look() == (.empty, .copy))
        try directory.installDraft(mark)
        // The mark stands there still: what is complete is not copied again.
        #expect(directory.look() == (.initialized, nil))
        #expect(
            try directory.readMark()?.moved.keys.sorted() == [
                "PG_VERSION", "base", "global", "patroni.dynamic.json", "pg_tblspc", "pg_wal",
            ])
        try directory.removeMark()
        #expect(directory.look() == (.initialized, nil))
        #expect(Files.exists(directory.path + "/base/1/1259"))
        #expect(Files.exists(directory.path + "/lost+found/orphan"))
        #expect(Files.exists(directory.path + "/.snapshot"))
        #expect(!Files.exists(directory.draft))
    }

    @Test("What a copy has filled outside is emptied before the next one, and nothing else is")
    func filled() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let others = scene.base + "/others"
        try scene.file(others + "/letters")
        var mark = try directory.beginFilling(.copy)
        mark = try directory.beginDraft(mark, places: [scene.tablespace, others], sourceVersion: 15)
        #expect(mark.filled == [scene.tablespace])
        // The copy broke off before its link stood in the draft.
        try scene.file(scene.tablespace + "/PG_15_202209061/5/16385")
        _ = try directory.beginFilling(.copy)
        #expect(try Files.list(scene.tablespace).isEmpty)
        #expect(Files.exists(others + "/letters"))
    }

    /// A tablespace's directory is shared by clusters of several versions, and a volume by an operator's files.
    @Test("What others have where a link leads to stays: removed, set aside, or in the way of a copy")
    func shared() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let wal = scene.base + "/wal"
        let others = [
            scene.tablespace + "/PG_14_202107181/5/16385", scene.tablespace + "/PG_150_1/5/16385",
            scene.tablespace + "/backup.tar", wal + "/letters", wal + "/0000000100000000000000010",
        ]
        func make() throws {
            try scene.makeCluster(directory.path)
            try scene.addTablespace()
            try Files.removeTree(directory.path + "/pg_wal")
            for name in ["000000010000000000000001", "00000002.history", "archive_status/x.done"] {
                try scene.file("\(wal)/\(name)")
            }
            symlink(wal, directory.path + "/pg_wal")
        }
        for path in others { try scene.file(path) }
        try make()
        try directory.setAside()
        #expect(others.filter { !Files.exists($0) } == [])
        #expect(try Files.list(scene.tablespace).sorted() == ["PG_14_202107181", "PG_150_1", "backup.tar"])
        #expect(try Files.list(wal).sorted() == ["0000000100000000000000010", "letters"])
        #expect(Files.exists(directory.path + ".failed/pg_tblspc/16384/PG_15_202209061/5/16385"))
        #expect(Files.exists(directory.path + ".failed/pg_wal/archive_status/x.done"))
        try make()
        _ = try directory.beginFilling(.copy)
        #expect(others.filter { !Files.exists($0) } == [])
        #expect(try Files.list(wal).count == 2)
        #expect(!Files.exists(scene.tablespace + "/PG_15_202209061"))
    }

    @Test("Of two clusters of a version that differ in their catalogues, one is ours")
    func catalogue() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        var control = [UInt8](repeating: 0, count: 16)
        withUnsafeBytes(of: UInt32(202_209_061)) { control.replaceSubrange(12..<16, with: $0) }
        try Files.replace(directory.controlFile, with: control, mode: 0o600)
        try scene.addTablespace()
        try scene.file(scene.tablespace + "/PG_15_202208011/5/16385")
        let mark = try directory.beginFilling(.copy)
        #expect(mark.catalogue == 202_209_061)
        #expect(try Files.list(scene.tablespace) == ["PG_15_202208011"])
    }

    /// The mark of a copy that broke off stays for as long as the next one is waited for.
    @Test("A mark that is old by now costs nobody what came to stand in the places that it names")
    func oldMark() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let copied = scene.base + "/copied"
        try scene.makeCluster(directory.path)
        try scene.addTablespace()
        var mark = try directory.beginFilling(.copy)
        mark = try directory.beginDraft(mark, places: [copied], sourceVersion: 15)
        try scene.file(copied + "/PG_15_202209061/5/16385")
        try scene.file(copied + "/restored.tar")
        // It has failed, and what it left behind goes; the next one waits for its turn.
        mark = try directory.beginFilling(.copy)
        #expect(try Files.list(copied) == ["restored.tar"])
        #expect(mark.filled == [])
        // Meanwhile an operator puts something of the same version where the cluster had its tablespace.
        let restored = [copied, scene.tablespace].map { $0 + "/PG_15_202209061/5/16386" }
        for path in restored { try scene.file(path) }
        mark = try directory.beginFilling(.copy)
        #expect(restored.filter { !Files.exists($0) } == [])
        // Where the tablespace was is known still: the next copy puts its own there.
        #expect(mark.tablespaces.map(\.path) == [scene.tablespace])
        #expect(directory.look() == (.empty, .copy))
    }

    @Test("An operator who restores by hand where a copy broke off keeps what was restored")
    func restoredByHand() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let mark = try directory.beginFilling(.copy)
        _ = try directory.beginDraft(mark, places: [])
        #expect(directory.look() == (.empty, .copy))
        try scene.makeCluster(directory.path)
        #expect(directory.look() == (.initialized, nil))
        // Likewise where a removal broke off: the control file is another one.
        var removal = UnfinishedMark(.copy)
        removal.controlStamp = 12
        try directory.write(removal)
        #expect(directory.look() == (.initialized, nil))
    }

    @Test("A pg_rewind that broke off, a bootstrap that was not published, and a mark that nobody can read")
    func others() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        try directory.markRewind()
        #expect(directory.look() == (.initialized, .rewind))
        try directory.removeRewindMark()
        #expect(directory.look() == (.initialized, nil))
        try Files.replace(directory.controlFile, with: [1, 0, 0, 0, 0, 0, 0, 0], mode: 0o600)
        var mark = UnfinishedMark(.bootstrap)
        mark.systemIdentifier = 1
        try directory.write(mark)
        #expect(directory.look() == (.initialized, .bootstrap))
        mark.systemIdentifier = 2
        try directory.write(mark)
        #expect(directory.look() == (.initialized, nil))
        try Files.replace(directory.mark, with: "nonsense".utf8, mode: 0o600)
        guard case .inaccessible = directory.look().state else {
            Issue.record("\(directory.look())")
            return
        }
    }

    @Test("A link as data directory stays one; one that leads nowhere is no empty directory")
    func link() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let volume = scene.base + "/volume"
        let link = scene.base + "/link"
        try scene.makeCluster(volume)
        symlink(volume, link)
        let directory = DataDirectory(path: link)
        var mark = try directory.beginFilling(.copy)
        mark = try directory.beginDraft(mark, places: [])
        try scene.makeCluster(directory.draft)
        try directory.installDraft(mark)
        try directory.removeMark()
        #expect(Files.kind(link) == .symbolicLink)
        #expect(Files.exists(volume + "/global/pg_control"))
        try directory.setAside()
        #expect(Files.kind(link) == .symbolicLink)
        #expect(directory.look() == (.empty, nil))
        #expect(Files.exists(volume + "/.failed/global/pg_control"))
        try Files.removeTree(volume)
        guard case .inaccessible = directory.look().state else {
            Issue.record("\(directory.look())")
            return
        }
    }

    @Test("What a command has restored is a cluster, and known to be no copy of the leader's until that is proven")
    func unproven() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        #expect(!directory.isUnproven)
        try directory.note(isUnproven: true)
        #expect(directory.isUnproven && directory.look() == (.initialized, nil))
        // It has no part in what a copy moves, and goes with what is replaced.
        try scene.makeCluster(directory.draft)
        try scene.file(directory.draft + "/" + DataDirectory.unprovenName)
        #expect(try !directory.draftEntries().keys.contains(DataDirectory.unprovenName))
        try directory.note(isUnproven: false)
        #expect(!directory.isUnproven)
        try directory.note(isUnproven: false)
    }

    @Test("A mark is read as it was written") func text() {
        var mark = UnfinishedMark(.copy)
        mark.phase = .filling
        mark.controlStamp = -5
        mark.version = 15
        mark.walDirectory = "/a b\\n\nc"
        mark.tablespaces = [.init(oid: "16384", path: "/x = y")]
        mark.filled = ["/1", "/2 "]
        mark.emptied = ["/3"]
        mark.catalogue = 202_209_061
        mark.sourceVersion = 16
        mark.standing = .max
        mark.moved = ["base": 7, "a b\\": .max]
        mark.replaced = ["base": 8]
        #expect(UnfinishedMark(mark.text) == mark)
        #expect(UnfinishedMark("") == nil)
    }

    @Test("What the tools are told so that links stay, and what they fill") func places() {
        var mark = UnfinishedMark(.copy)
        mark.walDirectory = "/fast/wal"
        mark.tablespaces = [.init(oid: "1", path: "/own/1"), .init(oid: "2", path: "/same/2")]
        let source: [UnfinishedMark.Tablespace] = [
            .init(oid: "1", path: "/theirs/1"), .init(oid: "2", path: "/same/2"), .init(oid: "3", path: "/new=3"),
        ]
        let plain = ToolPlaces(options: ["--max-rate=10M"], mark, tablespaces: source)
        #expect(plain.arguments == ["--waldir=/fast/wal", "--tablespace-mapping=/theirs/1=/own/1"])
        #expect(plain.filled == ["/fast/wal", "/own/1", "/same/2", "/new=3"])
        let options = ["--waldir=/w", "--tablespace-mapping=/theirs/1=/a", "-T/new\\=3=/b\\=3"]
        let told = ToolPlaces(options: options, mark, tablespaces: source)
        #expect(told.arguments.isEmpty)
        #expect(told.filled == ["/w", "/a", "/same/2", "/b=3"])
        let unknown = ToolPlaces(options: options + ["--tablespace-mapping=/x=/y"], mark, tablespaces: nil)
        #expect(unknown.filled == ["/w", "/a", "/b=3", "/y"])
    }
}
