import CGuardian
import CPlatform
import Glibc

/// The socket in its directory. Whoever may write there could pose as a guardian, so the directory is ours alone.
enum Listener {
    /// A directory of our own whose name nobody could know, and take, before; a daemon finds us by our process. Its
    /// file system has nothing to do with the data.
    static func makeDirectory() throws(Failure) -> String {
        var failure = Failure(text: "there is no place for the socket")
        for place in ["/tmp", "/dev/shm", "/var/tmp"] {
            var template = Array("\(place)/matriarch-XXXXXX".utf8CString)
            guard mkdtemp(&template) == nil else {
                return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
            failure = Failure("mkdtemp in \(place)")
        }
        throw failure
    }

    /// The listening socket; nil where another guardian serves this directory already.
    static func open(_ directory: String, isFresh: Bool) throws(Failure) -> Int32? {
        let parent = String(directory[..<(directory.lastIndex(of: "/") ?? directory.startIndex)])
        for path in isFresh ? [directory] : [parent, directory] { try prepare(path) }
        guard chdir(directory) == 0 else { throw Failure("chdir \(directory)") }
        // Held as long as we live: with the lock, a socket that is found is a dead guardian's.
        let lock = ms_open("lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw Failure("open \(directory)/lock") }
        if flock(lock, LOCK_EX | LOCK_NB) != 0 {
            if errno == EWOULDBLOCK { return nil }
            throw Failure("flock \(directory)/lock")
        }
        unlink("socket")
        let socket = gd_socket()
        // The name is relative to the directory: the room for a path in an address is small.
        guard socket >= 0, gd_bind(socket, "socket") == 0, listen(socket, 8) == 0 else {
            throw Failure("listening on \(directory)/socket")
        }
        return socket
    }

    /// Makes the directory, or makes sure that it is ours, a directory and no link, and closed to all others.
    private static func prepare(_ path: String) throws(Failure) {
        if mkdir(path, 0o700) != 0 && errno != EEXIST { throw Failure("mkdir \(path)") }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw Failure("lstat \(path)") }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw Failure(text: "\(path) must be a directory of user \(geteuid()) with mode 0700")
        }
    }

    /// Only our own user, and root, who needs no permission, may speak with us.
    static func mayConnect(_ socket: Int32) -> Bool {
        var user: uid_t = 0
        var process: pid_t = 0
        guard gd_peer(socket, &user, &process) == 0 else { return false }
        if user == geteuid() || user == 0 { return true }
        Log.line("refused process \(process) of user \(user)")
        return false
    }
}
