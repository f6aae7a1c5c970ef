import ArgumentParser
import ClusterModel
import HTTPClient

/// `upgrade minor`: after new packages were installed, the servers that still run the old ones restart, one after
/// another.
struct UpgradeCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "upgrade", "Restarts, one after another, the members whose PostgreSQL is older than what is installed.",
            "upgrade minor is for minor versions, whose packages have been replaced on every member before.",
            examples: ["upgrade minor batman"])
    }

    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case minor
    }

    @OptionGroup var group: GroupOption

    @Flag(name: .customLong("detach"), help: "Do not wait for its end.")
    var isDetached = false

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "minor.")
    var kind: Kind

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let cluster = try Cluster(try session.clusterName(clusterName), group: group.number, session)
        let picture = try await cluster.load()
        let found = try await Self.versions(picture.view.members, session)
        session.terminal.write(found.map { "\($0.name): \($0.text)\n" }.joined())
        let outdated = try MemberVersion.outdated(found)
        if outdated.isEmpty { return session.terminal.write("Every member runs what is installed\n") }
        let names = outdated.joined(separator: ", ")
        if !isForced, try await !session.confirms("Are you sure you want to restart members \(names), one by one?") {
            throw CtlError.refused("Aborted upgrade")
        }
        try await RollingRestartRun(cluster, session).begin(
            ["members": .array(outdated.map { .string($0) })], picture, isDetached: isDetached)
    }

    private static let patience = Duration.seconds(10)

    /// All are asked at once.
    private static func versions(_ members: [Member], _ session: Session) async throws -> [MemberVersion] {
        let client = try MemberClient(session)
        return await withTaskGroup(of: MemberVersion.self) { group in
            for member in members {
                group.addTask {
                    let answer = try? await client.send("GET", "patroni", to: member, within: patience)
                    let status = answer?.json
                    return MemberVersion(
                        name: member.name, running: status?["server_version"]?.int,
                        installed: status?["installed_server_version"]?.int)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.name < $1.name }
        }
    }
}

/// What a member runs, and what is installed there; numbers as PostgreSQL has them: 150018 is 15.18.
struct MemberVersion: Sendable, Hashable {
    let name: String
    /// Nil where it does not say.
    let running: Int64?
    let installed: Int64?

    var text: String {
        guard let running else { return "does not answer" }
        guard let installed else {
            return "runs \(VersionCommand.text(server: running)), and does not tell what is installed"
        }
        let versions = "runs \(VersionCommand.text(server: running))"
        return running == installed ? versions : "\(versions), installed is \(VersionCommand.text(server: installed))"
    }

    /// Those that a restart brings to another version. Refuses where that would be another major one, which does not
    /// start on the old data, or where somebody does not say.
    static func outdated(_ found: [MemberVersion]) throws(CtlError) -> [String] {
        for member in found {
            guard let running = member.running, let installed = member.installed else {
                throw .refused("\(member.name) \(member.text)")
            }
            if running / 10_000 != installed / 10_000 {
                throw .refused("\(member.name) \(member.text): another major version does not start on its data")
            }
            if installed < running { throw .refused("\(member.name) \(member.text), which is older") }
        }
        return found.filter { $0.running != $0.installed }.map(\.name)
    }
}
