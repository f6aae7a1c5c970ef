import CGuardian
import Glibc
import Posix
import Processes

/// Where the guardian of a data directory is to be found. Below `MATRIARCH_RUN_DIR` where that is set; else in a
/// directory that it makes itself, whose name nobody can know before, and it is found by its process. That finds one
/// whose directory somebody has tidied away, too, and one that knows the data directory by another path.
enum GuardianPlace {
    /// A running guardian of our user's.
    struct Found: Hashable {
        var pid: Int32
        /// Leads to the directory that it works in, whatever that is called and whether it has a name or not.
        var directory: String { "/proc/\(pid)/cwd" }
    }

    /// The place that depends on the user and on the data directory alone, and exists before either does; nil where the
    /// guardian makes its own.
    static func configured(for dataDirectory: String) -> String? {
        guard let parent = getenv("MATRIARCH_RUN_DIR").map({ String(cString: $0) }), !parent.isEmpty else { return nil }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in dataDirectory.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\(parent)/matriarch-\(geteuid())/\(String(hash, radix: 16))"
    }

    /// One spelling for each directory, also for one that does not exist yet: as far as it does, links are resolved.
    static func canonical(_ path: String) -> String {
        if let resolved = realpath(path, nil) {
            defer { free(resolved) }
            return String(cString: resolved)
        }
        let trimmed = path.utf8.last == UInt8(ascii: "/") && path.utf8.count > 1 ? String(path.dropLast()) : path
        let parent = Files.parent(trimmed)
        if parent == trimmed || parent == "." { return trimmed }
        let above = canonical(parent)
        return (above == "/" ? "" : above) + "/" + lastComponent(trimmed)
    }

    /// Why a directory is no place for a guardian: whoever may write there could pose as one. Nil for a good one, and
    /// for one that does not exist.
    static func problem(_ path: String) -> String? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            return errno == ENOENT ? nil : "\(SystemError(call: "lstat", subject: path))"
        }
        if status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() || geteuid() == 0, status.st_mode & 0o077 == 0
        {
            return nil
        }
        return "\(path) must be a directory of user \(geteuid()) with mode 0700: somebody else has made it"
    }

    /// The guardians of `dataDirectory` (canonical) that run as our user, and see our directory there: in another
    /// container, whose processes may be told to us too, another one is called the same.
    static func search(_ dataDirectory: String) -> [Found] {
        ProcessTable.identifiers().compactMap { pid in
            // The name of a program is cut to 15 bytes; nothing else of a foreign process is worth a look.
            guard (try? Files.readText("/proc/\(pid)/comm")) == "matriarch-guard\n", isOurs("/proc/\(pid)"),
                ProcessTable.sees(pid, [dataDirectory]),
                let words = ProcessTable.commandLine(pid)
            else { return nil }
            guard let index = words.firstIndex(of: "--data-dir"), index + 1 < words.count,
                canonical(words[index + 1]) == dataDirectory
            else { return nil }
            return Found(pid: pid)
        }
    }

    private static func isOurs(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && (status.st_uid == geteuid() || geteuid() == 0)
    }

    /// A connection to the socket in `directory`; nil where nobody listens.
    static func connect(_ directory: String) throws(SystemError) -> Int32? {
        let socket = gd_socket()
        guard socket >= 0 else { throw SystemError(call: "socket") }
        if gd_connect(socket, "\(directory)/socket") == 0 { return socket }
        let code = errno
        close(socket)
        if code == ENOENT || code == ECONNREFUSED { return nil }
        throw SystemError(call: "connect", subject: "\(directory)/socket", code: code)
    }

    /// A connection to a guardian that was found by its process. One whose socket is gone is asked to make another one.
    static func connect(_ found: Found) throws(SystemError) -> Int32? {
        if let socket = try connect(found.directory) { return socket }
        guard kill(found.pid, SIGHUP) == 0 else { return nil }
        for _ in 0..<50 {
            _ = poll(nil, 0, 10)
            if let socket = try connect(found.directory) { return socket }
        }
        return nil
    }
}

/// When to try again to start a guardian that does not start: after pauses that grow, so that what stands in its way is
/// told and not drowned.
struct GuardianAttempts {
    /// Why the last attempt failed; nil where it did not.
    private(set) var failure: String?
    private var count = 0
    private var nextAt: Int64 = 0

    /// The pause before the next attempt, in nanoseconds.
    private static let pauses: [Int64] = [500_000_000, 1_000_000_000, 2_000_000_000, 5_000_000_000, 10_000_000_000]

    func isTooEarly(_ now: Int64) -> Bool { failure != nil && now < nextAt }

    mutating func failed(_ reason: String, _ now: Int64) {
        failure = reason
        nextAt = now + Self.pauses[min(count, Self.pauses.count - 1)]
        count += 1
    }

    mutating func succeeded() {
        failure = nil
        count = 0
    }
}
