import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes

/// A PostgreSQL of another directory may answer where ours is to listen: no word of it counts as one of ours. And what
/// a former postmaster of ours has left behind is in the way of the next one.
extension Instance {
    /// A process that is not our PostgreSQL and has the pid of a stale pid file. A zombie counts: PostgreSQL takes it
    /// for a live one, and where init is slow to collect its children, the postmaster that was just killed is one.
    func ownerOfStalePidFile() -> Int32? {
        guard let text = try? Files.readText("\(configuration.dataDirectory)/postmaster.pid"),
            let file = PostmasterPidFile(text), ProcessTable.stat(file.pid) != nil
        else { return nil }
        return file.pid
    }

    /// A connection to `target`, which is on this machine. Whoever answers there must be a child of our postmaster: the
    /// kernel tells that, for every user and without another question to the server. Throws `.query` with an empty
    /// SQLSTATE where it is not: ours has not answered.
    func connect(to target: ConnectionTarget, deadline: BootInstant) throws(PostgreSQLError) -> PostgreSQLConnection {
        let connection = try PostgreSQLConnection.connect(to: target, deadline: deadline)
        guard let parent = ProcessTable.stat(connection.serverProcess)?.parent, parent == postmaster()?.pid else {
            throw .query(state: "", message: describe(answering: connection.serverProcess, at: target))
        }
        return connection
    }

    private func describe(answering process: Int32, at target: ConnectionTarget) -> String {
        let port = target.parameters["port"] ?? "?"
        // A server's process works in its data directory. That of another user is not shown to us.
        switch ProcessTable.workingDirectory(process) {
        case realPath(configuration.dataDirectory)?: return "the postmaster of the connection is gone"
        case let directory?: return "port \(port) \(Self.isHeld) of \(directory), not of ours"
        case nil: return "port \(port) \(Self.isHeld) that is not ours"
        }
    }

    fileprivate static let isHeld = "is held by a PostgreSQL"

    /// Somebody has refused us while our server does not say yet that it accepts connections.
    func refusedByStranger(_ refusal: PostgreSQLError) -> PostgreSQLError {
        let text = "port \(configuration.port) \(Self.isHeld) that is not ours and refuses us (\(refusal))"
        return .query(state: "", message: text)
    }

    /// Ends what a postmaster that was killed has left behind: such a process holds the shared memory, and PostgreSQL
    /// refuses to start as long as it does. Only to be called while no postmaster runs.
    ///
    /// `isKillEnough`: for who wants no more than that none of them does anything any more. One that the kernel keeps
    /// on a dead disk may stay for ever, and the leader key must not (L1).
    func endOrphans(deadline: BootInstant, isKillEnough: Bool = false) async throws(PostgreSQLError) {
        let directory = realPath(configuration.dataDirectory)
        let (programs, workplace) = (serverPrograms, remember { $0.workplace })
        var last: OrphanVerdict?
        while true {
            // Not watched through pidfd: these are no postmasters, and nobody is to be told. Those of a directory that
            // was moved or removed under them are not at its path any more.
            var found = Set(ProcessTable.servers(in: directory, programs: programs))
            if let workplace, workplace != DirectoryIdentity(directory) {
                found.formUnion(ProcessTable.orphans(in: workplace, programs: programs))
            }
            let orphans = found.sorted().map {
                Orphan(pid: $0, isDoomed: ProcessTable.isDoomed($0))
            }
            let verdict = judge(orphans, isKillEnough: isKillEnough, isOver: BootClock.now() >= deadline)
            switch verdict {
            case .ended: return
            case .kept(let pid):
                log.error("server process \(pid) is killed, and the kernel does not let it go")
                return
            case .outOfTime(let pid): throw .timedOut("the end of server process \(pid)")
            case .kill: break
            }
            if Task.isCancelled { throw .cancelled }
            for orphan in orphans where !orphan.isDoomed { _ = await launcher.signal(SIGKILL, to: orphan.pid) }
            // Those that were killed at once get a moment; those that stay are looked at less often.
            try? await Task.sleep(for: .milliseconds(last == verdict ? 20 : 2))
            last = verdict
        }
    }
}

/// A server process without a postmaster.
struct Orphan: Sendable, Hashable {
    var pid: Int32
    /// SIGKILL is pending for it.
    var isDoomed: Bool
}

/// What becomes of orphans.
enum OrphanVerdict: Sendable, Hashable {
    case ended
    /// SIGKILL, and another look.
    case kill
    /// It runs no more, and is waited for no longer.
    case kept(Int32)
    /// It may go on.
    case outOfTime(Int32)
}

/// Whether the end of `orphans` is waited for. One that is doomed does nothing any more, but holds what it holds.
func judge(_ orphans: [Orphan], isKillEnough: Bool, isOver: Bool) -> OrphanVerdict {
    guard let first = orphans.first else { return .ended }
    guard isOver else { return .kill }
    let alive = orphans.first { !$0.isDoomed }
    if isKillEnough, alive == nil { return .kept(first.pid) }
    return .outOfTime((alive ?? first).pid)
}

extension PostgreSQLError {
    /// Another server than ours has answered.
    var isOfStranger: Bool {
        guard case .query("", let message) = self else { return false }
        return message.contains(Instance.isHeld)
    }
}
