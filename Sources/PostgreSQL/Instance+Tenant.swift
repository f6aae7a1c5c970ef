import ClusterModel
import Logging
import Ports
import Posix

/// A data directory that another daemon works in, seen as this one begins: two that are configured with one directory,
/// most likely. The server there is that one's, and so are its files and its guardian: until it has ended nothing of
/// them is looked at, written or stopped, and the directory counts as one that cannot be used.
extension Instance {
    /// The lock could not be taken as the daemon began.
    func noteTenant() {
        guard let name = lock.tenant(of: dataDirectory.path) else { return }
        remember { $0.tenant = (name, BootClock.now() + .seconds(2)) }
        log.error("\(keptOut(by: name)): its server and its files are left alone")
    }

    /// Why this node has no data directory for now. Blocking: who was there may have ended.
    func lookForTenant() -> String? {
        guard let known = remember({ $0.tenant }) else { return nil }
        if BootClock.now() < known.nextLook { return keptOut(by: known.name) }
        let name = lock.tenant(of: dataDirectory.path)
        remember { $0.tenant = name.map { ($0, BootClock.now() + .seconds(2)) } }
        if name == nil { log.info("\(dataDirectory.path) is this daemon's from now on") }
        return name.map(keptOut)
    }

    var isKeptOut: Bool { remember { $0.tenant != nil } }

    func refuseTenant() throws(PostgreSQLError) {
        if let tenant = remember({ $0.tenant }) { throw .failed(keptOut(by: tenant.name)) }
    }

    /// What is seen of a directory that is another daemon's: nothing.
    func keptOut(_ why: String, at now: BootInstant) -> PostgreSQLStatus {
        PostgreSQLStatus(dataDirectory: .inaccessible(why), state: .stopped, observedAt: now)
    }

    private func keptOut(by tenant: String) -> String {
        "\(tenant) works in \(dataDirectory.path), which may be another node's postgresql.data_dir"
    }
}
