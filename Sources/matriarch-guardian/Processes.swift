import CGuardian
import Glibc
import Guardian

/// Starting programs, and finding PostgreSQL's processes in `/proc`.
enum Processes {
    /// Starts a child; its pid.
    static func spawn(_ launch: GuardianRequest.Launch, deathSignal: Int32) throws(Failure) -> Int32 {
        var arguments: [UnsafeMutablePointer<CChar>?] = launch.arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = launch.environment.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var pid: pid_t = 0
        let code = gd_spawn(
            launch.executable, &arguments, &environment, launch.workingDirectory, deathSignal, &pid)
        guard code == 0 else { throw Failure("cannot start \(launch.executable)", code) }
        return pid
    }

    /// The directory that a process works in, as the kernel calls it. Only the link is read: the file system that it
    /// leads to may hang.
    static func place(_ pid: Int32) -> String? { target("/proc/\(pid)/cwd") }

    /// Whether a process runs one of PostgreSQL's programs.
    static func isServer(_ pid: Int32, _ programs: Set<String>) -> Bool {
        guard let path = target("/proc/\(pid)/exe") else { return false }
        // What was replaced by an upgrade while it ran is marked so.
        return programs.contains { path.hasSuffix("/\($0)") || path.hasSuffix("/\($0) (deleted)") }
    }

    /// Whether two paths lead to one directory. It waits for their file systems: to be asked while nothing is guarded.
    static func isSame(_ path: String, _ other: String) -> Bool {
        var (one, two) = (stat(), stat())
        guard stat(path, &one) == 0, stat(other, &two) == 0 else { return false }
        return one.st_dev == two.st_dev && one.st_ino == two.st_ino
    }

    /// The servers whose parent is `parent`. Not by the directory that they work in: that is moved, hangs, or is called
    /// as another container's.
    static func servers(of parent: Int32, programs: Set<String>) -> [Int32] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let pid = Int32(name), self.parent(of: pid) == parent, isServer(pid, programs) else { continue }
            found.append(pid)
        }
        return found
    }

    /// Where a link of `/proc` leads; nil for a process that has ended.
    private static func target(_ link: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink(link, base, buffer.count)
            return count > 0 ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
        }
    }

    /// The second number after the name, which stands in parentheses and may hold any character.
    private static func parent(of pid: Int32) -> Int32? {
        let file = gd_open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC, 0)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = read(file, &bytes, bytes.count)
        guard count > 0, let end = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = String(decoding: bytes[(end + 1)..<count], as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? Int32(fields[1]) : nil
    }
}
