import ClusterModel
import Glibc
import Ports
import Posix

/// Runs the programs of PostgreSQL, each with a deadline, with bounded output, and ended when the task is cancelled.
struct ToolRunner: Sendable {
    /// `matriarch-guardian`, in whose helper mode programs run, so that none outlives the daemon.
    var helper: String
    /// What they inherit, with all that they start.
    var lock: DirectoryLock?
    /// Put before every command line: empty in production. Tests that run as root name a program there that becomes
    /// another user, since PostgreSQL refuses to run as root.
    var prefix: [String] = []

    /// One run of a program.
    struct Invocation: Sendable {
        /// A path, or a name to be found through PATH.
        var program: String
        var arguments: [String]
        /// Beside the inherited ones; nil removes.
        var environment: [String: String?] = [:]
        var deadline: BootInstant
        /// How many bytes of the end of its output are kept.
        var outputLimit: Int = 256 << 10
        /// Where it is late or cancelled it is killed without being asked to end.
        var endsAtOnce = false
        /// Told each line of the output as it comes.
        var onLine: (@Sendable (String) -> Void)?
    }

    struct Output: Sendable {
        /// The exit status, or 128 and the signal's number.
        var status: Int32
        /// Standard output and error together, in the order in which they came.
        var text: String
    }

    /// Runs a program to its end; throws where it cannot be started, is late or is cancelled, not for a bad status.
    func run(_ invocation: Invocation) async throws(PostgreSQLError) -> Output {
        if Task.isCancelled { throw .cancelled }
        let name = lastComponent(invocation.program)
        let tail = OutputTail(limit: invocation.outputLimit)
        let end = try await start(invocation, name) { bytes in
            for line in tail.append(bytes) { invocation.onLine?(line) }
        }
        if Task.isCancelled { throw .cancelled }
        switch end {
        case .ended(let status): return Output(status: status, text: tail.text)
        case .late: throw .timedOut(name)
        case .cancelled: throw .cancelled
        case .failed(let error): throw .failed("cannot run \(name): \(error)")
        }
    }

    /// Like `run`, and throws for a bad status too; the text of its output.
    @discardableResult
    func succeed(_ invocation: Invocation) async throws(PostgreSQLError) -> String {
        let output = try await run(invocation)
        guard output.status == 0 else {
            let end = String(output.text.suffix(2000)).trimmed
            throw .tool(name: lastComponent(invocation.program), status: output.status, output: end)
        }
        return output.text
    }

    private func start(
        _ invocation: Invocation, _ name: String, _ onOutput: @escaping @Sendable ([UInt8]) -> Void
    ) async throws(PostgreSQLError) -> ToolProcess.End {
        let words = prefix + [invocation.program] + invocation.arguments
        let environment = Self.environment(invocation.environment, program: words[0])
        guard let program = Self.find(words[0]) else { throw .failed("cannot run \(name): there is no such program") }
        let command = [helper, "--helper", program] + words.dropFirst()
        let lock = lock
        do throws(SystemError) {
            let process = try ToolProcess()
            return await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    do throws(SystemError) {
                        try NamedThread.start("pg-tool") {
                            continuation.resume(
                                returning: process.run(
                                    command, environment, lock: lock, deadline: invocation.deadline,
                                    endsAtOnce: invocation.endsAtOnce, onOutput: onOutput))
                        }
                    } catch {
                        continuation.resume(returning: .failed(error))
                    }
                }
            } onCancel: {
                process.cancel()
            }
        } catch {
            throw .failed("cannot run \(name): \(error)")
        }
    }

    /// Where a program is; names without a slash are looked for along PATH.
    static func find(_ name: String) -> String? {
        if name.utf8.contains(UInt8(ascii: "/")) { return access(name, X_OK) == 0 ? name : nil }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Ours with `changes`. A program finds those beside it before others of the same name.
    private static func environment(_ changes: [String: String?], program: String) -> [String] {
        var changes = changes
        if let slash = program.lastIndex(of: "/") {
            let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
            changes.updateValue("\(program[..<slash]):\(path)", forKey: "PATH")
        }
        let kept = ProcessEnvironment.entries.filter { entry in
            changes[String(entry.prefix { $0 != "=" })] == nil
        }
        return kept + changes.compactMap { name, value in value.map { "\(name)=\($0)" } }
    }
}

/// The end of what a program says, and its lines as they come.
final class OutputTail: @unchecked Sendable {
    // Sendable by hand: one thread appends, and whoever reads the text does so when that thread is done.
    private let limit: Int
    private var kept: [UInt8] = []
    private var line: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// Takes more output; the lines that it completes. A carriage return ends a line too: progress is told that way.
    func append(_ bytes: [UInt8]) -> [String] {
        kept += bytes
        if kept.count > limit * 2 { kept.removeFirst(kept.count - limit) }
        var lines: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                if !line.isEmpty { lines.append(String(decoding: line, as: UTF8.self)) }
                line = []
            } else if line.count < 4096 {
                line.append(byte)
            }
        }
        return lines
    }

    var text: String { String(decoding: kept.suffix(limit), as: UTF8.self) }
}
