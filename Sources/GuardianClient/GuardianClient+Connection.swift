import CGuardian
import CPlatform
import ClusterModel
import Glibc
import Guardian
import Logging
import Ports
import Posix

/// How a guardian is found, started and spoken with.
extension GuardianClient {
    /// False where no guardian runs and none is to be started.
    func connect(
        starting: Bool, _ deadline: BootInstant, keepsAlive: Bool = true
    ) throws(GuardianError) -> Bool {
        if connection != nil { return true }
        if try open() {
            attempts.succeeded()
        } else {
            guard starting else {
                // One that is wanted and does not start is no state of peace.
                if let failure = attempts.failure { throw GuardianError(failure) }
                return false
            }
            try start(deadline)
        }
        if keepsAlive { try keepAlive(deadline) }
        return true
    }

    /// Starts one, and connects to it. What keeps it from starting is told, and tried again after pauses that grow.
    private func start(_ deadline: BootInstant) throws(GuardianError) {
        if let failure = attempts.failure, attempts.isTooEarly(BootClock.now().nanoseconds) {
            throw GuardianError(failure)
        }
        do throws(GuardianError) {
            while try !isStarted(deadline) {
                // One that has just died may still hold the lock: another attempt.
                guard BootClock.now() < deadline else {
                    throw GuardianError("none answers, and another one holds its lock")
                }
                _ = poll(nil, 0, 20)
            }
            attempts.succeeded()
        } catch {
            attempts.failed(error.description, BootClock.now().nanoseconds)
            throw error
        }
    }

    private func isStarted(_ deadline: BootInstant) throws(GuardianError) -> Bool {
        let word = try spawn(deadline)
        let ready = "ready "
        if word.hasPrefix(ready) {
            ownDirectory = String(word.dropFirst(ready.count))
        } else if word != "taken" {
            throw GuardianError("it does not start: \(word.isEmpty ? "it has ended at once" : word)")
        }
        return try open()
    }

    /// Connects where one listens; false where none does.
    private func open() throws(GuardianError) -> Bool {
        if let directory = ownDirectory, GuardianPlace.problem(directory) == nil, try attach(to: directory) {
            return true
        }
        if let directory = options.directory {
            for path in [Files.parent(directory), directory] {
                if let problem = GuardianPlace.problem(path) { throw GuardianError(problem) }
            }
            if try attach(to: directory) { return true }
        }
        for found in GuardianPlace.search(options.dataDirectory) {
            asked = found.pid
            if try attach(attempt { () throws(SystemError) in try GuardianPlace.connect(found) }) { return true }
        }
        return false
    }

    private func attach(to directory: String) throws(GuardianError) -> Bool {
        try attach(attempt { () throws(SystemError) in try GuardianPlace.connect(directory) })
    }

    private func attach(_ socket: Int32?) throws(GuardianError) -> Bool {
        guard let socket else { return false }
        let pid = try authenticate(socket)
        connection = Connection(socket: socket, pid: pid)
        (heard, asked) = (nil, pid)
        return true
    }

    private func attempt<Result>(_ body: () throws(SystemError) -> Result) throws(GuardianError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw GuardianError(error.description)
        }
    }

    /// Of several guardians of one directory (the socket of one was tidied away and another was started, or they know
    /// it by different paths) the parent of the postmaster stays ours. The others are to let go: their leases end.
    func chooseAmongSeveral(_ postmaster: Int32?, _ deadline: BootInstant) {
        for found in GuardianPlace.search(options.dataDirectory) where found.pid != connection?.pid {
            guard let socket = try? GuardianPlace.connect(found) else { continue }
            var kept = connection
            connection = Connection(socket: socket, pid: found.pid)
            let reply = try? exchange(.status, deadline)
            if let postmaster, reply?.postmaster == postmaster, reply?.isParent == true { swap(&kept, &connection) }
            if let connection {
                log.warning("guardian \(connection.pid) is one too many for \(options.dataDirectory): it lets go")
                _ = try? exchange(.disarm, deadline)
                _ = try? exchange(.goodbye, deadline)
            }
            disconnect()
            (connection, heard) = (kept, nil)
        }
    }

    /// Only a process of our own user is our guardian; its pid.
    private func authenticate(_ socket: Int32) throws(GuardianError) -> Int32 {
        var user: uid_t = 0
        var pid: pid_t = 0
        guard gd_peer(socket, &user, &pid) == 0, user == geteuid() || geteuid() == 0 else {
            close(socket)
            throw GuardianError(
                "user \(user) listens as the guardian of \(options.dataDirectory), allowed is \(geteuid())")
        }
        return pid
    }

    /// The guardian that was asked last, or that could not be, as long as it is one of this directory; else the one
    /// that runs, if there is only one.
    func lastAsked() -> Int32? {
        let found = GuardianPlace.search(options.dataDirectory).map(\.pid)
        if let asked, found.contains(asked) { return asked }
        return found.count == 1 ? found.first : nil
    }

    func disconnect() {
        if let connection { close(connection.socket) }
        connection = nil
    }

    func keepAlive(_ deadline: BootInstant) throws(GuardianError) {
        guard options.restartsDaemon else { return }
        let executable = realPath("/proc/self/exe")
        let reply = try exchange(
            .keepAlive(
                .init(
                    executable: executable, arguments: CommandLine.arguments,
                    environment: ProcessEnvironment.entries, workingDirectory: realPath("."))), deadline)
        if let refusal = reply.refusal { log.warning("the guardian will not start the daemon again: \(refusal)") }
    }

    /// Starts a guardian; its first word, empty where it ended without one.
    private func spawn(_ deadline: BootInstant) throws(GuardianError) -> String {
        let words =
            options.commandPrefix + [options.executable, "--data-dir", options.dataDirectory]
            + (options.directory.map { ["--directory", $0] } ?? [])
        var arguments = words.map { strdup($0) } + [nil]
        var environment = PostmasterEnvironment.filtered(ProcessEnvironment.entries).map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        let ends = try attempt { () throws(SystemError) in try FileDescriptor.pipe() }
        let output = FileDescriptor(owning: ends.output)
        let input = FileDescriptor(owning: ends.input)
        var pid: pid_t = 0
        let stdio: [Int32] = [-1, input.number, options.standardError]
        let code = ms_spawn_detached(words[0], &arguments, &environment, "/", stdio, &pid)
        guard code == 0 else { throw GuardianError("cannot start \(words[0]): \(SystemError.message(code))") }
        _ = consume input
        var waiting = pollfd(fd: output.number, events: Int16(POLLIN), revents: 0)
        let left = max(.zero, deadline - BootClock.now()).nanoseconds / 1_000_000
        guard retryingInterrupts({ poll(&waiting, 1, Int32(clamping: left + 1)) }) > 0 else {
            throw GuardianError("it does not say that it is ready")
        }
        let word = String(String(decoding: (try? output.read(count: 4096)) ?? [], as: UTF8.self).withoutBlanks)
        log.info("started a guardian behind process \(pid): \(word)")
        return word
    }
}
