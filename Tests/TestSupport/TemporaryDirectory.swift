import Glibc
public import Posix

/// A directory of a test's own; it goes when the test lets go of it.
public final class TemporaryDirectory: Sendable {
    public let path: String

    /// `label` stands in its name, for whoever finds what a killed test left behind.
    public init(_ label: String = "test") throws(SystemError) { path = try makeTemporaryDirectory(label) }

    deinit { try? Files.removeTree(path) }

    /// Writes a file, which only we may read.
    public func write(_ name: String, _ text: String) throws(SystemError) {
        try Files.replace("\(path)/\(name)", with: text.utf8, mode: 0o600)
    }
}

/// The same where the test removes it: its path, which is short enough for sockets below it.
public func makeTemporaryDirectory(_ label: String) throws(SystemError) -> String {
    var template = Array("/tmp/ms-\(label)-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError(call: "mkdtemp") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
