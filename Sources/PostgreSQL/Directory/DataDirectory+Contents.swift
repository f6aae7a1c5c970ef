import ClusterModel
import Glibc
import Ports
import Posix

/// How what stands in the directory goes, and how something new comes to stand there. The directory itself stays: it
/// may be a mount point or the end of a symbolic link, and the one above it may not be ours to write in.
extension DataDirectory {
    /// Marks the work durably, and empties the directory with what it leads to, as far as that is a cluster's: the
    /// control file first, so that no half of it starts. Ends at the first error, and soon after a cancellation; what
    /// is left the mark tells.
    func beginFilling(_ work: UnfinishedMark.Work) throws(PostgreSQLError) -> UnfinishedMark {
        try refuseForeign()
        do throws(SystemError) {
            try makeDirectory()
            let mark = try newMark(work)
            try write(mark)
            try removeControlFile()
            try emptyOutside(mark)
            try emptyInside()
            return try writeEmptied(mark)
        } catch {
            if error.code == ECANCELED { throw .cancelled }
            throw .failed("cannot remove the data directory: \(error)")
        }
    }

    /// Marks durably that the draft is being filled, and which directories outside with it: those of `places` that
    /// are empty now. What stands in another one is not ours, and the tool will refuse it. `sourceVersion` is the major
    /// version of what is copied.
    func beginDraft(_ mark: UnfinishedMark, places: [String], sourceVersion: Int = 0) throws(PostgreSQLError)
        -> UnfinishedMark
    {
        var mark = mark
        mark.filled = places.filter { isEmpty($0) }
        mark.sourceVersion = sourceVersion
        do throws(SystemError) {
            try write(mark)
        } catch {
            throw .failed("cannot mark the data directory: \(error)")
        }
        return mark
    }

    /// Moves a complete draft up. Its control file comes last, and only when everything else is durable: with it the
    /// directory is a cluster's. What somebody else has put there since it was emptied stays, and nothing is moved.
    func installDraft(_ mark: UnfinishedMark) throws(PostgreSQLError) {
        var mark = mark
        try requireRoom(for: mark)
        do throws(SystemError) {
            if mark.work == .bootstrap {
                mark.systemIdentifier = Self.systemIdentifier(draft + "/global/pg_control")
            }
            mark.moved.merge(try draftEntries()) { $1 }
            // One that tells all of it already is not written again: the disk may be full by now.
            if try readMark() != mark { try write(mark) }
            for name in try Files.list(draft) where name != "global" { try moveUp(name) }
            try Files.synchronize(directory: path)
            try moveUp("global")
            if let mode = Files.mode(draft), Files.mode(path) != mode, chmod(path, mode) != 0 {
                throw SystemError(call: "chmod", subject: path)
            }
            rmdir(draft)
            try Files.synchronize(directory: path)
        } catch {
            let names = error.code == EEXIST ? (try? foreign(mark)) ?? [lastComponent(error.subject)] : []
            if !names.isEmpty { throw occupied(names, mark) }
            throw .failed("cannot move the new data directory into its place: \(error)")
        }
    }

    /// What the draft moves up, with the inodes.
    func draftEntries() throws(SystemError) -> [String: UInt64] {
        // A base backup brings its source's files, whatever their names.
        for name in Self.ownNames { try Files.removeTree("\(draft)/\(name)") }
        var entries: [String: UInt64] = [:]
        for name in try Files.list(draft) where !isFilledInPlace(name) {
            entries[name] = Files.inode("\(draft)/\(name)")
        }
        return entries
    }

    /// Nothing is overwritten, whenever it came. What is no part of a cluster and stands there already stays, and the
    /// draft's goes.
    private func moveUp(_ name: String) throws(SystemError) {
        let (from, to) = ("\(draft)/\(name)", "\(path)/\(name)")
        if isFilledInPlace(name) {
            guard unlink(from) == 0 else { throw SystemError(call: "unlink", subject: from) }
            return
        }
        // A file system that is mounted there keeps its place; what is to stand in it could not be moved.
        if Files.isMountPoint(to) {
            guard rmdir(from) == 0 else { throw SystemError(call: "move to the file system at", subject: to) }
            return
        }
        // Only an empty one goes.
        if isEmptyDirectory(to) { rmdir(to) }
        do throws(SystemError) {
            try Files.rename(from, toNew: to)
        } catch {
            guard error.code == EEXIST, !Self.isOfCluster(name) else { throw error }
            try Files.removeTree(from)
        }
    }

    func makeDirectory() throws(SystemError) {
        if Files.exists(path) { return }
        try Files.makeDirectory(path)
        giveToOwner(of: path)
        try Files.synchronize(directory: Files.parent(path))
    }
}

// MARK: - Emptying

