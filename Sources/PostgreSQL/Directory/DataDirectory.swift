import ClusterModel
import Glibc
import Ports
import Posix

/// The directory of a cluster: what it holds (postgresql.md §3). How it goes away and comes into being stands in
/// DataDirectory+Contents.swift, what is remembered meanwhile in UnfinishedMark.swift. Blocking.
struct DataDirectory: Sendable {
    let path: String

    var controlFile: String { path + "/global/pg_control" }
    var standbySignal: String { path + "/standby.signal" }
    var recoverySignal: String { path + "/recovery.signal" }

    var hasStandbySignal: Bool { Files.exists(standbySignal) || Files.exists(recoverySignal) }

    /// What a server that is started in it as it is will be.
    var role: LocalPostgreSQLConfiguration.Role { hasStandbySignal ? .replica : .primary }

    func inspect() -> PostgreSQLStatus.DataDirectory { look().state }

    /// What the directory holds, and what was broken off in it: the mark wins over everything else (S11).
    func look() -> (state: PostgreSQLStatus.DataDirectory, unfinished: PostgreSQLStatus.UnfinishedWork?) {
        do throws(SystemError) {
            switch try Files.look(path, followingLinks: true) {
            case .missing:
                // A volume that is not mounted: what is written now would land somewhere else.
                guard let target = Files.target(ofLink: path) else { return (.empty, nil) }
                return (.inaccessible("\(path) is a symbolic link to \(target), which does not exist"), nil)
            case .file, .other, .symbolicLink: return (.inaccessible("\(path) is not a directory"), nil)
            case .directory: break
            }
            let unfinished = try unfinished(try readMark())
            let isInitialized = try Files.look(controlFile, followingLinks: true) != .missing
            guard let unfinished else {
                if isInitialized { return (.initialized, nil) }
                return (try contents().isEmpty ? .empty : .initialized, nil)
            }
            if unfinished == .copy || unfinished.isBootstrap && !isInitialized { return (.empty, unfinished) }
            return (.initialized, unfinished)
        } catch {
            return (.inaccessible(error.description), nil)
        }
    }

    /// 150000 of `15`; 0 where `PG_VERSION` cannot be read.
    var version: Int {
        guard let text = try? Files.readText(path + "/PG_VERSION"), let major = Int(text.trimmed.prefix { $0 != "." }),
            (0..<1000).contains(major)
        else { return 0 }
        return major * 10000
    }

    /// Files in a data directory that the group may read are readable by the group too.
    var fileMode: UInt32 { (Files.mode(path) ?? 0) & 0o050 == 0o050 ? 0o640 : 0o600 }

    /// The names that belong to a cluster: what begins with a dot and is not ours, and a file system's `lost+found`,
    /// was here before and stays.
    func contents() throws(SystemError) -> [String] {
        try Files.list(path).filter { $0.utf8.first != UInt8(ascii: ".") && $0 != "lost+found" }
    }
}
