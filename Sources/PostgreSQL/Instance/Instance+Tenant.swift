import ClusterModel
import Logging
import Ports
import Posix

/// A data directory that another daemon works in, seen as this one begins: two that are configured with one directory,
/// most likely. The server there is that one's, and so are its files and its guardian: until it has ended nothing of
/// them is looked at, written or stopped, and the directory counts as one that cannot be used.
extension Instance {
    /// Whose the directory is, where it is not ours; nil once nobody keeps us out.
    func note(tenant name: String?) {
        let had = remember { memory in
            defer { memory.tenant = name.map { ($0, BootClock.now() + .seconds(2)) } }
            return memory.tenant != nil
        }
        if let name, !had { log.error("\(keptOut(by: name)): its server and its files are left alone") }
        if name == nil, had { log.info("\(dataDirectory.path) is this daemon's from now on") }
    }

    var isKeptOut: Bool { remember { $0.tenant != nil } }

    func refuseTenant() throws(PostgreSQLError) {
        if let tenant = remember({ $0.tenant }) { throw .failed(keptOut(by: tenant.name)) }
    }

    /// What is seen of a directory that is another daemon's: nothing.
    func keptOut(_ why: String, at now: BootInstant) -> PostgreSQLStatus {
        PostgreSQLStatus(dataDirectory: .inaccessible(why), state: .stopped, observedAt: now)
    }

    func keptOut(by tenant: String) -> String {
        "\(tenant) works in \(dataDirectory.path), which may be another node's postgresql.data_dir"
    }
}
