import Glibc
import Posix
import TestSupport

/// The programs that the tests run, and the user who runs them.
enum Programs {
    /// What may lead a node: the daemon of this tree, or Patroni, with which it shares clusters.
    enum Daemon: Sendable {
        case subject, peer
    }

    /// The value of an environment variable; nil where it is missing or empty.
    static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// The first of `places` that can be executed.
    static func find(_ name: String, in places: [String]) throws -> String {
        for place in places where access("\(place)/\(name)", X_OK) == 0 { return "\(place)/\(name)" }
        throw Unmet(description: "\(name) is in none of \(places.joined(separator: ", ")): run scripts/setup")
    }

    static let systemPlaces = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    static func system(_ name: String) throws -> String { try find(name, in: systemPlaces) }

    /// The directory of PostgreSQL's server programs: $PGBIN, or Debian's.
    static func postgresqlDirectory() throws -> String {
        let places = [variable("PGBIN"), "/usr/lib/postgresql/15/bin"].compactMap { $0 }
        return String(try find("postgres", in: places).dropLast("/postgres".count))
    }

    /// Where Patroni was installed by `scripts/setup peer`.
    static var peerDirectory: String? {
        let places = [
            variable("MATRIARCH_PEER_DIR"), "/var/cache/matriarch/patroni-4.1.5",
            variable("HOME").map { "\($0)/.cache/matriarch/patroni-4.1.5" },
        ]
        return places.compactMap { $0 }.first { access("\($0)/bin/patroni", X_OK) == 0 }
    }

    static var hasPeer: Bool { peerDirectory != nil }

    static func peer(_ name: String) throws -> String {
        guard let directory = peerDirectory else { throw Unmet(description: "no Patroni: run scripts/setup peer") }
        return "\(directory)/bin/\(name)"
    }

    /// The words that start `daemon`: $MATRIARCH_DAEMON, or the program that was built beside this test bundle.
    static func command(_ daemon: Daemon) throws -> [String] {
        switch daemon {
        case .peer: return [try peer("patroni")]
        case .subject:
            if let command = variable("MATRIARCH_DAEMON") { return command.split(separator: " ").map(String.init) }
            return [try builtDaemon.get()]
        }
    }

    /// As root the daemon runs as the user postgres, who may not be able to read the tree: it gets a copy.
    private static let builtDaemon: Result<String, any Error> = Result {
        let built = try ownDirectory() + "/matriarch"
        guard User.unprivileged != nil else { return built }
        let place = Leftovers.directory(for: "program")
        try Files.makeDirectory(place, mode: 0o755)
        chmod(place, 0o755)
        for name in ["matriarch", "matriarch-guardian"] {
            let program = try Files.read("\(try ownDirectory())/\(name)", limit: 1 << 30)
            try makeProgram("\(place)/\(name)", program)
        }
        return "\(place)/matriarch"
    }

    private static func ownDirectory() throws -> String {
        guard let path = linkTarget("/proc/self/exe"), let slash = path.lastIndex(of: "/") else {
            throw SystemError(call: "readlink", subject: "/proc/self/exe")
        }
        return String(path[..<slash])
    }
}

/// Where a symbolic link points; nil when it is none, or not ours to read.
func linkTarget(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let length = readlink(path, &buffer, buffer.count)
    guard length > 0 else { return nil }
    return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// PostgreSQL refuses to run as root, so root hands over to the user postgres.
struct User: Sendable {
    let uid: uid_t
    let gid: gid_t
    let home: String

    /// Who runs the programs when we are root; nil when we run them as ourselves.
    static let unprivileged: User? = {
        guard geteuid() == 0, let entry = getpwnam("postgres") else { return nil }
        return User(uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid, home: String(cString: entry.pointee.pw_dir))
    }()

    /// `words`, run as that user.
    func prefixed(_ words: [String]) throws -> [String] {
        [try Programs.system("setpriv"), "--reuid", "\(uid)", "--regid", "\(gid)", "--clear-groups", "--"] + words
    }
}

/// What runs of the tests that were killed have left behind.
enum Leftovers {
    static let mark = "MATRIARCH_TEST"
    private static let prefix = "matriarch-it-"
    private static let place = "/tmp"  // short: a unix socket's path has 107 bytes

    /// A directory of this process: the names of its pid and start time tell others whether it still runs.
    static func directory(for name: String) -> String {
        "\(place)/\(prefix)\(getpid())-\(OwnedProcess.startTime(of: getpid()) ?? 0)-\(name)"
    }

    /// Ends the processes and removes the directories of test runs that are over. Blocking.
    static func sweep() {
        for name in (try? Files.list(place)) ?? [] where name.hasPrefix(prefix) {
            let parts = name.dropFirst(prefix.count).split(separator: "-")
            guard parts.count >= 3, let pid = pid_t(parts[0]), let startTime = UInt64(parts[1]) else { continue }
            if OwnedProcess.startTime(of: pid) == startTime { continue }
            end(directory: "\(place)/\(name)")
        }
    }

    /// Ends all that was started in `directory`, postmasters included, and removes it. Blocking.
    static func end(directory: String) {
        for node in (try? Files.list(directory)) ?? [] {
            postmaster(data: "\(directory)/\(node)/data")?.endPostmaster()
        }
        let rest = OwnedProcess.all(with: "\(mark)=\(directory)")
        for process in rest { process.signal(SIGKILL) }
        _ = Blocking.wait(upTo: 10) { !rest.contains { $0.isAlive } }
        for node in (try? Files.list(directory)) ?? [] {
            postmaster(data: "\(directory)/\(node)/data")?.endPostmaster()
        }
        // Children of a postmaster that was killed may still be writing.
        _ = Blocking.wait(upTo: 5) { (try? Files.removeTree(directory)) != nil }
    }

    /// The postmaster that runs in `data`, by its pid file and its working directory.
    static func postmaster(data: String) -> OwnedProcess? {
        guard let text = try? Files.readText("\(data)/postmaster.pid"),
            let pid = text.split(separator: "\n").first.flatMap({ pid_t($0) }), linkTarget("/proc/\(pid)/cwd") == data
        else { return nil }
        return OwnedProcess(pid: pid)
    }
}

extension OwnedProcess {
    fileprivate func endPostmaster() {
        signal(SIGQUIT)
        if !waitForEnd(seconds: 5) { signal(SIGKILL) }
        _ = waitForEnd(seconds: 5)
    }
}
