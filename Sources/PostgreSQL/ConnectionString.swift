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

    /// `user=replicator host=10.0.0.1 port=5432`
    static func render(_ parameters: ParameterMap) -> String {
        let known = order.compactMap { name in parameters[name].map { (name, $0) } }
        let rest = parameters.entries.filter { !order.contains($0.name.lowercased()) }.map { ($0.name, $0.value) }
        return (known + rest).map { "\($0)=\(escape($1))" }.joined(separator: " ")
    }

    /// A backslash before quotes, backslashes and spaces; an empty value needs quotes.
    static func escape(_ value: String) -> String {
        if value.isEmpty { return "''" }
        var result = ""
        for character in value {
            if character == "'" || character == "\\" || character == " " { result.append("\\") }
            result.append(character)
        }
        return result
    }

    /// Reads a connection string of `name=value` pairs; nil for anything else.
    static func parse(_ text: String) -> ParameterMap? {
        var result = ParameterMap()
        var rest = text[...]
        while true {
            rest = rest.drop { $0.isWhitespace }
            if rest.isEmpty { return result }
            guard let equals = rest.firstIndex(of: "=") else { return nil }
            let name = rest[..<equals].trimmed
            rest = rest[rest.index(after: equals)...].drop { $0.isWhitespace }
            guard !name.isEmpty, let value = takeValue(&rest) else { return nil }
            result[name] = value
        }
    }

    private static func takeValue(_ rest: inout Substring) -> String? {
        let quoted = rest.first == "'"
        if quoted { rest = rest.dropFirst() }
        var value = ""
        while let character = rest.first {
            rest = rest.dropFirst()
            if character == "\\", let next = rest.first {
                value.append(next)
                rest = rest.dropFirst()
            } else if quoted && character == "'" {
                return value
            } else if !quoted && character.isWhitespace {
                return value
            } else {
                value.append(character)
            }
        }
        return quoted ? nil : value
    }
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
        let hosts = (host ?? "*").split(separator: ",").map(String.init)
        // libpq looks a connection through a socket directory up under the name localhost too.
        let all = hosts.flatMap { $0.hasPrefix("/") ? [$0, "localhost"] : [$0] }
        return all.map { host in
            let fields = [host, port.map { String($0) } ?? "*", "*", user ?? "*", password]
            return fields.map(escape).joined(separator: ":") + "\n"
        }.joined()
    }

    private static func escape(_ field: String) -> String {
        if field == "*" { return field }
        var result = ""
        for character in field {
            if character == ":" || character == "\\" { result.append("\\") }
            result.append(character)
        }
        return result
    }
}

/// Names and texts inside SQL that cannot be parameters.
enum SQLText {
    static func identifier(_ name: String) -> String { "\"" + name.doubling("\"") + "\"" }

    /// Safe whatever `standard_conforming_strings` says.
    static func literal(_ text: String) -> String {
        let quoted = "'" + text.doubling("'").doubling("\\") + "'"
        return text.contains("\\") ? " E" + quoted : quoted
    }
}

extension String {
    /// Every `character` twice.
    func doubling(_ character: Character) -> String {
        var result = ""
        for each in self {
            if each == character { result.append(character) }
            result.append(each)
        }
        return result
    }
}
