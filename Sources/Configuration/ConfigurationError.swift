import ClusterModel

/// One thing that is wrong: the key's full path, what was found, what is allowed, and where it stands.
public struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    /// Empty for a problem of a file as a whole.
    public let path: SettingPath
    /// What is wrong, in words: what was found and what is allowed.
    public let message: String
    /// Nil for a key that is missing.
    public let origin: SettingOrigin?

    public init(_ path: SettingPath, _ message: String, _ origin: SettingOrigin? = nil) {
        self.path = path
        self.message = message
        self.origin = origin
    }

    /// One line, whatever stands in the configuration.
    public var description: String {
        let subject = path.elements.isEmpty ? message : "\(path): \(message)"
        return (origin.map { "\($0): \(subject)" } ?? subject).onOneLine
    }
}

/// The configuration cannot be used; every problem that was found is named.
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    public let problems: [ConfigurationProblem]
    /// What was only warned of, and may be why: a key that is missing under its right name.
    public let warnings: [String]

    public init(_ problems: [ConfigurationProblem], besides warnings: [String] = []) {
        self.problems = problems
        self.warnings = warnings
    }

    init(_ message: String, _ origin: SettingOrigin? = nil) {
        self.init([ConfigurationProblem(SettingPath(), message, origin)])
    }

    /// One problem a line.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}
