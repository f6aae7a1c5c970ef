import CGuardian
import Glibc
import Guardian

/// The guardian of one data directory (architecture.md §4): the parent of its postmaster, which outlives the daemon,
/// and ends PostgreSQL when the daemon's lease ends. One thread, no Foundation, nothing but the C library.
@main
enum Main {
    static let usage = """
        usage: matriarch-guardian [--directory DIR] --data-dir DIR
               matriarch-guardian --helper PROGRAM [ARGUMENT ...]

        Started by matriarch. The first form listens on DIR/socket, by default in a new directory below /tmp, and ends
        by itself when no postmaster runs and no daemon asks. The second runs a program that ends with the daemon.
        """

    static func main() {
        let words = CommandLine.arguments.dropFirst()
        if words.first == "--helper", words.count > 1 { exit(gd_run_helper(CommandLine.unsafeArgv + 2)) }
        guard let options = options(words) else {
            FirstWord.say(usage)
            exit(2)
        }
        signal(SIGPIPE, SIG_IGN)
        setsid()
        umask(0o077)
        gd_lower_oom_score()
        do throws(Failure) {
            let directory: String
            if let given = options.directory { directory = given } else { directory = try Listener.makeDirectory() }
            // From here on there are two: what goes on is the child.
            guard gd_leave_watcher(CommandLine.unsafeArgv[0], options.directory == nil ? directory : nil) == 0 else {
                throw Failure("leaving a watcher behind")
            }
            try guardInDirectory(directory, isFresh: options.directory == nil, options.dataDirectory)
        } catch {
            FirstWord.say(error.description)
            Log.line(error.description)
            exit(1)
        }
    }

    private static func guardInDirectory(
        _ directory: String, isFresh: Bool, _ dataDirectory: String
    ) throws(Failure) -> Never {
        guard gd_start_log_writer(CommandLine.unsafeArgv[0]) == 0 else { throw Failure("starting the log's writer") }
        gd_lock_memory()
        // Without it orphaned backends would be the watcher's at once, and only the scan of /proc would find them.
        if gd_become_reaper() != 0 { Log.line("cannot become the reaper: \(Failure.reason())") }
        if gd_make_dead_man() != 0 { Log.line("there is no dead man's timer: \(Failure.reason())") }
        guard let listener = try Listener.open(directory, isFresh: isFresh) else {
            FirstWord.say("taken")
            exit(0)
        }
        var server = try Server(listener: listener, dataDirectory: dataDirectory)
        FirstWord.say("ready \(directory)")
        exit(try server.run())
    }

    private static func options(_ words: ArraySlice<String>) -> (directory: String?, dataDirectory: String)? {
        let slash = UInt8(ascii: "/")
        var values: [String: String] = [:]
        var words = words
        while let name = words.popFirst() {
            guard ["--directory", "--data-dir"].contains(name), let value = words.popFirst() else { return nil }
            values[name] = value
        }
        let directory = values["--directory"]
        guard let data = values["--data-dir"], directory?.utf8.first ?? slash == slash else { return nil }
        return (directory, data)
    }
}

/// A system call that failed, in words.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ call: String, _ code: Int32 = errno) { description = "\(call): \(Self.reason(code))" }

    init(text: String) { description = text }

    static func reason(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}

/// Lines to the standard error that the daemon had. Another process writes them, so that a log that is stuck keeps
/// nobody: what it does not take in time is dropped.
enum Log {
    static func line(_ text: String) {
        let bytes = Array("matriarch-guardian[\(getpid())]: \(text)".utf8.prefix(4000)) + [UInt8(ascii: "\n")]
        bytes.withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { gd_log($0.baseAddress, $0.count) }
        }
    }
}

/// What the daemon that started us waits for on our standard output: `ready DIR`, `taken`, or why we cannot guard.
enum FirstWord {
    static func say(_ text: String) {
        let bytes = Array("\(text)\n".utf8)
        _ = write(1, bytes, bytes.count)
        // From now on it is what a postmaster inherits, and the daemon's pipe is at its end.
        dup2(2, 1)
    }
}

/// CLOCK_BOOTTIME in nanoseconds: it neither steps nor stops in suspend.
func bootTime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
