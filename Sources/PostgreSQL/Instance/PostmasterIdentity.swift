import Posix
import Processes

/// Whether the pid of `postmaster.pid` is really our postmaster: after a reboot, or in a container whose pids begin
/// anew, the number may belong to anybody (postgresql.md §4).
struct PostmasterIdentity: Sendable {
    /// What is known of the process that has the pid.
    struct Candidate: Sendable, Hashable {
        var pid: Int32
        var parent: Int32
        /// Seconds since the epoch.
        var startTime: Double?
        var program: String?
        var workingDirectory: String?
    }

    /// We are the daemon, and our own pid and parent.
    var ownPid: Int32
    var ownParent: Int32
    /// The base name of the configured `postgres`.
    var program: String
    /// Its real path.
    var dataDirectory: String

    func isOurs(_ candidate: Candidate, startTime: Int64?) -> Bool {
        if candidate.pid == ownPid || candidate.pid == ownParent || candidate.parent == ownPid { return false }
        // The copy of the directory of a running server has that server's pid file.
        if let directory = candidate.workingDirectory, directory != dataDirectory { return false }
        if let startTime, let began = candidate.startTime, abs(began - Double(startTime)) < 3 { return true }
        return candidate.program.map { [program, "postmaster", "postgres"].contains(lastComponent($0)) } ?? false
    }

    /// Looks the process up; nil where it is gone. It works in `directory` whatever its path is called there: over a
    /// bind mount, say.
    static func candidate(_ pid: Int32, in directory: String? = nil) -> Candidate? {
        guard let stat = ProcessTable.stat(pid), !stat.hasEnded else { return nil }
        let wanted = directory.flatMap { DirectoryIdentity($0) }
        let isThere = wanted != nil && DirectoryIdentity("/proc/\(pid)/cwd") == wanted
        return Candidate(
            pid: pid, parent: stat.parent, startTime: ProcessTable.startTime(stat),
            program: ProcessTable.executable(pid),
            workingDirectory: isThere ? directory : ProcessTable.workingDirectory(pid))
    }
}