extension DataDirectory {
    /// Where `pg_wal` and the tablespaces lead to now, and what an earlier mark still knows of it.
    func newMark(_ work: UnfinishedMark.Work) throws(SystemError) -> UnfinishedMark {
        var mark = UnfinishedMark(work)
        let found = try readMark()
        let earlier = try unfinished(found)?.isHalf == true ? found : nil
        mark.controlStamp = Files.modificationTime(controlFile)
        let own = ownVersion
        mark.version = own.major == 0 ? earlier?.version ?? 0 : own.major
        mark.catalogue = own.major == 0 ? earlier?.catalogue : own.catalogue
        mark.walDirectory = walDirectory ?? earlier?.walDirectory
        mark.tablespaces = try tablespaces()
        let linked = mark.tablespaces.map(\.path) + [walDirectory].compactMap(\.self)
        for tablespace in earlier?.tablespaces ?? []
        where !mark.tablespaces.contains(where: { $0.oid == tablespace.oid }) {
            mark.tablespaces.append(tablespace)
        }
        mark.filled = earlier?.filled ?? []
        mark.sourceVersion = earlier?.sourceVersion ?? 0
        // A place that was emptied is not ours to empty again: somebody else may have put something there since.
        mark.emptied = (earlier?.emptied ?? []).filter { !linked.contains($0) }
        return mark
    }

    /// Nothing of ours is left outside: a mark that is old by now must cost nobody what comes to stand there.
    private func writeEmptied(_ mark: UnfinishedMark) throws(SystemError) -> UnfinishedMark {
        var mark = mark
        mark.phase = .filling
        mark.controlStamp = nil
        mark.emptied = mark.tablespaces.map(\.path) + [mark.walDirectory].compactMap(\.self)
        mark.filled = []
        mark.sourceVersion = 0
        try write(mark)
        return mark
    }

    private var walDirectory: String? {
        let wal = path + "/pg_wal"
        if Files.isMountPoint(wal) { return wal }
        return linked(wal)
    }

    private func tablespaces() throws(SystemError) -> [UnfinishedMark.Tablespace] {
        let directory = path + "/pg_tblspc"
        if Files.kind(directory) == .missing { return [] }
        return try Files.list(directory).filter { Int($0) != nil }.compactMap { oid in
            linked("\(directory)/\(oid)").map { UnfinishedMark.Tablespace(oid: oid, path: $0) }
        }
    }

    /// Where a link leads, as an absolute path; nil for what is no link.
    private func linked(_ path: String) -> String? {
        guard let target = Files.target(ofLink: path) else { return nil }
        return target.utf8.first == UInt8(ascii: "/") ? target : realPath(path)
    }

    /// Durable before anything else goes: without it nobody takes what is left for a cluster.
    private func removeControlFile() throws(SystemError) {
        if unlink(controlFile) == 0 { return try Files.synchronize(directory: path + "/global") }
        guard errno == ENOENT || errno == ENOTDIR else { throw SystemError(call: "unlink", subject: controlFile) }
    }

    private func emptyOutside(_ mark: UnfinishedMark) throws(SystemError) {
        if let wal = mark.walDirectory, !mark.emptied.contains(wal) {
            // A file system that is mounted in our directory is ours as a whole.
            let isInside = wal == path + "/pg_wal"
            try empty(wal) { isInside ? $0 != "lost+found" : OutsideNames.isWAL($0) }
        }
        for tablespace in mark.tablespaces where !mark.emptied.contains(tablespace.path) {
            try empty(tablespace.path) {
                OutsideNames.isTablespace($0, of: (major: mark.version, catalogue: mark.catalogue))
            }
        }
        // Marks of earlier versions of ours do not tell the source's.
        let source = mark.sourceVersion == 0 ? mark.version : mark.sourceVersion
        for directory in mark.filled {
            try empty(directory) {
                OutsideNames.isWAL($0) || OutsideNames.isTablespace($0, of: (major: source, catalogue: nil))
            }
        }
    }

    private func emptyInside() throws(SystemError) {
        let names = try contents() + (leavings + [rewindMark]).map(lastComponent)
        for name in names {
            let entry = "\(path)/\(name)"
            // What is mounted here cannot go: it is emptied, and filled again.
            if Files.isMountPoint(entry) {
                try empty(entry)
            } else {
                try Files.removeTree(entry, while: { !Task.isCancelled })
            }
        }
        try Files.synchronize(directory: path)
    }

    private func empty(_ directory: String, _ isOurs: (String) -> Bool = { $0 != "lost+found" }) throws(SystemError) {
        guard Files.kind(followingLinks: directory) == .directory else { return }
        for name in try Files.list(directory) where isOurs(name) {
            try Files.removeTree("\(directory)/\(name)", while: { !Task.isCancelled })
        }
        try Files.synchronize(directory: directory)
    }

