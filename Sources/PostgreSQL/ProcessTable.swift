import Glibc
import Posix

/// What `/proc` tells of a process. All of it may be gone the next moment, so every answer is optional.
enum ProcessTable {
    /// The fields of `/proc/PID/stat` that we use.
    struct Stat: Sendable, Hashable {
        /// The name of the program, cut to 15 bytes.
        var name: String
        var parent: Int32
        /// One letter: `Z` is a process that has ended and waits for its parent.
        var state: Character
        /// Clock ticks since boot.
        var startTicks: UInt64
        /// Clock ticks on a processor, in the program and in the kernel.
        var cpuTicks: UInt64

        /// The second field is a name in parentheses that may itself hold parentheses and spaces: what counts is after
        /// the last one.
        init?(_ text: String) {
            guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else {
                return nil
            }
            name = String(text[text.index(after: open)..<close])
            let fields = text[text.index(after: close)...].split(separator: " ")
            guard fields.count > 19, let state = fields[0].first, let parent = Int32(fields[1]),
                let ticks = UInt64(fields[19]), let user = UInt64(fields[11]), let system = UInt64(fields[12])
            else { return nil }
            self.parent = parent
            self.state = state
            startTicks = ticks
            cpuTicks = user &+ system
        }
    }

    static func stat(_ pid: Int32) -> Stat? {
        guard let text = try? Files.readText("/proc/\(pid)/stat") else { return nil }
        return Stat(text)
    }

    /// Exists and is no zombie.
    static func isAlive(_ pid: Int32) -> Bool {
        guard let stat = stat(pid) else { return false }
        return stat.state != "Z" && stat.state != "X"
    }

    /// Seconds since the epoch at which a process began.
    static func startTime(_ stat: Stat) -> Double? {
        guard let bootTime else { return nil }
        return Double(bootTime) + Double(stat.startTicks) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }

    /// The path of the program, without the mark of a file that was replaced since.
    static func executable(_ pid: Int32) -> String? {
        guard let path = readLink("/proc/\(pid)/exe") else { return nil }
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? String(path.dropLast(mark.count)) : path
    }

    /// The words of its command line; nil where it cannot be read.
    static func commandLine(_ pid: Int32) -> [String]? {
        guard let bytes = try? Files.read("/proc/\(pid)/cmdline"), !bytes.isEmpty else { return nil }
        return bytes.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }

    static func workingDirectory(_ pid: Int32) -> String? { readLink("/proc/\(pid)/cwd") }

    /// Every process with its parent.
    static func all() -> [(pid: Int32, parent: Int32)] {
        let names = (try? Files.list("/proc")) ?? []
        return names.compactMap { name in
            guard let pid = Int32(name), let stat = stat(pid), stat.state != "Z" else { return nil }
            return (pid, stat.parent)
        }
    }

    /// `pid` and the processes below it, with what they do.
    static func tree(of pid: Int32) -> [(pid: Int32, stat: Stat)] {
        ([pid] + descendants(of: pid)).compactMap { pid in stat(pid).map { (pid, $0) } }
    }

    /// The processes below `pid`, at any depth.
    static func descendants(of pid: Int32) -> [Int32] {
        let all = all()
        var found: [Int32] = []
        var parents: Set<Int32> = [pid]
        while true {
            let next = all.filter { parents.contains($0.parent) && !found.contains($0.pid) }.map(\.pid)
            if next.isEmpty { return found }
            found += next
            parents = Set(next)
        }
    }

    /// The servers that work in `dataDirectory` (its real path): a postmaster and its children all do. A directory of
    /// another container may be called the same, so it is the directory itself that counts.
    static func servers(in dataDirectory: String, programs: Set<String>) -> [Int32] {
        guard let wanted = DirectoryIdentity(dataDirectory) else { return [] }
        return all().map(\.pid).filter { pid in
            guard let program = executable(pid), programs.contains(lastComponent(program)) else { return false }
            return DirectoryIdentity("/proc/\(pid)/cwd") == wanted
        }
    }

    /// The postmasters whose command line says that they were started on one of `paths`, by our user and in our view of
    /// the file system. Their children have other titles.
    static func postmasters(startedOn paths: Set<String>, programs: Set<String>) -> [Int32] {
        let view = readLink("/proc/self/ns/mnt")
        return all().map(\.pid).filter { pid in
            guard let bytes = try? Files.read("/proc/\(pid)/cmdline") else { return false }
            let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            guard let option = words.firstIndex(of: "-D"), option + 1 < words.count, paths.contains(words[option + 1]),
                geteuid() == 0 || owner(pid) == geteuid(), let program = executable(pid)
            else { return false }
            return programs.contains(lastComponent(program)) && readLink("/proc/\(pid)/ns/mnt") == view
        }
    }

    private static func owner(_ pid: Int32) -> uid_t? {
        var info = Glibc.stat()
        return lstat("/proc/\(pid)", &info) == 0 ? info.st_uid : nil
    }

    /// The seconds since the epoch at which the machine began, from `/proc/stat`.
    private static var bootTime: Int64? {
        guard let text = try? Files.readText("/proc/stat") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Int64($0.dropFirst(6).trimmed) }
    }

    private static func readLink(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(byteCount: Int(PATH_MAX), alignment: 1) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink(path, base.assumingMemoryBound(to: CChar.self), buffer.count)
            return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
        }
    }
}

/// What stands after the last slash.
func lastComponent(_ path: String) -> String {
    String(path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...])
}

/// The path with symbolic links resolved; the path itself where it cannot be.
func realPath(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
}
