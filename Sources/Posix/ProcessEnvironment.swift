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
}
