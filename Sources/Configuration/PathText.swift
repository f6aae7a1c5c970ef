import Glibc

/// Paths as they are compared, extended and handed to other programs: spelled in one way. Pure but for the working
/// directory.
enum PathText {
    /// Where the daemon was started; relative paths of its configuration count from here, whoever follows them.
    static let workingDirectory: String = {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }()

    /// An absolute path in its plain form; nil for what no file can be called.
    static func absolute(_ path: String, from directory: String) -> String? {
        if path.utf8.contains(0) { return nil }
        return plain(path.utf8.first == slash ? path : "\(directory)/\(path)")
    }

    /// Without doubled slashes, `.` and a slash at the end. What `..` leads to is known only where links are followed,
    /// so it stays.
    static func plain(_ path: String) -> String {
        let parts = path.utf8.split(separator: slash).filter { !$0.elementsEqual([UInt8(ascii: ".")]) }
        let text = parts.map { String(Substring($0)) }.joined(separator: "/")
        return path.utf8.first == slash ? "/" + text : text.isEmpty ? "." : text
    }

    private static let slash = UInt8(ascii: "/")
}
