import ClusterModel
import Glibc
import Ports
import Posix

/// How a complete draft takes the place of a cluster that still stands there (S7). While the draft is filled nothing
/// says so: the cluster is what it was. Then the mark tells the entries of both, the cluster's control file goes aside,
/// and from there on only the draft can follow: who is broken off goes on with it. Renames alone stand in between.
extension DataDirectory {
    /// An empty place for a draft beside a cluster: what an earlier attempt has left goes.
    func clearForDraft() throws(PostgreSQLError) {
        do throws(SystemError) {
            for own in leavings { try Files.removeTree(own, while: { !Task.isCancelled }) }
            try Files.synchronize(directory: path)
        } catch {
            if error.code == ECANCELED { throw .cancelled }
            throw .failed("cannot make room for a copy beside the data directory: \(error)")
        }
    }

    /// Throws where the cluster there is not what `standing` says any more: somebody was there, and has the better
    /// right.
    func requireUnchanged(_ standing: StandingCluster) throws(PostgreSQLError) {
        let found: StandingCluster
        do throws(SystemError) {
            found = try self.standing()
        } catch {
            if error.code == ECANCELED { throw .cancelled }
            throw .failed("cannot look at the data directory: \(error)")
        }
        guard found.sum == standing.sum else {
            throw .failed(
                "what stands in \(path) was changed by somebody while a copy was made to replace it: it stays as it is")
        }
    }

    /// For a command of the operator's, which may fill the directory all the same: until it has ended, and what stands
    /// there was looked at, that counts as half of something (S11).
    func handOverDraft(beside standing: StandingCluster) throws(PostgreSQLError) {
        do throws(SystemError) {
            var mark = try newMark(.copy)
            mark.standing = standing.sum.value
            try handOverDraft(mark)
        } catch {
            throw .failed("cannot prepare the data directory: \(error)")
        }
    }

    /// Removes the draft and the mark of such a command where the cluster is what it was; whether it did.
    func keepUntouched() throws(SystemError) -> Bool {
        guard let mark = try readMark(), mark.phase == .handedOver, let sum = mark.standing,
            try standing().sum.value == sum
        else { return false }
        for own in leavings { try Files.removeTree(own, while: { !Task.isCancelled }) }
        try Files.synchronize(directory: path)
        try removeMark()
        return true
    }

    /// Sets the cluster of `standing` aside for the draft, which is complete and durable; the mark for `installDraft`.
    /// What is no part of a cluster and came meanwhile stays.
    func setAside(_ standing: StandingCluster) throws(PostgreSQLError) -> UnfinishedMark {
        do throws(SystemError) {
            try makeOld()
            var mark = try newMark(.copy)
            mark.phase = .filling
            mark.controlStamp = nil
            mark.emptied = []
            mark.filled = []
            mark.moved = try draftEntries()
            mark.replaced = standing.entries
            try write(mark)
            try moveOld(mark)
            return mark
        } catch {
            throw .failed("cannot set the old data directory aside: \(error)")
        }
    }

    /// What was broken off between two clusters, where the new one is whole: the mark of it, for `goOn`.
    func brokenOffReplacement() throws(SystemError) -> UnfinishedMark? {
        guard let mark = try readMark(), !mark.replaced.isEmpty, mark.phase == .filling,
            try unfinished(mark) == .copy, let control = mark.moved["global"], control == Files.inode(draft + "/global")
        else { return nil }
        let isWhole = mark.moved.allSatisfy { name, inode in
            !Self.isOfCluster(name) || [draft, path].contains { Files.inode("\($0)/\(name)") == inode }
        }
        return isWhole ? mark : nil
    }

    /// Sets aside what is left of the old one.
    func goOn(_ mark: UnfinishedMark) throws(PostgreSQLError) {
        do throws(SystemError) {
            try makeOld()
            try moveOld(mark)
        } catch {
            throw .failed("cannot set the old data directory aside: \(error)")
        }
    }

    /// The new one stands there, and nothing tells of the old one any more.
    func removeOld() throws(SystemError) {
        try Files.removeTree(old, while: { !Task.isCancelled })
    }

    /// Whether the one that is replaced is whole: nothing of it was set aside yet. Nil where its control file does not
    /// stand there. A server never replaces what is asked for here.
    func isReplacedWhole(_ mark: UnfinishedMark) -> Bool? {
        guard isReplaced("global", mark) else { return nil }
        return ["PG_VERSION", "base", "pg_wal", "pg_xact"].allSatisfy {
            mark.replaced[$0] == nil || isReplaced($0, mark)
        }
    }

    private func makeOld() throws(SystemError) {
        if Files.kind(old) == .directory { return }
        try Files.makeDirectory(old)
        giveToOwner(of: old)
        try Files.synchronize(directory: path)
    }

    /// The control file first, and durably: from there on it is not started any more. A mark of pg_rewind was its own.
    private func moveOld(_ mark: UnfinishedMark) throws(SystemError) {
        for name in ["global"] + mark.replaced.keys.filter({ $0 != "global" }).sorted() {
            guard isReplaced(name, mark) else { continue }
            try Files.rename("\(path)/\(name)", toNew: "\(old)/\(name)")
            if name == "global" { for place in [old, path] { try Files.synchronize(directory: place) } }
        }
        for own in [rewindMark, secret] { try Files.removeTree(own) }
        for place in [old, path] { try Files.synchronize(directory: place) }
    }
}
