import CPlatform
import Glibc
import Posix
import Testing

/// The shim that starts a process which is nobody's child of ours.
@Suite(.timeLimit(.minutes(1))) struct SpawnTests {
    private func spawn(
        _ path: String, _ arguments: [String], environment: [String] = [], directory: String? = nil, output: Int32 = -1
    ) -> (code: Int32, pid: pid_t) {
        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        let stdio: [Int32] = [-1, output, output]
        let code = ms_spawn_detached(path, &argv, &envp, directory, stdio, &pid)
        return (code, pid)
    }

    /// A pipe that no other process started meanwhile inherits for long.
    private func pipe() throws -> [Int32] {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw SystemError(call: "pipe") }
        for end in ends where fcntl(end, F_SETFD, FD_CLOEXEC) != 0 { throw SystemError(call: "fcntl") }
        return ends
    }

    /// Everything that the process writes until it and its children have closed the pipe.
    private func output(_ arguments: [String], environment: [String] = [], directory: String? = nil) throws -> String {
        let ends = try pipe()
        let reader = FileDescriptor(owning: ends[0])
        let result = spawn(
            "/bin/sh", ["-c"] + arguments, environment: environment, directory: directory, output: ends[1])
        close(ends[1])
        guard result.code == 0 else { throw SystemError(call: "spawn", code: result.code) }
        var bytes: [UInt8] = []
        while true {
            let part = try reader.read(count: 4096)
            if part.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += part
        }
    }

    @Test func thePidIsThatOfTheProgram() throws {
        let ends = try pipe()
        let reader = FileDescriptor(owning: ends[0])
        let result = spawn("/bin/sh", ["-c", "echo $$"], output: ends[1])
        close(ends[1])
        #expect(result.code == 0)
        #expect(try reader.read(count: 100) == Array("\(result.pid)\n".utf8))
    }

    @Test func itIsNobodysChildOfOurs() throws {
        let result = spawn("/bin/sleep", ["30"])
        #expect(result.code == 0)
        defer { kill(result.pid, SIGKILL) }
        var status: Int32 = 0
        #expect(waitpid(result.pid, &status, WNOHANG) == -1)
        #expect(errno == ECHILD)
        let stat = try Files.readText("/proc/\(result.pid)/stat")
        let fields = stat.drop { $0 != ")" }.split(separator: " ").map(String.init)
        // After the name: state, parent, process group, session.
        #expect(fields[1] != "Z")
        #expect(fields[2] != String(getpid()))
        #expect(fields[4] != String(getsid(0)))
    }

    @Test(arguments: [("/nowhere/program", ENOENT), ("/etc/passwd", EACCES), ("/tmp", EACCES)])
    func aFailedExecComesBackAsItsError(path: String, code: Int32) {
        #expect(spawn(path, []).code == code)
    }

    @Test func aMissingDirectoryComesBackAsItsError() {
        #expect(spawn("/bin/true", [], directory: "/nowhere").code == ENOENT)
    }

    @Test func directoryAndEnvironmentAreAsGiven() throws {
        let text = try output(
            ["pwd; echo $MATRIARCH_TEST; echo ${HOME-unset}"], environment: ["MATRIARCH_TEST=yes"], directory: "/usr")
        #expect(text == "/usr\nyes\nunset\n")
    }

    @Test func onlyStandardDescriptorsAreInherited() throws {
        let inherited = try FileDescriptor.open("/dev/null", O_RDONLY)
        let duplicate = withoutCloseOnExec(inherited.number)
        let text = try output(["ls /proc/self/fd | tr '\\n' ' '"])
        // `ls` itself opens the directory as its next descriptor.
        #expect(text == "0 1 2 3 ")
        #expect(duplicate.number > 2)
    }

    @Test func signalsAreAsInAFreshProcess() throws {
        // As the daemon does first of all.
        signal(SIGPIPE, SIG_IGN)
        let text = try output(["grep -E 'SigBlk|SigIgn' /proc/self/status"])
        let masks = text.split(separator: "\n").map { $0.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) } }
        // The first 31: those after them are the C library's own, and it lets nobody touch the first two.
        #expect(masks.map { $0.map { $0 & 0x7FFF_FFFF } } == [0, 0])
    }

    /// A duplicate without close-on-exec, to be found in a child if the shim did not close it.
    private func withoutCloseOnExec(_ number: Int32) -> FileDescriptor { FileDescriptor(owning: dup(number)) }

    @Test func manyStartsLeaveNoChildrenBehind() throws {
        for _ in 0..<20 { #expect(spawn("/bin/true", []).code == 0) }
        // What the shim forks in between has run no other program: dead and not waited for, it would still bear our
        // name. waitpid(2) cannot be asked: it would take the children of other tests in this process.
        #expect(try zombiesOfOurs().isEmpty)
    }

    private func zombiesOfOurs() throws -> [String] {
        let name = String(try Files.readText("/proc/self/comm").dropLast())
        return try Files.list("/proc").filter { entry in
            guard Int(entry) != nil, let text = try? Files.readText("/proc/\(entry)/stat"),
                let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
            else { return false }
            let rest = text[text.index(after: close)...].split(separator: " ")
            let isOurs = rest.count > 1 && rest[1] == String(getpid())
            return isOurs && rest[0] == "Z" && text[text.index(after: open)..<close] == name
        }
    }
}
