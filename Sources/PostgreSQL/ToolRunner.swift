import ClusterModel
import Glibc
import Ports
import Posix
import Subprocess

/// Runs the programs of PostgreSQL, each with a deadline, with bounded output, and ended when the task is cancelled.
struct ToolRunner: Sendable {
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
        let result = await withTaskGroup(of: Result<Output, PostgreSQLError>.self) { group in
            group.addTask { await execute(invocation, name: name) }
            group.addTask {
                try? await Task.sleep(for: max(.zero, invocation.deadline - BootClock.now()))
                return .failure(.timedOut(name))
            }
            let first = await group.next() ?? .failure(.cancelled)
            group.cancelAll()
            return first
        }
        if Task.isCancelled { throw .cancelled }
        return try result.get()
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

    private func execute(_ invocation: Invocation, name: String) async -> Result<Output, PostgreSQLError> {
        do {
            let tail = OutputTail(limit: invocation.outputLimit)
            let outcome = try await Subprocess.run(
                configuration(invocation), input: .none, output: .sequence, error: .combinedWithOutput
            ) { execution in
                for try await part in execution.standardOutput {
                    let bytes = part.withUnsafeBytes { Array($0) }
                    for line in tail.append(bytes) { invocation.onLine?(line) }
                }
            }
            let status: Int32 =
                switch outcome.terminationStatus {
                case .exited(let code): code
                case .signaled(let signal): 128 + signal
                }
            return .success(Output(status: status, text: tail.text))
        } catch {
            return .failure(Task.isCancelled ? .cancelled : .failed("cannot run \(name): \(error)"))
        }
    }

    private func configuration(_ invocation: Invocation) -> Subprocess.Configuration {
        var options = PlatformOptions()
        // A session of its own, so that what a program has started ends with it.
        options.createSession = true
        options.teardownSequence = [
            .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(3)),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .milliseconds(100)),
        ]
        let words = prefix + [invocation.program] + invocation.arguments
        var environment = invocation.environment
        var name = words[0]
        if let slash = name.lastIndex(of: "/") {
            let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
            environment["PATH"] = name[..<slash] + ":" + path
            name = String(name[name.index(after: slash)...])
        }
        var changes: [Environment.Key: String?] = [:]
        for (key, value) in environment {
            if let key = Environment.Key(rawValue: key) { changes.updateValue(value, forKey: key) }
        }
        return Subprocess.Configuration(
            executable: .name(name), arguments: Arguments(Array(words.dropFirst())),
            environment: .inherit.updating(changes), platformOptions: options)
    }
}

/// The end of what a program says, and its lines as they come.
final class OutputTail {
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
