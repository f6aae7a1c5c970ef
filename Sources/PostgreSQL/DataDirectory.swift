import ClusterModel
import Glibc
import Ports
import Posix

/// The directory of a cluster: what it holds, and how it goes away (postgresql.md §3). Blocking.
struct DataDirectory: Sendable {
    let path: String

    var controlFile: String { path + "/global/pg_control" }
    var standbySignal: String { path + "/standby.signal" }
    var recoverySignal: String { path + "/recovery.signal" }

    var hasStandbySignal: Bool { Files.exists(standbySignal) || Files.exists(recoverySignal) }

    /// Stands beside the directory from before a base backup until after it. pg_basebackup writes the control file
    /// last: with this mark and without one, the directory holds nothing but a copy of ours that was never finished.
    var copyMark: String { path + ".copying" }

    func markCopy() throws(PostgreSQLError) {
        do throws(SystemError) {
            if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
                try Files.makeDirectory(String(path[..<slash]))
            }
            try Files.replace(copyMark, with: [], mode: 0o600)
        } catch {
            throw .failed("cannot mark the base backup as unfinished: \(error)")
        }
    }

    func unmarkCopy() { unlink(copyMark) }

    func inspect() -> PostgreSQLStatus.DataDirectory {
        if Files.exists(controlFile) { return .initialized }
        if Files.exists(copyMark) { return .empty }
        switch Files.kind(path) {
        case .missing: return .empty
        case .file, .other: return .inaccessible("\(path) is not a directory")
        case .directory, .symbolicLink: break
        }
        do throws(SystemError) {
            let names = try Files.list(path).filter { !$0.hasPrefix(".") && $0 != "lost+found" }
            return names.isEmpty ? .empty : .initialized
        } catch {
            return .inaccessible(error.description)
        }
    }

    /// 150000 of `15`; 0 where `PG_VERSION` cannot be read.
    var version: Int {
        guard let text = try? Files.readText(path + "/PG_VERSION"), let major = Int(text.trimmed.prefix { $0 != "." })
        else { return 0 }
        return major * 10000
    }

    /// Files in a data directory that the group may read are readable by the group too.
    var fileMode: UInt32 { (Files.mode(path) ?? 0) & 0o050 == 0o050 ? 0o640 : 0o600 }

    /// What links lead to outside: the WAL directory and the tablespaces.
    private var linkedDirectories: [(link: String, target: String)] {
        let tablespaces = (try? Files.list(path + "/pg_tblspc")) ?? []
        let links = [path + "/pg_wal"] + tablespaces.filter { Int($0) != nil }.map { path + "/pg_tblspc/" + $0 }
        return links.filter { Files.kind($0) == .symbolicLink }.map { ($0, realPath($0)) }
    }

    /// Empties and removes the directory with what it links to. The directory itself stays where it cannot go, as a
    /// mount point: its being empty is what counts.
    func remove() throws(PostgreSQLError) {
        for linked in linkedDirectories { try? empty(linked.target) }
        do throws(SystemError) {
            switch Files.kind(path) {
            case .missing: return
            case .symbolicLink, .file, .other: try Files.removeTree(path)
            case .directory:
                try empty(path)
                rmdir(path)
            }
        } catch {
            throw .failed("cannot remove the data directory: \(error)")
        }
    }

    private func empty(_ directory: String) throws(SystemError) {
        for name in try Files.list(directory) { try Files.removeTree(directory + "/" + name) }
    }

    /// Renames the directory and what it links to by `.failed`, in place of an earlier one.
    func setAside() throws(PostgreSQLError) {
        do throws(SystemError) {
            for linked in linkedDirectories {
                try move(linked.target)
                unlink(linked.link)
                symlink(linked.target + ".failed", linked.link)
            }
            if Files.exists(path) { try move(path) }
        } catch {
            throw .failed("cannot move the data directory aside: \(error)")
        }
    }

    private func move(_ directory: String) throws(SystemError) {
        try Files.removeTree(directory + ".failed")
        guard rename(directory, directory + ".failed") == 0 else {
            throw SystemError(call: "rename", subject: directory)
        }
    }
}
