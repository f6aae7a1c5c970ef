import ClusterModel
import Glibc
import Ports
import Posix

/// A server that starts to accept writes does so on what was looked at: what stands at the path of its data directory
/// may have been changed since, and nobody else looks before it writes.
extension DataDirectory {
    /// Of what stands at `path` now; nil where it cannot be read. Blocking.
    static func stamp(_ path: String, walEnd: WALPosition? = nil) -> DirectoryStamp? {
        guard let directory = identity(path) else { return nil }
        let file = open(path + "/global/pg_control", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = Glibc.stat()
        var head = [UInt8](repeating: 0, count: DirectoryStamp.controlSize)
        let got = head.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        guard fstat(file, &status) == 0, got == head.count else { return nil }
        return DirectoryStamp(directory: directory, controlFile: .init(status), control: head, walEnd: walEnd)
    }

    private static func identity(_ path: String) -> DirectoryStamp.Identity? {
        var status = Glibc.stat()
        return stat(path, &status) == 0 ? .init(status) : nil
    }
}

extension DirectoryStamp.Identity {
    fileprivate init(_ status: stat) { self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) }
}

extension Instance {
    /// Ends a postmaster that has just been started and does not work on `stamp`, and throws. It is looked at as soon
    /// as it is in its data directory, which is before it has begun to read there: the kernel keeps it in that one,
    /// whatever comes to bear its name later.
    func requireDirectory(
        _ pid: Int32, _ stamp: DirectoryStamp, deadline: BootInstant, isolation: isolated (any Actor)? = #isolation
    ) async throws(PostgreSQLError) {
        let deadline = max(deadline, BootClock.now() + .seconds(10))
        // Its pid file is what it writes first, once it is there.
        while PostmasterPidFile((try? Files.readText(workplace(of: pid) + "/postmaster.pid")) ?? "")?.pid != pid {
            if BootClock.now() >= deadline { break }
            if await watch.waitForExit(of: pid, deadline: BootClock.now() + .milliseconds(2)) { return }
            // Who is cancelled does not wait any more.
            if Task.isCancelled { await Task { try? await Task.sleep(for: .milliseconds(1)) }.value }
        }
        guard let why = difference(stamp, workplace(of: pid)) else { return }
        _ = await killTree(pid)
        _ = await watch.waitForExit(of: pid, deadline: BootClock.now() + .seconds(10))
        throw .failed("postmaster \(pid) was ended at once, it had not the data directory that was looked at: \(why)")
    }

    /// Where the kernel does not let us look into a process, the path tells, which may lead elsewhere by now.
    private func workplace(of pid: Int32) -> String {
        let work = "/proc/\(pid)/cwd"
        return Files.exists(work + "/.") ? work : dataDirectory.path
    }

    private func difference(_ stamp: DirectoryStamp, _ path: String) -> String? {
        guard var now = DataDirectory.stamp(path) else { return "it cannot be read" }
        if now.control == stamp.control, stamp.walEnd != nil {
            now.walEnd = remember { $0.control?.output }?.walFiles(in: path)?.end(from: walTimeline ?? 1)
            // What began in between may have written.
            if DataDirectory.stamp(path)?.control != now.control { now.walEnd = nil }
        }
        return stamp.replaced(by: now)
    }

    /// The timeline from which on the end of the WAL was looked for.
    private var walTimeline: TimelineID? { remember { $0.control?.output.controlData?.checkpointTimeline } }
}
