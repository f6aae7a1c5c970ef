import ArgumentParser
import ClusterAccess
import ClusterModel
import HTTPClient

/// `version` (ctl.md §16).
struct VersionCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("version", "Says which version this is, and which the members of a cluster run.")
    }

    @OptionGroup var group: GroupOption

    @Argument(help: "A cluster whose members are asked.")
    var clusterName: String?

    @Argument(help: "The members; all where none is named.")
    var memberNames: [String] = []

    func run(_ session: Session) async throws {
        let version =
            Program.name == Program.patroniName
            ? Version.patroni : "\(Version.own) (peer of Patroni \(Version.patroni))"
        session.terminal.write("\(Program.name) version \(version)\n")
        guard let clusterName else { return }
        session.terminal.write("\n")
        let picture = try await Cluster(clusterName, group: group.number, session).load()
        let client = try MemberClient(session)
        for member in picture.members(.any) where member.apiURL != nil {
            if !memberNames.isEmpty, !memberNames.contains(member.name) { continue }
            session.terminal.write(await Self.line(member, client) + "\n")
        }
    }

    private static let patience = Duration.seconds(10)

    private static func line(_ member: Member, _ client: MemberClient) async -> String {
        do throws(HTTPClientError) {
            let answer = try await client.send("GET", "patroni", to: member, within: patience)
            guard let version = answer.json?["patroni"]?["version"]?.string else {
                return "\(member.name): failed to get version: \(answer.status), \(answer.body)"
            }
            let postgreSQL = answer.json?["server_version"]?.int.map { " PostgreSQL \(text(server: $0))" } ?? ""
            return "\(member.name): Patroni \(version)\(postgreSQL)"
        } catch {
            return "\(member.name): failed to get version: \(error)"
        }
    }

    /// 150018 is 15.18, 90624 is 9.6.24.
    static func text(server number: Int64) -> String {
        number >= 100_000
            ? "\(number / 10_000).\(number % 10_000)"
            : "\(number / 10_000).\(number / 100 % 100).\(number % 100)"
    }
}
