import CLibPQ
public import ClusterModel
import Glibc
public import Ports
import Posix
import Processes

/// A server that runs and is not ours yet, asked what a configuration for it would have to say (configuration.md §8.1).
/// Blocking.
public struct RunningServer: Sendable {
    /// `server_version_num`.
    public let version: Int
    /// Set by somebody, or to be agreed upon by all nodes: name and value as SHOW tells it, in the order of the names.
    public let settings: [(name: String, value: String)]
    /// The lines of the files at their usual places, without comments; nil for one that stands elsewhere or cannot be
    /// read.
    public let hostBasedAuthentication: [String]?
    public let identityMap: [String]?
    /// Where its own program stands; nil where that cannot be seen.
    public let binDirectory: String?
    public let port: Int
    public let user: String
    public let password: String?

    /// Connects as `text` says, a connection string or URL; what it leaves open, libpq's variables and defaults say.
    /// `agreed` are the parameters that all nodes of a cluster agree on.
    public init(connection text: String?, agreed: [String], deadline: BootInstant) throws(PostgreSQLError) {
        let parameters = try Self.parameters(text ?? "")
        let connection = try PostgreSQLConnection.connect(
            to: ConnectionTarget(parameters: parameters), deadline: deadline)
        let row =
            try connection.query(
                """
                SELECT current_user, current_setting('is_superuser'), current_setting('port'),
                    current_setting('data_directory', true), current_setting('hba_file', true),
                    current_setting('ident_file', true)
                """, deadline: deadline
            ).first?.map { $0 ?? "" } ?? []
        guard row.count == 6, row[1] == "on" else {
            throw .failed("The provided user does not have superuser privilege")
        }
        version = connection.serverVersion
        user = row[0]
        port = Int(row[2]) ?? 5432
        password = parameters["password"] ?? getenv("PGPASSWORD").map { String(cString: $0) }
        settings = try Self.settings(connection, agreed, deadline)
        hostBasedAuthentication = Self.lines(row[4], usual: "\(row[3])/pg_hba.conf")
        identityMap = Self.lines(row[5], usual: "\(row[3])/pg_ident.conf")
        binDirectory = Self.program(dataDirectory: row[3])
    }

    private static func parameters(_ text: String) throws(PostgreSQLError) -> ParameterMap {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            defer { if let message { PQfreemem(message) } }
            let why = message.map { String(cString: $0) } ?? "out of memory"
            throw .failed("the connection string cannot be read: \(why.withoutBlanks)")
        }
        defer { PQconninfoFree(options) }
        var result = ParameterMap()
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { result[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        if result["dbname"] == nil { result["dbname"] = "postgres" }
        return result
    }

    /// Those of extensions that are not loaded are in no catalogue but that of the files.
    private static func settings(
        _ connection: PostgreSQLConnection, _ agreed: [String], _ deadline: BootInstant
    ) throws(PostgreSQLError) -> [(name: String, value: String)] {
        let rows = try connection.query(
            """
            SELECT name, current_setting(name) FROM pg_catalog.pg_settings
            WHERE (source IN ('configuration file', 'command line', 'environment variable') AND context <> 'internal'
                    AND category <> 'Write-Ahead Log / Recovery Target' AND setting <> '(disabled)'
                OR name = ANY (string_to_array($1, ','))
                OR name IN ('data_directory', 'hba_file', 'ident_file', 'config_file'))
                AND name NOT IN ('external_pid_file', 'primary_conninfo', 'primary_slot_name')
            UNION
            SELECT name, current_setting(name, true) FROM pg_catalog.pg_file_settings
            WHERE name LIKE '%.%' AND applied
            ORDER BY name
            """, [agreed.joined(separator: ",")], deadline: deadline)
        return rows.compactMap { row in
            guard row.count == 2, let name = row[0], let value = row[1] else { return nil }
            return (name, value)
        }
    }

    private static func lines(_ path: String, usual: String) -> [String]? {
        guard path == usual, let text = try? Files.readText(path) else { return nil }
        return text.split(atByte: "\n").map { String($0.withoutBlanks) }.filter { !$0.isEmpty && !$0.hasPrefix("#") }
    }

    private static func program(dataDirectory: String) -> String? {
        guard let text = try? Files.readText("\(dataDirectory)/postmaster.pid"),
            let pid = Int32(text.split(atByte: "\n").first ?? ""),
            let place = ProcessTable.executable(pid), let cut = place.lastIndex(of: "/")
        else { return nil }
        return String(place[..<cut])
    }
}
