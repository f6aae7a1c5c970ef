import ClusterModel
import Glibc
import Logging
import Ports
import Posix
import Processes
import Synchronization

/// The lock of whoever writes in a data directory (S12): flock(2) upon the directory itself, whatever it is called and
/// whatever becomes of its contents. The daemon holds it as long as it lives; its helpers, and all that they start,
/// inherit the same open file. So the next daemon finds it held as long as one of them lives.
final class DirectoryLock: Sendable {
    private let log: Logger
    private let state = Mutex(State())

    private struct State {
        var held: HeldDirectory?
        /// Helpers that were given up and have not ended yet: they hold the lock that we hold too.
        var unended: Set<Int32> = []
        var hasWarned = false
    }

    init(log: Logger) { self.log = log }

    /// A copy of the descriptor, for a helper to inherit and the caller to close; -1 where nothing is locked.
    func share() -> Int32 {
        guard let held = state.withLock({ $0.held }) else { return -1 }
        // All that we start has every descriptor closed but those that it is given.
        return dup(held.file.number)
    }

    /// A helper of ours that did not end when it was told to.
    func abandoned(_ pid: Int32) { state.withLock { _ = $0.unended.insert(pid) } }

    /// Takes the lock of the directory at `path`, where there is one. What an earlier daemon has left at work in it is
    /// killed; another daemon is waited for. Throws where somebody is left at the deadline. The directory is looked at
    /// on the caller's thread, which may hang with the disk.
    func acquire(
        _ path: String, deadline: BootInstant, isolation: isolated (any Actor)? = #isolation
    ) async throws(PostgreSQLError) {
        while true {
            let holders = try attempt(path)
            if holders.isEmpty { return }
            // The helpers of one that is at work are that one's.
            for holder in holders where !holder.isDaemon && !holders.contains(where: \.keepsUsOut) {
                log.warning("process \(holder.pid) (\(holder.name)) of an earlier daemon works in \(path): SIGKILL")
                kill(holder.pid, SIGKILL)
            }
            guard BootClock.now() < deadline else {
                let names = holders.map { "process \($0.pid) (\($0.name))" }.joined(separator: ", ")
                throw .failed("\(names) works in \(path); nothing is done there until it ends")
            }
            if Task.isCancelled { throw .cancelled }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Who keeps us out of the directory at `path` and is no leftover of ours: another daemon, which runs. One that the
    /// kernel ends, or that somebody has stopped, does nothing there any more. Nil once we have the lock.
    func tenant(of path: String) -> String? {
        guard let holders = try? attempt(path) else { return nil }
        return holders.first(where: \.keepsUsOut).map { "process \($0.pid) (\($0.name))" }
    }

    /// One attempt; who has the lock where we have not got it.
    private func attempt(_ path: String) throws(PostgreSQLError) -> [Holder] {
        let unended = state.withLock { state in
            // They are children of ours: nobody else collects them.
            state.unended = state.unended.filter { waitpid($0, nil, WNOHANG) == 0 }
            return state.unended
        }
        if !unended.isEmpty { return unended.map { Holder(pid: $0, name: "a helper", isDaemon: true) } }
        guard let identity = DirectoryIdentity(path) else { return [] }
        if state.withLock({ $0.held?.identity == identity }) { return [] }
        do throws(SystemError) {
            return try take(path, identity)
        } catch {
            throw .failed("cannot lock the data directory: \(error)")
        }
    }

    private func take(_ path: String, _ identity: DirectoryIdentity) throws(SystemError) -> [Holder] {
        if let held = HeldDirectory.found(identity) {
            state.withLock { $0.held = held }
            return []
        }
        let file = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        if retryingInterrupts({ flock(file.number, LOCK_EX | LOCK_NB) }) != 0 {
            if errno == EWOULDBLOCK {
                let holders = Holder.search(realPath(path))
                return holders.isEmpty ? [Holder(pid: 0, name: "whose it cannot be seen", isDaemon: true)] : holders
            }
            warnOnce(SystemError(call: "flock", subject: path))
        }
        let held = HeldDirectory(file)
        // Another one may have been put in its place meanwhile: that is for the next attempt.
        guard held.identity == identity else { return [Holder(pid: getpid(), name: "matriarch", isDaemon: true)] }
        held.register()
        state.withLock { $0.held = held }
        return []
    }

    /// Network file systems may know no lock of a directory. Helpers end with the daemon there as everywhere.
    private func warnOnce(_ error: SystemError) {
        let isFirst = state.withLock { state in
            defer { state.hasWarned = true }
            return !state.hasWarned
        }
        if isFirst { log.warning("the file system of the data directory cannot lock it: \(error)") }
    }
}

/// A directory that this process has locked. Shared by all who work in it here: flock(2) keeps apart open files, not
/// processes.
private final class HeldDirectory: Sendable {
    let file: FileDescriptor
    let identity: DirectoryIdentity?

    private struct Weak { weak var directory: HeldDirectory? }
    private static let all = Mutex<[DirectoryIdentity: Weak]>([:])

    init(_ file: consuming FileDescriptor) {
        identity = DirectoryIdentity(file.number)
        self.file = file
    }

    func register() {
        guard let identity else { return }
        Self.all.withLock { all in
            all = all.filter { $0.value.directory != nil }
            all[identity] = Weak(directory: self)
        }
    }

    static func found(_ identity: DirectoryIdentity) -> HeldDirectory? { all.withLock { $0[identity]?.directory } }
}

/// A process that has a directory open under a lock.
private struct Holder {
    var pid: Int32
    var name: String
    /// It is not ours to kill: another daemon, or what somebody who runs our program has forked and what has run no
    /// other one yet. That inherits every descriptor for the instant until it does.
    var isDaemon: Bool

    var keepsUsOut: Bool { isDaemon && isAtWork }

    /// One that cannot be seen may be.
    private var isAtWork: Bool {
        guard pid != 0 else { return true }
        guard let stat = ProcessTable.stat(pid), !stat.hasEnded, !stat.isStopped else { return false }
        return !ProcessTable.isDoomed(pid)
    }

    /// Every process of our user that has inherited the open file of the directory with its lock: with each descriptor
    /// the kernel names the locks of its file.
    static func search(_ path: String) -> [Holder] {
        let program = Files.target(ofLink: "/proc/self/exe")
        return ProcessTable.identifiers().compactMap { pid in
            guard pid != getpid(), hasLocked(path, "/proc/\(pid)"), let stat = ProcessTable.stat(pid) else {
                return nil
            }
            let isOurProgram = program != nil && Files.target(ofLink: "/proc/\(pid)/exe") == program
            return Holder(pid: pid, name: stat.name, isDaemon: stat.name == "matriarch" || isOurProgram)
        }
    }

    private static func hasLocked(_ path: String, _ process: String) -> Bool {
        for number in (try? Files.list(process + "/fd")) ?? []
        where Files.target(ofLink: "\(process)/fd/\(number)") == path {
            guard let info = try? Files.readText("\(process)/fdinfo/\(number)") else { continue }
            if info.split(separator: "\n").contains(where: { $0.hasPrefix("lock:") && $0.contains("FLOCK") }) {
                return true
            }
        }
        return false
    }
}
