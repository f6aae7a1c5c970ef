import CGuardian
import Glibc
import Guardian

/// The guardian of one data directory (architecture.md §4): the parent of its postmaster, which outlives the daemon,
/// and ends PostgreSQL when the daemon's lease ends. One thread, no Foundation, nothing but the C library.
@main
enum Main {
    static let usage = """
        usage: matriarch-guardian --directory DIR --data-dir DIR

        Started by matriarch; listens on DIR/socket. It ends by itself when no postmaster runs and no daemon asks.
        """

    static func main() {
        guard let options = options(CommandLine.arguments.dropFirst()) else {
            Log.line(usage)
            exit(2)
        }
        signal(SIGPIPE, SIG_IGN)
        setsid()
        umask(0o077)
        gd_protect()
        do throws(Failure) {
            // Without it orphaned backends would be init's, and only the scan of /proc would find them.
            if gd_become_reaper() != 0 { Log.line("cannot become the reaper: \(Failure.reason())") }
            guard let listener = try Listener.open(options.directory) else { exit(0) }
            var server = try Server(listener: listener, dataDirectory: options.dataDirectory)
            exit(try server.run())
        } catch {
            Log.line(error.description)
            exit(1)
        }
    }

    private static func options(_ words: ArraySlice<String>) -> (directory: String, dataDirectory: String)? {
        var values: [String: String] = [:]
        var words = words
        while let name = words.popFirst() {
            guard ["--directory", "--data-dir"].contains(name), let value = words.popFirst() else { return nil }
            values[name] = value
        }
        guard let directory = values["--directory"], let data = values["--data-dir"], directory.hasPrefix("/") else {
            return nil
        }
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

/// Lines to standard error, which is the daemon's.
enum Log {
    static func line(_ text: String) {
        let bytes = Array("matriarch-guardian[\(getpid())]: \(text)\n".utf8)
        // Nobody is left to tell when this fails; a full log must not stop the guardian.
        _ = write(2, bytes, bytes.count)
    }
}

/// CLOCK_BOOTTIME in nanoseconds: it neither steps nor stops in suspend.
func bootTime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
