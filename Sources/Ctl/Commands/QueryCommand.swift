import ArgumentParser
import ClusterAccess
import ClusterModel

/// `query` (ctl.md §14).
struct QueryCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "query", "Runs SQL on a member, the leader where none is named.",
            "Who connects, and with which password, is said by the options and by libpq's variables and files.",
            examples: [
                "query batman -c 'SELECT pg_is_in_recovery()' -U postgres --password",
                "query batman -r replica -f check.sql --format json", "query batman -m n2 -c 'SELECT 1' -W",
            ])
    }

    @OptionGroup var group: GroupOption

    @Option(name: .customLong("format"), help: "How rows are printed: pretty, tsv, json or yaml.")
    var format = "tsv"

    @Option(
        name: [.customShort("f", allowingJoined: true), .customLong("file")], help: "The SQL stands in this file.",
        completion: .file())
    var file: String?

    @Flag(name: .customLong("password"), help: "Ask for a password.")
    var asksPassword = false

    @Option(
        name: [.customShort("U", allowingJoined: true), .customLong("username")], help: "The user of the database.")
    var username: String?

    @OptionGroup var watch: WatchOptions
    @OptionGroup var choice: MemberChoice

    @Option(parsing: .unconditional, help: "What stands between two columns of tsv.")
    var delimiter = "\t"

    @Option(
        name: [.customShort("c", allowingJoined: true), .customLong("command")], parsing: .unconditional,
        help: "The SQL.")
    var command: String?

    @Option(name: [.customShort("d", allowingJoined: true), .customLong("dbname")], help: "The database.")
    var database: String?

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let written = try await fileContent()
        if choice.isContradiction { throw CtlError.refused("--role and --member are mutually exclusive options") }
        let statements = try statements(written)
        let picture = try await Cluster(try session.clusterName(clusterName), group: group.number, session).load()
        var password: String?
        if asksPassword {
            session.terminal.write("Password: ")
            password = try await session.terminal.readSecret()
            if password == nil { throw CtlError.aborted }
        }
        let parameters = parameters(password)
        try await session.repeating(watch, clears: false) {
            let table = try await answer(statements, parameters, picture, session)
            guard let table else { return }
            session.terminal.write(text(table))
        }
    }

    /// A file that cannot be read is a wrong word, whatever the others are.
    private func fileContent() async throws -> String? {
        guard let file else { return nil }
        do {
            return String(decoding: try await Editor.read(file), as: UTF8.self)
        } catch {
            throw CtlError.usage("Invalid value for '--file' / '-f': \(error)")
        }
    }

    private func statements(_ written: String?) throws -> String {
        switch (command, written) {
        case (nil, nil): throw CtlError.refused("You need to specify either --command or --file")
        case (_?, _?): throw CtlError.refused("--file and --command are mutually exclusive options")
        case (let one?, nil), (nil, let one?): return one
        }
    }

    private func parameters(_ password: String?) -> [(name: String, value: String)] {
        var parameters = [("connect_timeout", "5"), ("fallback_application_name", "Patroni ctl")]
        if let username { parameters.append(("user", username)) }
        if let database { parameters.append(("dbname", database)) }
        if let password { parameters.append(("password", password)) }
        return parameters
    }

    private func text(_ table: Table) -> String {
        if format == "topology" { return table.text(.pretty) }
        return OutputFormat(rawValue: format).map { table.text($0, delimiter: delimiter) } ?? ""
    }

    // MARK: One round

    private func answer(
        _ statements: String, _ parameters: [(name: String, value: String)], _ picture: ClusterPicture,
        _ session: Session
    ) async throws -> Table? {
        let member = try choice.first(in: picture)
        guard let address = member?.address, address.isUsable else { return row(unavailable, session) }
        let target = parameters + [("host", address.host), ("port", "\(address.port)")]
        // Who is asked for by a role must have it: the store may be behind.
        let inRecovery = choice.expectsRecovery
        let terminal = session.terminal
        defer { terminal.onInterruption(nil) }
        let outcome = try await offPool { () -> Result<Table?, QueryConnection.Failure>? in
            do throws(QueryConnection.Failure) {
                let connection = try QueryConnection(target)
                let cancellation = connection.cancellation
                terminal.onInterruption {
                    cancellation?.ask() == true
                        ? "The server was asked to cancel the statement."
                        : "The statement may go on on the server."
                }
                if let inRecovery {
                    let found = try connection.run("SELECT pg_catalog.pg_is_in_recovery()")?.rows.first?.first
                    if found != .bool(inRecovery) { return nil }
                }
                return .success(try connection.run(statements))
            } catch {
                return .failure(error)
            }
        }
        switch outcome {
        case .success(let table)?: return table
        case .failure(let failure)?: return row(failure.text, session)
        case nil: return row(unavailable, session)
        }
    }

    private var unavailable: String {
        if let member = choice.member { return "No connection to member \(member) is available" }
        if let role = choice.role { return "No connection to role '\(role.rawValue)' is available" }
        return "No connection is available"
    }

    /// A row without titles.
    private func row(_ message: String, _ session: Session) -> Table {
        Table(columns: [], rows: [[.string(LocalTime.seconds(session.wallTime)), .string(message)]])
    }
}

extension MemberChoice {
    /// What `pg_is_in_recovery()` must say on a member of the role; nil where it does not matter.
    var expectsRecovery: Bool? {
        switch role {
        case .primary?: false
        case .standbyLeader?, .replica?, .standby?: true
        case .leader?, .any?, nil: nil
        }
    }
}
