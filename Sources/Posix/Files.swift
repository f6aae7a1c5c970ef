import CPlatform
import Glibc

/// Small files, whole: configuration, pid files, signal files. Blocking; call it off the cooperative pool.
public enum Files {
    /// What a path names.
    public enum Kind: Sendable, Hashable {
        case missing, file, directory, symbolicLink, other
    }

    /// The kind of `path`, the link itself where it is a symbolic link.
    public static func kind(_ path: String) -> Kind {
        var status = stat()
        return lstat(path, &status) == 0 ? kind(status) : .missing
    }

    /// The kind of what `path` leads to.
    public static func kind(followingLinks path: String) -> Kind {
        var status = stat()
        return stat(path, &status) == 0 ? kind(status) : .missing
    }

    /// The same, but what cannot be looked at is an error and not missing: a disk that fails, a parent that is closed.
    public static func look(_ path: String, followingLinks: Bool = false) throws(SystemError) -> Kind {
        var status = stat()
        if (followingLinks ? stat(path, &status) : lstat(path, &status)) == 0 { return kind(status) }
        if errno == ENOENT || errno == ENOTDIR { return .missing }
        throw SystemError(call: "stat", subject: path)
    }

    private static func kind(_ status: stat) -> Kind {
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        case S_IFLNK: return .symbolicLink
        default: return .other
        }
    }

    /// Whether `path` exists, links followed.
    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether we may read `path`, links followed.
    public static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }

    /// The permission bits of `path`, links followed.
    public static func mode(_ path: String) -> UInt32? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mode & 0o7777
    }

    /// When `path` was last changed, in nanoseconds since the epoch.
    public static func modificationTime(_ path: String) -> Int64? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        // File systems know years that nanoseconds since the epoch do not.
        let seconds = min(max(Int64(status.st_mtim.tv_sec), -9_000_000_000), 9_000_000_000)
        return seconds * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    /// What it keeps under whatever name, on its file system; the link itself where it is one.
    public static func inode(_ path: String) -> UInt64? {
        var status = stat()
        return lstat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// The size of `path` in bytes, links followed.
    public static func size(_ path: String) -> Int64? {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : nil
    }

    /// The whole content of a file of at most `limit` bytes; a larger one is an error (EFBIG).
    public static func read(_ path: String, limit: Int = 16 << 20) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor.open(path, O_RDONLY)
        var content: [UInt8] = []
        while true {
            let part = try file.read(count: 64 << 10)
            if part.isEmpty { return content }
            content += part
            if content.count > limit { throw SystemError(call: "read", subject: path, code: EFBIG) }
        }
    }

    /// The whole content as text; bytes that are not UTF-8 become U+FFFD.
    public static func readText(_ path: String) throws(SystemError) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    /// Replaces `path` by a file with `content`, whole or not at all: written beside it, made durable, renamed over it.
    /// With `durably` the name is durable too when this returns; without, a crash of the machine may bring back what
    /// stood there before.
    public static func replace(
        _ path: String, with content: some Sequence<UInt8>, mode: UInt32, durably: Bool = false
    ) throws(SystemError) {
        let draft = "\(path).\(getpid()).new"
        unlink(draft)
        let file = try FileDescriptor.open(draft, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        do throws(SystemError) {
            // The mode of open is cut by the umask; this one is exact.
            guard fchmod(file.number, mode) == 0 else { throw SystemError(call: "fchmod", subject: draft) }
            try file.write(content)
            try file.synchronize()
            guard Glibc.rename(draft, path) == 0 else { throw SystemError(call: "rename", subject: path) }
        } catch {
            unlink(draft)
            throw error
        }
        if durably { try synchronize(directory: parent(path)) }
    }

    /// Renames a file or a directory; EEXIST where something stands at `new`.
    public static func rename(_ old: String, toNew new: String) throws(SystemError) {
        if ms_rename_new(old, new) == 0 { return }
        // Not every file system can do it in one step.
        guard errno == EINVAL || errno == ENOSYS else { throw SystemError(call: "rename", subject: new) }
        if try look(new) != .missing { throw SystemError(call: "rename", subject: new, code: EEXIST) }
        guard Glibc.rename(old, new) == 0 else { throw SystemError(call: "rename", subject: new) }
    }

    /// Makes durable what was created, renamed or removed in a directory.
    public static func synchronize(directory path: String) throws(SystemError) {
        let directory = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        // Some network file systems know no such thing; their names are durable by themselves.
        guard retryingInterrupts({ fsync(directory.number) }) == 0 || errno == EINVAL || errno == EBADF else {
            throw SystemError(call: "fsync", subject: path)
        }
    }

    /// The directory that `path` stands in: `/` of `/a`, `.` of `a`.
    public static func parent(_ path: String) -> String {
        let bytes = path.utf8
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == bytes.startIndex ? "/" : String(path[..<slash])
    }

    /// The size in bytes of the file system that `path` stands on; nil where it cannot be asked.
    public static func fileSystemSize(_ path: String) -> Int64? { space(path) { UInt64($0.f_blocks) } }

    /// How many bytes whoever is not root may still write on the file system that `path` stands on; nil where it cannot
    /// be asked.
    public static func availableSpace(_ path: String) -> Int64? { space(path) { UInt64($0.f_bavail) } }

    /// So many blocks of the file system that `path` stands on, in bytes.
    private static func space(_ path: String, _ blocks: (statvfs) -> UInt64) -> Int64? {
        var space = statvfs()
        guard retryingInterrupts({ statvfs(path, &space) }) == 0 else { return nil }
        let (size, isTooLarge) = blocks(space).multipliedReportingOverflow(by: UInt64(space.f_frsize))
        return isTooLarge ? nil : Int64(clamping: size)
    }

    /// Where a symbolic link leads, as it stands in the link; nil for what is no link.
    public static func target(ofLink path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink(path, $0, text.count) } ?? -1
            }
        }
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// Whether another file system begins at the directory `path`.
    public static func isMountPoint(_ path: String) -> Bool {
        var (own, above) = (stat(), stat())
        guard lstat(path, &own) == 0, own.st_mode & S_IFMT == S_IFDIR, lstat(path + "/..", &above) == 0 else {
            return false
        }
        return own.st_dev != above.st_dev || own.st_ino == above.st_ino
    }

    /// The names in a directory without `.` and `..`, sorted.
    public static func list(_ directory: String) throws(SystemError) -> [String] {
        guard let stream = opendir(directory) else { throw SystemError(call: "opendir", subject: directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Makes a directory and the missing ones above it.
    public static func makeDirectory(_ path: String, mode: UInt32 = 0o700) throws(SystemError) {
        if exists(path) { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeDirectory(String(path[..<slash]), mode: mode)
        }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw SystemError(call: "mkdir", subject: path) }
    }

    /// Removes a file or a whole directory tree; a symbolic link goes, not what it points to. Missing is no error.
    /// `goesOn` is asked before every file: where it says no, what is left stays, and ECANCELED is thrown.
    public static func removeTree(_ path: String, while goesOn: () -> Bool = { true }) throws(SystemError) {
        guard goesOn() else { throw SystemError(call: "remove", subject: path, code: ECANCELED) }
        switch kind(path) {
        case .missing: return
        case .directory:
            for name in try list(path) { try removeTree("\(path)/\(name)", while: goesOn) }
            guard rmdir(path) == 0 || errno == ENOENT else { throw SystemError(call: "rmdir", subject: path) }
        case .file, .symbolicLink, .other:
            guard unlink(path) == 0 || errno == ENOENT else { throw SystemError(call: "unlink", subject: path) }
        }
    }
}
