import Glibc

/// The environment of this process.
public enum ProcessEnvironment {
    /// Its entries as they stand there: `NAME=value`.
    public static var entries: [String] {
        var result: [String] = []
        var at = environ
        while let entry = at.pointee {
            result.append(String(cString: entry))
            at += 1
        }
        return result
    }

    /// The same by name; of a name that stands twice the last value counts.
    public static var variables: [String: String] {
        var variables: [String: String] = [:]
        for entry in entries {
            guard let cut = entry.utf8.firstIndex(of: UInt8(ascii: "=")) else { continue }
            variables[String(entry[..<cut])] = String(entry[cut...].dropFirst())
        }
        return variables
    }
}
