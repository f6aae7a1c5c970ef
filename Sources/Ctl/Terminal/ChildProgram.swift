import ClusterAccess
import Glibc
import Posix

/// A program that takes the terminal over for a while: an editor, a pager.
enum ChildProgram {
    /// The program that is wished for, or the first of `others` that there is.
    static func find(_ wished: String?, _ others: [String], _ environment: [String: String]) -> String? {
        let places = (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":").map(String.init)
        let names = wished.flatMap { $0.isEmpty ? nil : [$0] } ?? others
        for name in names {
            if name.utf8.contains(UInt8(ascii: "/")) { return name }
            for place in places where access("\(place)/\(name)", X_OK) == 0 { return "\(place)/\(name)" }
        }
        return wished.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Runs it to its end and returns its exit code; `input` is what it reads in place of the terminal. Ctrl-C is its
    /// own affair meanwhile.
    static func run(
        _ program: String, _ words: [String], _ session: Session, input: String? = nil
    ) async throws -> Int32 {
        session.terminal.lend(true)
        defer { session.terminal.lend(false) }
        let environment = session.environment
        return try await offPool { try spawn(program, words, environment, input) }
    }

    private static func spawn(
        _ program: String, _ words: [String], _ environment: [String: String], _ input: String?
    ) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let pipe = try input.map { _ in try FileDescriptor.pipe() }
        if let pipe { posix_spawn_file_actions_adddup2(&actions, pipe.output, 0) }
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + words).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What we ignore or catch is as ever for it.
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var pid = pid_t()
        let code = posix_spawn(&pid, program, &actions, &attributes, &argv, &envp)
        if let pipe { close(pipe.output) }
        guard code == 0 else {
            if let pipe { close(pipe.input) }
            throw SystemError(call: "start", subject: program, code: code)
        }
        if let pipe, let input {
            // A pager that is left before the end reads no more.
            let end = FileDescriptor(owning: pipe.input)
            try? end.write(input.utf8)
        }
        var status: Int32 = 0
        guard retryingInterrupts({ waitpid(pid, &status, 0) }) == pid else {
            throw SystemError(call: "waitpid", subject: program)
        }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    }
}