    /// Missing, or without anything in it.
    private func isEmpty(_ directory: String) -> Bool {
        if Files.kind(followingLinks: directory) == .missing { return true }
        return (try? Files.list(directory).isEmpty) ?? false
    }
}

// MARK: - Moving aside

extension DataDirectory {
    /// Keeps what stands there under another name, in place of an earlier one: the directory renamed by `.failed`, or,
    /// where it is a mount point or a link leads to it, its contents in a directory `.failed` below it. What is ours in
    /// the directories that it links to goes likewise; what others have there stays.
    func setAside() throws(PostgreSQLError) {
        try refuseForeign()
        do throws(SystemError) {
            if !Files.exists(path) { return try removeMark() }
            // Nothing: what an earlier one has left there is worth more.
            if try holdsNothing() { return try removeOwn() }
            let version = ownVersion
            for link in try outsideLinks() {
                let isOurs: (String) -> Bool = { name in
                    link.isWAL ? OutsideNames.isWAL(name) : OutsideNames.isTablespace(name, of: version)
                }
                guard canBeRenamed(link.target) else {
                    // A place that keeps its name is emptied: the tools want it empty, and what they have put there
                    // belongs to a cluster that was never published.
                    try empty(link.target, isOurs)
                    unlink(link.path)
                    continue
                }
                let target = link.target + ".failed"
                try move(from: link.target, to: target, isOurs)
                unlink(link.path)
                guard symlink(target, link.path) == 0 else { throw SystemError(call: "symlink", subject: link.path) }
            }
            if Files.kind(path) == .directory, canBeRenamed(path) {
                try rename(path, replacing: path + ".failed")
                try Files.synchronize(directory: Files.parent(path))
                // The mark beside it would hold for what somebody restores there by hand.
                return try removeMark()
            }
            try setContentsAside()
        } catch {
            throw .failed("cannot move the data directory aside: \(error)")
        }
    }

    /// A mount point, and what stands in a directory that is not ours to write in, keeps its name.
    private func canBeRenamed(_ directory: String) -> Bool {
        !Files.isMountPoint(directory) && access(Files.parent(directory), W_OK) == 0
    }

    /// To a place beside it, in place of what an earlier one has left there: as a whole where nobody else has anything
    /// in either.
    private func move(from: String, to: String, _ isOurs: (String) -> Bool) throws(SystemError) {
        let names = try Files.list(from)
        let earlier = Files.exists(to) ? try Files.list(to) : []
        if (names + earlier).allSatisfy(isOurs) {
            try rename(from, replacing: to)
            return try Files.synchronize(directory: Files.parent(to))
        }
        if Files.exists(to) {
            try empty(to, isOurs)
        } else {
            try Files.makeDirectory(to)
            if let mode = Files.mode(from) { chmod(to, mode) }
            giveToOwner(of: to)
        }
        for name in names where isOurs(name) { try rename("\(from)/\(name)", replacing: "\(to)/\(name)") }
        for directory in [to, from, Files.parent(to)] { try Files.synchronize(directory: directory) }
    }

    private func outsideLinks() throws(SystemError) -> [(path: String, target: String, isWAL: Bool)] {
        let tablespaces = try tablespaces().map { (path: "\(path)/pg_tblspc/\($0.oid)", isWAL: false) }
        return (tablespaces + [(path: path + "/pg_wal", isWAL: true)])
            .compactMap { link in linked(link.path).map { (link.path, $0, link.isWAL) } }
            .filter { !$0.1.hasSuffix(".failed") && Files.exists($0.1) }
    }

    /// The control file goes first, and the mark last: in between the directory is nobody's cluster.
    private func setContentsAside() throws(SystemError) {
        let aside = path + "/.failed"
        try Files.removeTree(aside, while: { !Task.isCancelled })
        try Files.makeDirectory(aside)
        giveToOwner(of: aside)
        let names = try contents()
        for name in (names.contains("global") ? ["global"] : []) + names.filter({ $0 != "global" }) {
            if Files.isMountPoint("\(path)/\(name)") { continue }
            try rename("\(path)/\(name)", replacing: "\(aside)/\(name)")
        }
        try removeOwn()
    }

    private func holdsNothing() throws(SystemError) -> Bool {
        let names = try contents().filter { !Files.isMountPoint("\(path)/\($0)") }
        guard names.isEmpty else { return false }
        return Files.kind(draft) == .missing ? true : try Files.list(draft).isEmpty
    }

    /// The mark last of all.
    private func removeOwn() throws(SystemError) {
        for name in leavings + [rewindMark] { try Files.removeTree(name) }
        try Files.synchronize(directory: path)
        try removeMark()
    }

    private func rename(_ from: String, replacing to: String) throws(SystemError) {
        try Files.removeTree(to, while: { !Task.isCancelled })
        guard Glibc.rename(from, to) == 0 else { throw SystemError(call: "rename", subject: from) }
    }
}
