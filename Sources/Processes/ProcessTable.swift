import CPlatform
import Glibc

/// What `/proc` tells of a process. All of it may be gone the next moment, so every answer is optional. Daemon and
/// guardian ask here: what a server of PostgreSQL's is, is said once.
public enum ProcessTable {
    /// The fields of `/proc/PID/stat` that we use.
    public struct Stat: Sendable, Hashable {
        /// The name of the program, cut to 15 bytes.
        public var name: String
        public var parent: Int32
        /// One letter: `Z` is a process that has ended and waits for its parent.
        public var state: Character
        /// Clock ticks since boot.
        public var startTicks: UInt64
        /// Clock ticks on a processor, in the program and in the kernel.
        public var cpuTicks: UInt64
        /// It is on its way out (PF_EXITING), all threads of it: no instruction of the program's is executed any more,
        /// however long the kernel needs for the rest.
        public var isExiting: Bool

        /// By a signal, or by a debugger.
        public var isStopped: Bool { Self.isStopped(state) }

        /// It waits for its parent at most.
        public var hasEnded: Bool { state == "Z" || state == "X" }

        public static func isStopped(_ state: Character) -> Bool { state == "T" || state == "t" }

        /// The second field is a name in parentheses that may itself hold parentheses and spaces: what counts is after
        /// the last one.
        public init?(_ text: String) {
            guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else {
                return nil
            }
            name = String(text[text.index(after: open)..<close])
            let fields = text[text.index(after: close)...].split(separator: " ")
            guard fields.count > 19, let state = fields[0].first, let parent = Int32(fields[1]),
                let ticks = UInt64(fields[19]), let user = UInt64(fields[11]), let system = UInt64(fields[12]),
                let flags = UInt64(fields[6]), let threads = Int(fields[17])
            else { return nil }
            self.parent = parent
            self.state = state
            startTicks = ticks
            cpuTicks = user &+ system
            isExiting = flags & 4 != 0 && threads <= 1
        }
    }

    public static func stat(_ pid: Int32) -> Stat? {
        text("/proc/\(pid)/stat").flatMap { Stat($0) }
    }

    /// How often a process was given a processor: a process whose number stays has not come out of what it waits in.
    public static func turns(_ pid: Int32) -> UInt64? {
        text("/proc/\(pid)/status").flatMap { turns(ofStatus: $0) }
    }

    /// Of its own accord and against it; both are counted when it has to leave the processor again.
    public static func turns(ofStatus text: String) -> UInt64? {
        var counts: [UInt64] = []
        for line in text.split(separator: "\n") where line.contains("voluntary_ctxt_switches:") {
            guard let count = line.split(whereSeparator: { $0 == "\t" || $0 == " " }).last.flatMap({ UInt64($0) })
            else {
                return nil
            }
            counts.append(count)
        }
        return counts.count == 2 ? counts[0] &+ counts[1] : nil
    }

    /// Exists and is no zombie.
    public static func isAlive(_ pid: Int32) -> Bool {
        stat(pid).map { !$0.hasEnded } ?? false
    }

    /// Seconds since the epoch at which a process began.
    public static func startTime(_ stat: Stat) -> Double? {
        guard let bootTime else { return nil }
        return Double(bootTime) + Double(stat.startTicks) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }

    /// The path of the program, without the mark of a file that was replaced since.
    public static func executable(_ pid: Int32) -> String? {
        guard let path = readLink("/proc/\(pid)/exe") else { return nil }
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? String(path.dropLast(mark.count)) : path
    }

    /// The words of its command line; nil where it cannot be read.
    public static func commandLine(_ pid: Int32) -> [String]? {
        guard let bytes = bytes("/proc/\(pid)/cmdline"), !bytes.isEmpty else { return nil }
        return bytes.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }

    public static func workingDirectory(_ pid: Int32) -> String? { readLink("/proc/\(pid)/cwd") }

