import ClusterModel
import Glibc
import Ports
import Posix

/// What came to stand in a data directory while a cluster was made for it: an operator who restores by hand does not
/// wait for us, and has the better right to the place. It stays, whole or half, whoever dies meanwhile.
extension DataDirectory {
    /// The names of what is neither of the draft that `mark` tells of nor in a place that is filled from outside. Only
    /// while a draft is filled and moved up: the directory was empty then, but for mount points. A command that was
    /// told to fill the draft, and did, has not filled the directory as well.
    func foreign(_ mark: UnfinishedMark) throws(SystemError) -> [String] {
        guard mark.phase == .filling || hasFilledDraft(mark), !isInstalled(mark) else { return [] }
        let places = mark.filled + mark.tablespaces.map(\.path) + [mark.walDirectory].compactMap(\.self)
        let roots = [path, realPath(path)]
        return try contents().filter { name in
            guard Self.isOfCluster(name), !isEmptyDirectory("\(path)/\(name)") else { return false }
            if isFilledInPlace(name) || isOurs(name, mark) || isReplaced(name, mark) { return false }
            let isPlace = places.contains { place in roots.contains { "\(place)/".hasPrefix("\($0)/\(name)/") } }
            return !isPlace && !Files.isMountPoint("\(path)/\(name)")
        }
    }

    /// What shows that somebody restores a cluster. Anything else is put there by tools that know of no cluster: keys,
    /// settings, logs, a shell's history.
    static func isOfCluster(_ name: String) -> Bool {
        switch name {
        case "PG_VERSION", "base", "global", "backup_label", "tablespace_map", "postmaster.pid": true
        case "pg_hba.conf", "pg_ident.conf", "pg_log": false
        default: name.hasPrefix("pg_") || name.hasSuffix(".signal")
        }
    }

    func isEmptyDirectory(_ path: String) -> Bool { (try? Files.list(path))?.isEmpty ?? false }

    /// A file system of its own that is mounted in ours is filled through a link.
    func isFilledInPlace(_ name: String) -> Bool { Files.target(ofLink: "\(draft)/\(name)") == "\(path)/\(name)" }

    private func isOurs(_ name: String, _ mark: UnfinishedMark) -> Bool { stands(name, of: mark.moved) }

    func isReplaced(_ name: String, _ mark: UnfinishedMark) -> Bool { stands(name, of: mark.replaced) }

    /// Whether the entry of that name is still the one that a mark tells of.
    private func stands(_ name: String, of entries: [String: UInt64]) -> Bool {
        entries[name].map { $0 == Files.inode("\(path)/\(name)") } ?? false
    }

    private func hasFilledDraft(_ mark: UnfinishedMark) -> Bool {
        mark.phase == .handedOver && Files.kind(draft) == .directory && !isEmptyDirectory(draft)
    }

    private func isInstalled(_ mark: UnfinishedMark) -> Bool { isOurs("global", mark) }

    /// Somebody's control file stands there, and beside it what we had moved up when we were broken off, or had not
    /// set aside yet.
    func isMixed(_ mark: UnfinishedMark) -> Bool {
        guard mark.phase == .filling, !isInstalled(mark) else { return false }
        return mark.moved.contains { isOurs($0.key, mark) }
            || mark.replaced.contains { Self.isOfCluster($0.key) && isReplaced($0.key, mark) }
    }

    /// Where something was broken off, and somebody has put something there since.
    func refuseForeign() throws(PostgreSQLError) {
        let mark: UnfinishedMark?
        do throws(SystemError) {
            mark = try readMark()
            guard try unfinished(mark)?.isHalf == true else { return }
        } catch {
            throw .failed("cannot look at the data directory: \(error)")
        }
        if let mark { try refuse(foreignTo: mark) }
    }

    /// For the complete draft of `mark`. A command that has filled one has put nothing else here: what stands here is
    /// known to be somebody else's from now on.
    func requireRoom(for mark: UnfinishedMark) throws(PostgreSQLError) {
        try refuse(foreignTo: mark, keepsMark: Files.exists(self.mark))
    }

    private func refuse(foreignTo mark: UnfinishedMark, keepsMark: Bool = false) throws(PostgreSQLError) {
        let names: [String]
        do throws(SystemError) {
            names = try foreign(mark)
            if !names.isEmpty, keepsMark { try write(mark) }
        } catch {
            throw .failed("cannot look at the data directory: \(error)")
        }
        if !names.isEmpty { throw occupied(names, mark) }
    }

    /// The draft goes, and its room is free for what stands there. One that shows that a command did not put it there
    /// stays: what stands there may be half of something all the same, and is neither started nor removed.
    func occupied(_ names: [String], _ mark: UnfinishedMark) -> PostgreSQLError {
        if mark.phase != .handedOver, forgetUnmoved(mark) {
            for place in [secret, draft] { try? Files.removeTree(place, while: { !Task.isCancelled }) }
        }
        let work = mark.work == .copy ? "a copy" : "a new cluster"
        let ours = mark.moved.keys.filter { isOurs($0, mark) }.sorted()
        let half = ours.isEmpty ? "" : " (\(Self.list(ours)) there is half of it)"
        return .failed(
            """
            somebody has put \(Self.list(names)) into \(path) while \(work) was made for it\(half): what stands there \
            stays as it is. If it is to be the cluster, complete it and remove \(self.mark); if not, move it away
            """)
    }

    /// What has not been moved up goes with the draft, and somebody else's entries may get its inodes. False where that
    /// cannot be told: then the draft keeps them.
    private func forgetUnmoved(_ mark: UnfinishedMark) -> Bool {
        var left = mark
        left.moved = mark.moved.filter { isOurs($0.key, mark) }
        // Where the mark was taken away nobody claims anything.
        if left.moved == mark.moved || !Files.exists(self.mark) { return true }
        do throws(SystemError) {
            try write(left)
            return true
        } catch {
            return false
        }
    }

    private static func list(_ names: [String]) -> String {
        names.prefix(6).joined(separator: ", ") + (names.count > 6 ? " and \(names.count - 6) more" : "")
    }
}
