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

    /// What identifies a directory, whatever it is called.
    struct Place: Equatable {
        var device: dev_t
        var inode: ino_t

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = status.st_dev
            inode = status.st_ino
        }
    }

    /// Whether a process is a server of PostgreSQL's that works in `place`: the postmaster and all its children do.
    static func isServer(_ pid: Int32, in place: Place, programs: Set<String>) -> Bool {
        guard Place("/proc/\(pid)/cwd") == place, let path = program(pid) else { return false }
        // What was replaced by an upgrade while it ran is marked so.
        return programs.contains { path.hasSuffix("/\($0)") || path.hasSuffix("/\($0) (deleted)") }
    }

    /// All such processes; those alone whose parent is `parent` where it is given.
    static func servers(in place: Place, programs: Set<String>, parent: Int32? = nil) -> [Int32] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let pid = Int32(name), parent == nil || self.parent(of: pid) == parent,
                isServer(pid, in: place, programs: programs)
            else { continue }
            found.append(pid)
        }
        return found
    }

    /// The path of the program that a process runs; nil for one that has ended.
    private static func program(_ pid: Int32) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink("/proc/\(pid)/exe", base, buffer.count)
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