    /// Every process that there is now, one that has ended and waits for its parent too: the one place that looks
    /// through `/proc`.
    public static func identifiers() -> [Int32] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let pid = Int32(name) { found.append(pid) }
        }
        return found
    }

    /// Every process with its parent.
    public static func all() -> [(pid: Int32, parent: Int32)] {
        identifiers().compactMap { pid in
            guard let stat = stat(pid), stat.state != "Z" else { return nil }
            return (pid, stat.parent)
        }
    }

    /// `pid` and the processes below it, with what they do.
    public static func tree(of pid: Int32) -> [(pid: Int32, stat: Stat)] {
        ([pid] + descendants(of: pid)).compactMap { pid in stat(pid).map { (pid, $0) } }
    }

    /// The processes below `pid`, at any depth.
    public static func descendants(of pid: Int32) -> [Int32] {
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

    /// Whether a process runs one of `programs`, the names of PostgreSQL's server: a postmaster and its children do.
    public static func isServer(_ pid: Int32, _ programs: Set<String>) -> Bool {
        guard let path = executable(pid) else { return false }
        return programs.contains { path.hasSuffix("/\($0)") }
    }

    /// The servers that work in `dataDirectory`: a postmaster and its children all do. A directory of another container
    /// may be called the same, so it is the directory itself that counts. It waits for the directory's file system.
    public static func servers(in dataDirectory: String, programs: Set<String>) -> [Int32] {
        guard let wanted = DirectoryIdentity(dataDirectory) else { return [] }
        return all().map(\.pid).filter { pid in
            isServer(pid, programs) && DirectoryIdentity("/proc/\(pid)/cwd") == wanted
        }
    }

    /// What a postmaster that has ended left behind in a directory, wherever that is now, removed ones too. Its number
    /// may be another directory's once none of them is left; what works there for another postmaster does not count.
    public static func orphans(in directory: DirectoryIdentity, programs: Set<String>) -> [Int32] {
        all().filter { process in
            isServer(process.pid, programs) && !isServer(process.parent, programs)
                && commandLine(process.pid)?.first?.hasPrefix("postgres: ") == true
                && DirectoryIdentity("/proc/\(process.pid)/cwd") == directory
        }.map(\.pid)
    }

    /// The servers whose parent is `parent`, whatever becomes of the directory that they work in: that may be moved, or
    /// hang, and no file system is waited for.
    public static func servers(of parent: Int32, programs: Set<String>) -> [Int32] {
        children(of: parent).filter { isServer($0, programs) }
    }

    /// The processes right below `parent`.
    public static func children(of parent: Int32) -> [Int32] {
        all().filter { $0.parent == parent }.map(\.pid)
    }

    /// The postmasters whose command line says that they were started on one of `paths`, by our user and where we see
    /// the same directory there. Their children have other titles.
    public static func postmasters(startedOn paths: Set<String>, programs: Set<String>) -> [Int32] {
        return all().map(\.pid).filter { pid in
            guard let words = commandLine(pid), let option = words.firstIndex(of: "-D"), option + 1 < words.count,
                paths.contains(words[option + 1]), geteuid() == 0 || owner(pid) == geteuid(), isServer(pid, programs)
            else { return false }
            // The path may be a link: where a server works tells where that leads.
            return sees(pid, [words[option + 1], workingDirectory(pid)].compactMap(\.self))
        }
    }

    private static func owner(_ pid: Int32) -> uid_t? {
        var info = Glibc.stat()
        return lstat("/proc/\(pid)", &info) == 0 ? info.st_uid : nil
    }

    /// The seconds since the epoch at which the machine began, from `/proc/stat`.
    private static var bootTime: Int64? {
        guard let text = text("/proc/stat") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Int64($0.dropFirst(6)) }
    }

    static func readLink(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(byteCount: Int(PATH_MAX), alignment: 1) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink(path, base.assumingMemoryBound(to: CChar.self), buffer.count)
            return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
        }
    }

    /// The whole text of a file of `/proc`; nil for a process that has ended.
    public static func text(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    /// A command line may be long, but not without bound.
    private static func bytes(_ path: String) -> [UInt8]? {
        let file = ms_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var content: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while content.count < 16 << 20 {
            let count = read(file, &part, part.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return content }
            content += part[..<count]
        }
        return nil
    }
}
