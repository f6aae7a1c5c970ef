/// Where a value stands in the configuration: the keys from the top, and the index of an item of a list.
public struct SettingPath: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let elements: [String]

    public init(_ elements: [String] = []) { self.elements = elements }

    /// `postgresql.pg_hba.0`: the form in which paths are shown.
    public init(dotted text: String) {
        elements = text.split(separator: ".").map(String.init)
    }

    public func appending(_ element: String) -> SettingPath { SettingPath(elements + [element]) }

    public var description: String { elements.joined(separator: ".") }

    public static func < (left: SettingPath, right: SettingPath) -> Bool {
        left.elements.lexicographicallyPrecedes(right.elements)
    }
}

/// Where a value came from.
public enum SettingOrigin: Sendable, Hashable, CustomStringConvertible {
    /// Built in.
    case byDefault
    /// `/config` of the DCS.
    case dynamic
    /// A file and the line of the key.
    case file(String, line: Int)
    /// A variable by its full name.
    case environment(String)

    public var description: String {
        switch self {
        case .byDefault: "default"
        case .dynamic: "dynamic configuration"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): name
        }
    }
}
