import CPlatform
import ClusterModel
import Glibc
import Ports
import Posix

/// One program under the guardian's helper mode (docs/guardian.md): it ends when this process does, with all that it
/// has started. Waits on a thread of its own; only what is told through `wake` comes from other threads.
final class ToolProcess: Sendable {
    /// What became of it.
    enum End: Sendable {
        case ended(status: Int32)
        case late, cancelled
        case failed(SystemError)
    }

    private let wake: FileDescriptor

    /// The helper gives a program that was told to end this long before it kills it, and then has this long to end.
    private static let patience = Duration.seconds(8)

    init() throws(SystemError) {
        let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard event >= 0 else { throw SystemError(call: "eventfd") }
        wake = FileDescriptor(owning: event)
    }

    /// From any thread: the program is ended, and `run` returns `.cancelled`.
    func cancel() {
        var one: UInt64 = 1
        _ = write(wake.number, &one, 8)
    }

    /// Runs `words` (an absolute path first) with `environment` to the end. Blocks. `endsAtOnce`: where it is told to
    /// end before, it is killed without being asked.
    func run(
        _ words: [String], _ environment: [String], lock: DirectoryLock?, deadline: BootInstant,
        endsAtOnce: Bool = false, onOutput: ([UInt8]) -> Void
    ) -> End {
        do throws(SystemError) {
            // Nothing is ever written into it: with us its end goes, and that is what the helper waits for.
            let lifeline = try FileDescriptor.pipe()
            let lifeEnd = FileDescriptor(owning: lifeline.output)
            var life = lifeline.input
            func letGo() {
                if life >= 0 { close(life) }
                life = -1
            }
            defer { letGo() }
            let told = try FileDescriptor.pipe()
            let output = FileDescriptor(owning: told.output)
            let outputEnd = FileDescriptor(owning: told.input)
            let shared = FileDescriptor(owning: lock?.share() ?? -1)
            let descriptors = [lifeEnd.number, outputEnd.number, outputEnd.number, shared.number]
            let pid = try Self.start(words, environment, descriptors)
            _ = consume lifeEnd
            _ = consume outputEnd
            let end = wait(output, deadline, onOutput) {
                if endsAtOnce { letGo() } else { kill(pid, SIGTERM) }
            }
            letGo()
            switch end {
            case nil: return .ended(status: Self.collect(pid, lock))
            case let early?:
                _ = Self.collect(pid, lock)
                return early
            }
        } catch {
            return .failed(error)
        }
    }

    private static func start(_ words: [String], _ environment: [String], _ descriptors: [Int32]) throws(SystemError)
        -> Int32
    {
        var arguments = words.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid: pid_t = 0
        let code = ms_spawn_child(words[0], &arguments, &variables, descriptors, Int32(descriptors.count), &pid)
        guard code == 0 else { throw SystemError(call: "exec", subject: words[0], code: code) }
        return pid
    }

    /// Reads until the helper, and all that it holds, has closed the output; nil, or why it was told to end before.
    private func wait(
        _ output: borrowing FileDescriptor, _ deadline: BootInstant, _ onOutput: ([UInt8]) -> Void,
        tellToEnd: () -> Void
    ) -> End? {
        var early: End?
        var until = deadline
        while true {
            var inputs = [
                pollfd(fd: output.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: early == nil ? wake.number : -1, events: Int16(POLLIN), revents: 0),
            ]
            let left = max(.zero, until - BootClock.now()).nanoseconds / 1_000_000
            // A day at most at once: the number is a small one.
            let ready = poll(&inputs, 2, Int32(clamping: min(left, 86_400_000) + 1))
            if ready < 0 && errno != EINTR { return .failed(SystemError(call: "poll")) }
            if inputs[0].revents != 0 {
                guard let bytes = try? output.read(count: 16 << 10), !bytes.isEmpty else { return early }
                onOutput(bytes)
            }
            let isCancelled = inputs[1].revents != 0
            guard isCancelled || BootClock.now() >= until else { continue }
            // What hangs in the kernel is waited for by whoever wants to work in the directory next.
            if early != nil { return early }
            early = isCancelled ? .cancelled : .late
            until = BootClock.now() + Self.patience
            tellToEnd()
        }
    }

    /// The exit status; a helper that has not ended yet is left to the lock.
    private static func collect(_ pid: Int32, _ lock: DirectoryLock?) -> Int32 {
        var status: Int32 = 0
        // It has closed its output, which is all but the last that it does.
        for _ in 0..<200 {
            if waitpid(pid, &status, WNOHANG) != 0 {
                let signal = status & 0x7f
                return signal == 0 ? (status >> 8) & 0xff : 128 + signal
            }
            _ = poll(nil, 0, 5)
        }
        if let lock {
            lock.abandoned(pid)
        } else {
            // Nobody waits for it, and somebody has to collect it.
            try? NamedThread.start("pg-reap") { _ = retryingInterrupts { waitpid(pid, nil, 0) } }
        }
        return 128 + SIGKILL
    }
}
