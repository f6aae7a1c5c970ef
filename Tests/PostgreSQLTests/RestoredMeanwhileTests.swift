import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// What somebody else puts into a data directory while we make a cluster there is not ours, whatever breaks off when.
@Suite struct RestoredMeanwhileTests {
    /// Files that an operator has begun to restore are not of the copy that broke off there.
    @Test("A restore that is not complete yet stays: before the draft came up, and where that was broken off")
    func restoredByHalves() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        var mark = try directory.beginFilling(.copy)
        mark = try directory.beginDraft(mark, places: [directory.path + "/inside/space"])
        try scene.file(directory.path + "/inside/space/PG_15_202209061/5/16385")
        try scene.makeCluster(directory.draft)
        try scene.file(directory.path + "/base/1/1")
        func refuses() {
            let errors = [
                #expect(throws: PostgreSQLError.self) { try directory.installDraft(mark) },
                #expect(throws: PostgreSQLError.self) { try directory.beginFilling(.copy) },
                #expect(throws: PostgreSQLError.self) { try directory.setAside() },
            ]
            #expect(errors.allSatisfy { $0?.description.contains("somebody has put base into") == true })
        }
        refuses()
        #expect(try Files.list(directory.path + "/base/1") == ["1"])
        // Killed when two had been moved up; then an operator came.
        try scene.makeCluster(directory.draft)
        try Files.removeTree(directory.path + "/base")
        for name in try Files.list(directory.draft) { mark.moved[name] = Files.inode("\(directory.draft)/\(name)") }
        try directory.write(mark)
        for name in ["PG_VERSION", "pg_wal"] { rename("\(directory.draft)/\(name)", "\(directory.path)/\(name)") }
        #expect(directory.look() == (.empty, .copy))
        try scene.file(directory.path + "/base/1/1")
        refuses()
        #expect(Files.exists(directory.path + "/base/1/1"))
        // The inodes of what went with the draft may be somebody else's from now on.
        #expect(try directory.readMark()?.moved.keys.sorted() == ["PG_VERSION", "pg_wal"])
        // With a control file it is a mixture of two clusters, and no one's that may be started.
        try scene.file(directory.path + "/global/pg_control")
        #expect(directory.look() == (.empty, .copy))
        #expect(throws: PostgreSQLError.self) { try directory.beginFilling(.copy) }
        #expect(Files.exists(directory.controlFile))
        // Without the operator's what was moved up is ours to remove.
        for name in ["base", "global"] { try Files.removeTree("\(directory.path)/\(name)") }
        _ = try directory.beginFilling(.copy)
        #expect(try directory.contents() == [])
    }

    @Test("What is no part of a cluster keeps no draft out, and stays: keys, settings, histories of shells")
    func keysAndHistories() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let mark = try directory.beginDraft(try directory.beginFilling(.copy), places: [])
        try scene.makeCluster(directory.draft)
        let names = [".bash_history", "server.key", "postgresql.conf", "pg_hba.conf", "log/today"]
        for name in names {
            try scene.file("\(directory.draft)/\(name)")
            try scene.file("\(directory.path)/\(name)")
            try Files.replace("\(directory.path)/\(name)", with: "here".utf8, mode: 0o600)
        }
        // Tools that know no cluster make its directories at times; an empty one is nobody's.
        try Files.makeDirectory(directory.path + "/base")
        try directory.installDraft(mark)
        #expect(Files.exists(directory.controlFile) && !Files.exists(directory.draft))
        for name in names { #expect(try Files.readText("\(directory.path)/\(name)") == "here") }
    }

    @Test(
        "What is restored beside the draft that a command fills is neither removed nor started",
        arguments: [true, false])
    func restoredBesideACommand(isBootstrap: Bool) throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let work = isBootstrap ? UnfinishedMark.Work.bootstrap : .copy
        let left: PostgreSQLStatus.UnfinishedWork = isBootstrap ? .restore : .copy
        try directory.handOverDraft(try directory.beginDraft(try directory.beginFilling(work), places: []))
        try scene.file(directory.draft + "/base/1/1")
        try scene.makeCluster(directory.path)
        for _ in 1...2 {
            let error = #expect(throws: PostgreSQLError.self) {
                if isBootstrap { try directory.setAside() } else { _ = try directory.beginFilling(.copy) }
            }
            #expect(error?.description.contains("complete it and remove \(directory.mark)") == true)
            #expect(Files.exists(directory.controlFile) && directory.look().unfinished == left)
        }
        // As the text says.
        #expect(unlink(directory.mark) == 0)
        #expect(directory.look() == (.initialized, nil))
        // A command that has filled the directory in place of the draft has left half of something there.
        try Files.removeTree(directory.draft)
        try directory.handOverDraft(try directory.beginDraft(UnfinishedMark(work), places: []))
        _ = try directory.beginFilling(work)
        #expect(!Files.exists(directory.controlFile))
    }

    @Test("What a command has filled itself is ours to set aside") func filledByACommand() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        var mark = try directory.beginDraft(try directory.beginFilling(.bootstrap), places: [])
        try scene.makeCluster(directory.path)
        mark.systemIdentifier = DataDirectory.systemIdentifier(directory.controlFile)
        try directory.write(mark)
        #expect(throws: PostgreSQLError.self) { try directory.setAside() }
        for name in try directory.contents() { mark.moved[name] = Files.inode("\(directory.path)/\(name)") }
        try directory.write(mark)
        try scene.file(directory.path + "/postmaster.opts")
        try directory.setAside()
        #expect(Files.exists(directory.path + ".failed/global/pg_control"))
    }

    @Test("A cluster out of a backup, which has the identifier of others, tells by itself when it is complete")
    func complete() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        var mark = try directory.beginDraft(try directory.beginFilling(.bootstrap), places: [])
        mark.isRestored = true
        try directory.handOver(mark)
        try scene.makeCluster(directory.path)
        #expect(directory.look() == (.initialized, .restore), "the command runs")
        mark.systemIdentifier = DataDirectory.systemIdentifier(directory.controlFile)
        for name in try directory.contents() { mark.moved[name] = Files.inode("\(directory.path)/\(name)") }
        try directory.write(mark)
        #expect(directory.look() == (.initialized, .restore), "it recovers, or has no users yet")
        try directory.markComplete()
        #expect(directory.look() == (.initialized, .bootstrap))
        #expect(try directory.readMark()?.isComplete == true)
        // That of initdb is its own.
        mark.isRestored = false
        try directory.write(mark)
        #expect(directory.look() == (.initialized, .bootstrap))
    }

    /// The command of a restored cluster that broke off had a WAL directory and a tablespace outside.
    @Test("What a broken-off bootstrap has outside is emptied, and gets the next one, whoever has made it")
    func places() throws {
        for isRestored in [false, true] {
            let scene = CopyScene()
            defer { scene.remove() }
            let directory = scene.directory
            let outside = scene.base + "/wal"
            try scene.makeCluster(directory.path)
            try scene.addTablespace()
            var mark = UnfinishedMark(.bootstrap)
            mark.isRestored = isRestored
            mark.systemIdentifier = DataDirectory.systemIdentifier(directory.controlFile)
            mark.walDirectory = outside
            mark.tablespaces = [UnfinishedMark.Tablespace(oid: "16384", path: scene.tablespace)]
            mark.filled = [outside]
            mark.phase = .filling
            try Files.makeDirectory(outside)
            try directory.write(mark)
            #expect(directory.look() == (.initialized, isRestored ? .restore : .bootstrap))
            let next = try directory.newMark(.copy)
            #expect(next.walDirectory == outside && next.filled == [outside])
            #expect(next.tablespaces.map(\.path) == [scene.tablespace])
        }
    }

    @Test("A file system that is mounted in the directory keeps its place, and what cannot stand in it is named")
    func mounted() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        let place = directory.path + "/pg_stat_tmp"
        try Files.makeDirectory(directory.path)
        try Files.makeDirectory(place)
        guard geteuid() == 0, mount("tmpfs", place, "tmpfs", 0, nil) == 0 else { return }
        defer { umount(place) }
        let mark = try directory.beginDraft(try directory.beginFilling(.copy), places: [])
        try scene.makeCluster(directory.draft)
        try scene.file(directory.draft + "/pg_stat_tmp/global.stat")
        let error = #expect(throws: PostgreSQLError.self) { try directory.installDraft(mark) }
        #expect(error?.description.contains(place) == true)
        #expect(Files.exists(directory.draft))
        try Files.removeTree(directory.draft + "/pg_stat_tmp/global.stat")
        try directory.installDraft(try #require(try directory.readMark()))
        #expect(directory.look() == (.initialized, nil) && !Files.exists(directory.draft))
    }

    @Test(arguments: [
        ("base", true), ("PG_VERSION", true), ("pg_wal", true), ("standby.signal", true), ("pg_hba.conf", false),
        ("pg_log", false), ("server.crt", false), (".pgpass", false), ("log", false),
    ])
    func tellsAClustersOwn(_ name: String, _ isOfCluster: Bool) {
        #expect(DataDirectory.isOfCluster(name) == isOfCluster)
    }

    @Test("What appears while a draft is moved up is not replaced") func noOverwriting() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        for name in ["old", "new"] { try scene.file("\(scene.base)/\(name)") }
        let error = #expect(throws: SystemError.self) {
            try Files.rename(scene.base + "/old", toNew: scene.base + "/new")
        }
        #expect(error?.code == EEXIST)
        try Files.makeDirectory(scene.base + "/empty")
        #expect(throws: SystemError.self) { try Files.rename(scene.base + "/old", toNew: scene.base + "/empty") }
        try Files.rename(scene.base + "/old", toNew: scene.base + "/other")
        #expect(Files.exists(scene.base + "/other") && !Files.exists(scene.base + "/old"))
    }

    @Test("An empty directory does not take the place of what was set aside before it")
    func nothingToSetAside() throws {
        let scene = CopyScene()
        defer { scene.remove() }
        let directory = scene.directory
        try scene.makeCluster(directory.path)
        try directory.setAside()
        let mark = try directory.beginFilling(.bootstrap)
        _ = try directory.beginDraft(mark, places: [])
        try scene.file(directory.secret)
        try directory.setAside()
        #expect(Files.exists(directory.path + ".failed/global/pg_control"))
        #expect(try Files.list(directory.path) == [])
        #expect(directory.look() == (.empty, nil))
    }
}
