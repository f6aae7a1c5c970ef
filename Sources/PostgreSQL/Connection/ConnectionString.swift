import ClusterModel
import Glibc
import Posix

/// Connection strings of libpq, password files, and the quoting of each (postgresql.md §16).
enum ConnectionString {
    /// The order in which parameters are written; others follow in the order in which they came.
    private static let order = [
        "dbname", "user", "passfile", "password", "host", "port", "sslmode", "sslcompression", "sslcert", "sslkey",
        "sslpassword", "sslrootcert", "sslcrl", "sslcrldir", "application_name", "krbsrvname", "gssencmode",
        "channel_binding", "target_session_attrs", "sslnegotiation",
    ]

    /// `user='replicator' host='10.0.0.1' port='5432'`. For a script, which may take it apart by itself, quotes stand
    /// only where they must.
    static func render(_ parameters: ParameterMap, forScript: Bool = false) -> String {
        let known = order.compactMap { name in parameters[name].map { (name, $0) } }
        let rest = parameters.entries.filter { !order.contains($0.name.lowercased()) }.map { ($0.name, $0.value) }
        return (known + rest).map { name, value in
            "\(name)=\(forScript && isPlain(value) ? value : quote(value))"
        }.joined(separator: " ")
    }

    private static func isPlain(_ value: String) -> Bool {
        !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"'\"\\".utf8.contains($0) }
    }

    /// `'it\\'s'`: always in quotes, since libpq takes whatever blank stands in a value without them for its end. A NUL
    /// would end the string, and the rest would not count.
    static func quote(_ value: String) -> String {
        let escaped = value.escaping { byte in
            switch byte {
            case UInt8(ascii: "'"): "\\'"
            case UInt8(ascii: "\\"): "\\\\"
            case 0: ""
            default: nil
            }
        }
        return "'" + escaped + "'"
    }

    /// Reads a connection string of `name=value` pairs; nil for anything else.
    static func parse(_ text: String) -> ParameterMap? {
        var result = ParameterMap()
        var rest = text.utf8[...]
        while true {
            rest = rest.drop(while: isBlank)
            if rest.isEmpty { return result }
            guard let equals = rest.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            let name = Substring(rest[..<equals]).withoutBlanks
            rest = rest[equals...].dropFirst().drop(while: isBlank)
            guard !name.isEmpty, let value = takeValue(&rest) else { return nil }
            result[String(name)] = value
        }
    }

    private static func takeValue(_ rest: inout Substring.UTF8View) -> String? {
        let isQuoted = rest.first == UInt8(ascii: "'")
        if isQuoted { rest = rest.dropFirst() }
        var value: [UInt8] = []
        var isClosed = !isQuoted
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let next = rest.popFirst() {
                value.append(next)
            } else if isQuoted ? byte == UInt8(ascii: "'") : isBlank(byte) {
                isClosed = true
                break
            } else {
                value.append(byte)
            }
        }
        return isClosed ? String(decoding: value, as: UTF8.self) : nil
    }

    /// As libpq's `isspace` in the C locale.
    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || (0x09...0x0D).contains(byte) }
}

/// A password file (postgresql.md §16.2): `host:port:*:user:password`, one line for each host.
public enum PasswordFile {
    /// Where the file goes: to `path`, unless that is only the default and no file can be written there (HOME is unset,
    /// read-only, or does not exist: a container, a system user).
    public static func place(_ path: String, isDefault: Bool, otherwise privatePath: String) -> String {
        if !isDefault { return path }
        var directory = Files.parent(path)
        while !Files.exists(directory), directory != "/", directory != "." { directory = Files.parent(directory) }
        let isUsable = Files.kind(followingLinks: directory) == .directory && access(directory, W_OK | X_OK) == 0
        return isUsable ? path : privatePath
    }

    static func render(host: String?, port: Int?, user: String?, password: String) -> String {
        let hosts = (host ?? "*").split(atByte: ",").filter { !$0.isEmpty }.map(String.init)
        // libpq looks a connection through a socket directory up under the name localhost too.
        let all = hosts.flatMap { $0.utf8.first == UInt8(ascii: "/") ? [$0, "localhost"] : [$0] }
        return all.map { host in
            let fields = [host, port.map { String($0) } ?? "*", "*", user ?? "*", password]
            return fields.map(escape).joined(separator: ":") + "\n"
        }.joined()
    }

    /// No escape gets a line break into a field: those are refused where the configuration is read.
    private static func escape(_ field: String) -> String {
        if field == "*" { return field }
        return field.escaping {
            [UInt8(ascii: ":"), UInt8(ascii: "\\")].contains($0) ? "\\\(Unicode.Scalar($0))" : nil
        }
    }
}

/// Names and texts inside SQL that cannot be parameters. A NUL, which no statement can carry, is left out: otherwise
/// what stands behind it would be, the closing quote with it.
enum SQLText {
    static func identifier(_ name: String) -> String {
        let escaped = name.escaping { byte in
            switch byte {
            case UInt8(ascii: "\""): "\"\""
            case 0: ""
            default: nil
            }
        }
        return "\"" + escaped + "\""
    }

    /// Safe whatever `standard_conforming_strings` says.
    static func literal(_ text: String) -> String {
        let escaped = text.escaping { byte in
            switch byte {
            case UInt8(ascii: "'"): "''"
            case UInt8(ascii: "\\"): "\\\\"
            case 0: ""
            default: nil
            }
        }
        return (text.hasByte("\\") ? " E'" : "'") + escaped + "'"
    }
}
