import Glibc
import Posix

/// Where whole lines go. Used by the log's thread only; made by whoever configures the log.
enum LogOutput: ~Copyable {
    case standardError
    case file(RotatingFile)

    /// Opens what `options` name.
    init(_ options: LogOptions) throws(SystemError) {
        if let directory = options.directory {
            self = .file(try RotatingFile(directory: directory, options))
        } else {
            self = .standardError
        }
    }

    /// Writes one line; false when it could not be written, which nobody can be told.
    mutating func write(_ line: String) -> Bool {
        switch consume self {
        case .standardError:
            self = .standardError
            return LogOutput.write(Array(line.utf8), to: STDERR_FILENO)
        case .file(var file):
            let isWritten = file.write(Array(line.utf8))
            self = .file(file)
            return isWritten
        }
    }

    /// Writes everything. A pipe that somebody made non-blocking is waited for: this is the log's own thread.
    fileprivate static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { buffer in
                retryingInterrupts { Glibc.write(descriptor, buffer.baseAddress, buffer.count) }
            }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                if retryingInterrupts({ poll(&wanted, 1, 10_000) }) <= 0 { return false }
            } else {
                return false
            }
        }
        return true
    }
}

/// `<directory>/patroni.log`, rotated by size: the newest old one is `patroni.log.1`.
struct RotatingFile: ~Copyable {
    static let name = "patroni.log"

    private let path: String
    private let limit: Int
    private let count: Int
    private let mode: UInt32?
    private var size: Int
    private var file: FileDescriptor

    /// For the owner alone, whatever the umask was when the daemon began: it is another one later.
    private static let defaultMode: UInt32 = 0o600

    /// The directory must exist.
    init(directory: String, _ options: LogOptions) throws(SystemError) {
        path = "\(directory)/\(RotatingFile.name)"
        limit = options.fileSize
        count = options.fileCount
        mode = options.fileMode
        file = try RotatingFile.open(path, mode)
        size = RotatingFile.size(file.number)
    }

    fileprivate mutating func write(_ line: [UInt8]) -> Bool {
        if limit > 0, count > 0, size > 0, size + line.count > limit { rotate() }
        size += line.count
        return LogOutput.write(line, to: file.number)
    }

    /// A rotation that fails leaves the log where it was: better a large file than none.
    private mutating func rotate() {
        for index in stride(from: count - 1, to: 0, by: -1) { rename("\(path).\(index)", "\(path).\(index + 1)") }
        // An operator who has opened the file to others has done so for those that follow it.
        guard rename(path, "\(path).1") == 0,
            let fresh = try? RotatingFile.open(path, mode ?? RotatingFile.mode(file.number))
        else { return }
        file = fresh
        size = RotatingFile.size(file.number)
    }

    private static func open(_ path: String, _ mode: UInt32?) throws(SystemError) -> FileDescriptor {
        let file = try FileDescriptor.open(path, O_WRONLY | O_APPEND | O_CREAT, mode: mode ?? defaultMode)
        // The mode of open is cut by the umask, and an old file keeps its own unless told otherwise.
        if let mode, fchmod(file.number, mode) != 0 { throw SystemError(call: "fchmod", subject: path) }
        return file
    }

    private static func mode(_ descriptor: Int32) -> UInt32? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? status.st_mode & 0o777 : nil
    }

    private static func size(_ descriptor: Int32) -> Int {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
    }
}
