/// Where paths lead in one view of the file system, by `/proc/PID/mountinfo`: each container, and each start of a
/// service, may have a view of its own. No file system is asked, which may hang. Pure.
public struct MountTable: Sendable {
    /// A directory, however it is called in a view.
    public struct Place: Sendable, Hashable {
        /// Major and minor number of the file system.
        var device: String
        /// The path within that.
        var path: [String]
    }

    private var mounts: [(point: [String], place: Place)] = []

    /// Lines: id, parent's id, device, root within the file system, mount point and more. Blanks in paths are `\040`.
    public init(_ text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, let root = Self.parts(Self.unescaped(fields[3])),
                let point = Self.parts(Self.unescaped(fields[4]))
            else { continue }
            mounts.append((point, Place(device: String(fields[2]), path: root)))
        }
    }

    /// As a process sees it; nil where that is not told.
    public static func of(_ process: String) -> MountTable? {
        ProcessTable.text("/proc/\(process)/mountinfo").map { MountTable($0) }
    }

    /// Where `path`, an absolute one without links, leads; nil where that cannot be said.
    public func place(of path: String) -> Place? {
        guard path.utf8.first == UInt8(ascii: "/"), let parts = Self.parts(path) else { return nil }
        var found: (point: [String], place: Place)?
        // Of several at one place the last one is seen.
        for mount in mounts where parts.starts(with: mount.point) && mount.point.count >= found?.point.count ?? 0 {
            found = mount
        }
        guard let found else { return nil }
        return Place(device: found.place.device, path: found.place.path + parts.dropFirst(found.point.count))
    }

    private static func parts(_ path: String) -> [String]? {
        let parts = path.split(separator: "/").filter { $0 != "." }.map(String.init)
        return parts.contains("..") ? nil : parts
    }

    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3).map { $0 &- UInt8(ascii: "0") }
            if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ $0 < 8 }) {
                bytes.append(digits[0] << 6 | digits[1] << 3 | digits[2])
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension ProcessTable {
    /// Whether a process finds at each of `paths` what we find there. Another root directory is another container's,
    /// whatever else is the same. Another view of the file system alone says nothing: a service manager gives each
    /// start of a service a new one. The file systems of `paths` themselves are not asked, which may hang.
    public static func sees(_ pid: Int32, _ paths: [String]) -> Bool {
        guard let root = DirectoryIdentity("/"), DirectoryIdentity("/proc/\(pid)/root") == root else { return false }
        let view = readLink("/proc/self/ns/mnt")
        if view != nil, readLink("/proc/\(pid)/ns/mnt") == view { return true }
        guard let ours = MountTable.of("self"), let theirs = MountTable.of("\(pid)") else { return false }
        return paths.allSatisfy { path in ours.place(of: path).map { $0 == theirs.place(of: path) } ?? false }
    }
}
