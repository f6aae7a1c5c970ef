import Glibc
public import Posix

/// Makes a program that can be run at once.
///
/// Another process writes it. What we have open for writing is for a moment, until it runs its own program, every
/// child's that another test forks; and who runs the file meanwhile is told "Text file busy".
public func makeProgram(_ path: String, _ content: some Sequence<UInt8>) throws(SystemError) {
    let draft = path + ".draft"
    try Files.replace(draft, with: content, mode: 0o755)
    defer { unlink(draft) }
    unlink(path)
    let words = ["/bin/cp", "--preserve=mode", draft, path]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
    defer { for text in arguments + environment { free(text) } }
    var pid = pid_t()
    let code = posix_spawn(&pid, words[0], nil, nil, &arguments, &environment)
    guard code == 0 else { throw SystemError(call: "posix_spawn", subject: words[0], code: code) }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
        if errno != EINTR { throw SystemError(call: "waitpid", subject: words[0]) }
    }
    guard status == 0 else { throw SystemError(call: "cp", subject: path, code: EIO) }
}
