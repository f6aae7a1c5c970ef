import CPlatform
import Glibc
import Posix

/// A process that the harness started, or that something it started has started; known by pid and start time, so that
/// a pid which the kernel gave to another process is never signalled.
struct OwnedProcess: Sendable, Hashable {
    let pid: pid_t
    /// Clock ticks since boot.
    let startTime: UInt64

    /// The process that has `pid` now; nil when there is none, or only its remains.
    init?(pid: pid_t) {
        guard let startTime = OwnedProcess.startTime(of: pid) else { return nil }
        self.pid = pid
        self.startTime = startTime
    }

    /// One that has ended: no process was started at the first tick.
    private init(ended pid: pid_t) { (self.pid, startTime) = (pid, 0) }

    /// Starts `arguments` detached, its output appended to `log`. What is `brief` may have ended by now.
    static func start(
        _ arguments: [String], log: String, directory: String, environment: [String: String], brief: Bool = false
    ) throws -> OwnedProcess {
        guard let program = arguments.first else { throw Unmet(description: "no program to start") }
        let output = try FileDescriptor.open(log, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
        let variables = environment.map { "\($0.key)=\($0.value)" }
        var pid: pid_t = 0
        let code = withCStrings(arguments) { argv in
            withCStrings(variables) { envp in
                ms_spawn_detached(program, argv, envp, directory, [-1, output.number, output.number], &pid)
            }
        }
        guard code == 0 else { throw SystemError(call: "start", subject: program, code: code) }
        guard let process = OwnedProcess(pid: pid) ?? (brief ? OwnedProcess(ended: pid) : nil) else {
            throw Unmet(description: "\(program) ended at once: see \(log)")
        }
        return process
    }

    var isAlive: Bool { OwnedProcess.startTime(of: pid) == startTime }

    func signal(_ number: Int32) {
        if isAlive { kill(pid, number) }
    }

    /// Waits on a thread of ours for the end; whether it came.
    func waitForEnd(seconds: Double) -> Bool { Blocking.wait(upTo: seconds) { !isAlive } }

    /// The command name of the kernel: at most 15 bytes.
    var name: String {
        ((try? Files.readText("/proc/\(pid)/comm")) ?? "").filter { $0 != "\n" }
    }

    var children: [OwnedProcess] {
        let threads = (try? Files.list("/proc/\(pid)/task")) ?? []
        let lists = threads.compactMap { try? Files.readText("/proc/\(pid)/task/\($0)/children") }
        return lists.flatMap { $0.split(whereSeparator: \.isWhitespace) }.compactMap { pid_t($0) }
            .compactMap(OwnedProcess.init)
    }

    /// The process and its descendants, PostgreSQL's left out: a daemon with its helpers.
    var daemonTree: [OwnedProcess] {
        name.hasPrefix("postgres") ? [] : [self] + children.flatMap(\.daemonTree)
    }

    /// All processes that were started with `variable` in their environment.
    static func all(with variable: String) -> [OwnedProcess] {
        let wanted = Array(variable.utf8)
        let pids = ((try? Files.list("/proc")) ?? []).compactMap { pid_t($0) }.filter { $0 != getpid() }
        return pids.filter { pid in
            let environment = (try? Files.read("/proc/\(pid)/environ")) ?? []
            return environment.split(separator: 0).contains { $0.elementsEqual(wanted) }
        }.compactMap(OwnedProcess.init)
    }

    static func startTime(of pid: pid_t) -> UInt64? {
        guard let text = try? Files.readText("/proc/\(pid)/stat"), let name = text.lastIndex(of: ")") else {
            return nil
        }
        // The name may hold anything; the fields after it are: state, then the 20th is the start time.
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }
}

/// Calls `body` with the strings as a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let copies = strings.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array with a null in it is not empty") }
        return body(base)
    }
}
