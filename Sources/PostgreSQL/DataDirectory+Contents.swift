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
        do throws(SystemError) {
            try makeDirectory()
            let mark = try newMark(work)
            try write(mark)
            try removeControlFile()
            try emptyOutside(mark)
            try emptyInside()
            return mark
        } catch {
            if error.code == ECANCELED { throw .cancelled }
            throw .failed("cannot remove the data directory: \(error)")
        }
    }

    /// Marks durably that the draft is being filled, and which directories outside with it: those of `places` that
    /// are empty now. What stands in another one is not ours, and the tool will refuse it.
    func beginDraft(_ mark: UnfinishedMark, places: [String]) throws(PostgreSQLError) -> UnfinishedMark {
        var mark = mark
        mark.phase = .filling
        mark.controlStamp = nil
        mark.filled = places.filter { isEmpty($0) }
        do throws(SystemError) {
            try write(mark)
        } catch {
            throw .failed("cannot mark the data directory: \(error)")
        }
        return mark
    }

    /// Moves a complete draft up. Its control file comes last, and only when everything else is durable: with it the
    /// directory is a cluster's.
    func installDraft(_ mark: UnfinishedMark) throws(PostgreSQLError) {
        do throws(SystemError) {
            if mark.work == .bootstrap {
                var mark = mark
                mark.systemIdentifier = Self.systemIdentifier(draft + "/global/pg_control")
                try write(mark)
            }
            // A base backup brings its source's files, whatever their names.
            for name in Self.ownNames { try Files.removeTree("\(draft)/\(name)") }
            for name in try Files.list(draft) where name != "global" { try moveUp(name) }
            try Files.synchronize(directory: path)
            try moveUp("global")
            if let mode = Files.mode(draft), Files.mode(path) != mode, chmod(path, mode) != 0 {
                throw SystemError(call: "chmod", subject: path)
            }
            rmdir(draft)
            try Files.synchronize(directory: path)
        } catch {
            throw .failed("cannot move the new data directory into its place: \(error)")
        }
    }

    private func moveUp(_ name: String) throws(SystemError) {
        let (from, to) = ("\(draft)/\(name)", "\(path)/\(name)")
        // A file system of its own that is mounted in ours was filled through a link.
        if Files.target(ofLink: from) == to {
            guard unlink(from) == 0 else { throw SystemError(call: "unlink", subject: from) }
            return
        }
        try Files.removeTree(to)
        guard Glibc.rename(from, to) == 0 else { throw SystemError(call: "rename", subject: from) }
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
    private func newMark(_ work: UnfinishedMark.Work) throws(SystemError) -> UnfinishedMark {
        var mark = UnfinishedMark(work)
        let found = try readMark()
        let work = try unfinished(found)
        let earlier = work == .copy || work == .bootstrap ? found : nil
        mark.controlStamp = Files.modificationTime(controlFile)
        mark.version = version == 0 ? earlier?.version ?? 0 : version / 10000
        mark.walDirectory = walDirectory ?? earlier?.walDirectory
        mark.tablespaces = try tablespaces()
        for tablespace in earlier?.tablespaces ?? []
        where !mark.tablespaces.contains(where: { $0.oid == tablespace.oid }) {
            mark.tablespaces.append(tablespace)
        }
        mark.filled = earlier?.filled ?? []
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
        if let wal = mark.walDirectory { try empty(wal) }
        // Another version's cluster may have its part of a tablespace's directory: pg_upgrade leaves it so.
        for tablespace in mark.tablespaces {
            try empty(tablespace.path) { $0.hasPrefix("PG_\(mark.version)_") }
        }
        for directory in mark.filled { try empty(directory) }
    }

    private func emptyInside() throws(SystemError) {
        let names = try contents() + [draft, rewindMark, secret].map(lastComponent)
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
    /// where it is a mount point or a link leads to it, its contents in a directory `.failed` below it. What it links
    /// to is renamed likewise.
    func setAside() throws(PostgreSQLError) {
        do throws(SystemError) {
            if !Files.exists(path) { return }
            for link in try outsideLinks() {
                guard canBeRenamed(link.target) else {
                    try empty(link.target)
                    unlink(link.path)
                    continue
                }
                let target = link.target + ".failed"
                try rename(link.target, replacing: target)
                unlink(link.path)
                guard symlink(target, link.path) == 0 else { throw SystemError(call: "symlink", subject: link.path) }
            }
            if Files.kind(path) == .directory, canBeRenamed(path) {
                try rename(path, replacing: path + ".failed")
                return try Files.synchronize(directory: Files.parent(path))
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

    /// A place outside that keeps its name is emptied: the tools want it empty, and what they have put there belongs to
    /// a cluster that was never published.
    private func empty(_ place: String) throws(SystemError) {
        for name in try Files.list(place) where name != "lost+found" {
            try Files.removeTree("\(place)/\(name)", while: { !Task.isCancelled })
        }
        try Files.synchronize(directory: place)
    }

    private func outsideLinks() throws(SystemError) -> [(path: String, target: String)] {
        let wal = path + "/pg_wal"
        let links = try tablespaces().map { "\(path)/pg_tblspc/\($0.oid)" } + [wal]
        return links.compactMap { link in linked(link).map { (link, $0) } }
            .filter { !$0.target.hasSuffix(".failed") && Files.exists($0.target) }
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
        for name in [draft, rewindMark, secret] { try Files.removeTree(name) }
        try Files.synchronize(directory: path)
        try removeMark()
    }

    private func rename(_ from: String, replacing to: String) throws(SystemError) {
        try Files.removeTree(to, while: { !Task.isCancelled })
        guard Glibc.rename(from, to) == 0 else { throw SystemError(call: "rename", subject: from) }
    }
}
