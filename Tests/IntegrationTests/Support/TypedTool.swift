import ClusterModel
import Glibc
import Posix
import Synchronization
import Testing

/// An operator's tool at a pseudo-terminal of its own: a test sees what stands there, and types.
final class TypedTool: Sendable {
    private let master: Int32
    private let process: OwnedProcess
    private let directory: String
    private let seen = Mutex<[UInt8]>([])
    /// How much of it was expected before.
    private let cursor = Mutex(0)

    fileprivate init(_ command: [String], _ environment: [String: String], directory: String) throws {
        // What posix_openpt, unlockpt and ptsname do, which Glibc's module does not have.
        let master = try FileDescriptor.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK).release()
        var (isLocked, number) = (Int32(0), UInt32(0))
        guard ioctl(master, 0x4004_5431, &isLocked) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
            throw SystemError(call: "ioctl", subject: "/dev/ptmx")
        }
        // In a session of its own, so that Ctrl-C and changes of size come from there.
        let shell = #"t=$1; shift; setsid -c -w "$@" <"$t" >"$t" 2>&1; echo $? >"$0/status""#
        self.master = master
        self.directory = directory
        process = try OwnedProcess.start(
            ["/bin/sh", "-c", shell, directory, "/dev/pts/\(number)"] + command, log: "\(directory)/log",
            directory: directory, environment: environment)
        resize(columns: 120, lines: 40)
    }

    deinit { close(master) }

    func resize(columns: UInt16, lines: UInt16) {
        var size = winsize(ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    }

    func type(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard write(master, bytes, bytes.count) == bytes.count else { throw SystemError(call: "write") }
    }

    /// Whether what is typed is shown.
    var echoes: Bool {
        var settings = termios()
        return tcgetattr(master, &settings) != 0 || settings.c_lflag & tcflag_t(ECHO) != 0
    }

    /// All that has stood there.
    var output: String { seen.withLock { String(decoding: $0, as: UTF8.self) } }

    private func look() {
        var part = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(master, &part, part.count)
            guard count > 0 else { return }
            seen.withLock { $0 += part[..<count] }
        }
    }

    /// Waits until `text` stands there, behind what was waited for before.
    func expect(_ text: String, within seconds: Double = 30) async throws {
        do {
            try await waitUntil("\(text.debugDescription) is shown", within: seconds) {
                look()
                let all = seen.withLock { $0 }
                let begin = cursor.withLock { $0 }
                guard let found = all[begin...].firstRange(of: Array(text.utf8)) else { return false }
                cursor.withLock { $0 = found.upperBound }
                return true
            }
        } catch {
            throw Unmet(description: "\(error): \(output.debugDescription)")
        }
    }

    /// Waits for its end; its exit code.
    func end(within seconds: Double = 60) async throws -> Int? {
        try await waitUntil("the tool ends", within: seconds) {
            look()
            return !process.isAlive
        }
        return Int((try? Files.readText("\(directory)/status"))?.split(separator: "\n").first ?? "")
    }

    fileprivate func leave() {
        for left in OwnedProcess.all(with: "\(Leftovers.mark)=\(directory)") { left.signal(SIGKILL) }
        try? Files.removeTree(directory)
    }
}

extension OperatorTool {
    /// Runs one command at a terminal, while `body` looks at it and types.
    func typed(_ words: String..., body: (TypedTool) async throws -> Void) async throws {
        try await typed(words, body: body)
    }

    func typed(_ words: [String], body: (TypedTool) async throws -> Void) async throws {
        let (program, options, more) = (program, options, environment)
        let tool = try await Blocking.run("typed") {
            let directory = Leftovers.directory(for: "ctl\(BootClock.now().nanoseconds)")
            try Files.makeDirectory(directory, mode: 0o755)
            let command = [try Self.path(program, directory)] + options + words
            return try TypedTool(command, Self.environment(directory).merging(more) { $1 }, directory: directory)
        }
        do { try await body(tool) } catch {
            tool.leave()
            throw error
        }
        tool.leave()
    }
}
