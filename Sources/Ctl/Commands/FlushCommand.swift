import ArgumentParser
import ClusterModel
import HTTPClient
import Ports

/// `flush` (ctl.md §10).
struct FlushCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "flush", "Takes back a scheduled restart or switchover.",
            examples: ["flush batman switchover", "flush batman n1 restart --force"])
    }

    private enum Target: String, CaseIterable {
        case restart, switchover
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var role: RoleOption

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster.")
    var clusterName: String

    @Argument(help: "The members, all where none is named; then what is taken back: restart or switchover.")
    var words: [String]

    func run(_ session: Session) async throws {
        guard let last = words.last, let target = Target(rawValue: last) else {
            throw CtlError.usage("'\(words.last ?? "")' is not one of 'restart', 'switchover'.")
        }
        let cluster = try Cluster(clusterName, group: group.number, session)
        let picture = try await cluster.load()
        switch target {
        case .restart: try await flushRestarts(picture, session)
        case .switchover: try await flushSwitchover(cluster, picture, session)
        }
    }

    private func flushRestarts(_ picture: ClusterPicture, _ session: Session) async throws {
        let selection = MemberSelection("flush", role: role.role, isForced: isForced)
        let members = try await selection.members(words.dropLast(), of: picture, session)
        var actions = try MemberActions(session)
        for member in members {
            guard member.data["scheduled_restart"]?.isTruthy == true else {
                actions.say("No scheduled restart for member \(member.name)")
                continue
            }
            let action = "flush scheduled restart"
            guard let answer = await actions.ask("DELETE", "restart", of: member, for: action) else { continue }
            actions.report(answer, action, member)
        }
        try actions.finish()
    }

    private func flushSwitchover(_ cluster: Cluster, _ picture: ClusterPicture, _ session: Session) async throws {
        guard picture.view.failover?.scheduledAt != nil else {
            return session.terminal.write("No pending scheduled switchover\n")
        }
        let client = try MemberClient(session)
        for member in picture.leaderFirst {
            do throws(HTTPClientError) {
                let answer = try await client.send("DELETE", "switchover", to: member)
                switch answer.status {
                case 200: return session.terminal.write("Success: \(answer.body)\n")
                case 404: return session.terminal.write("Failed: \(answer.body)\n")
                default:
                    session.terminal.write(
                        "Failed: member=\(member.name), status_code=\(answer.status), (\(answer.body))\n")
                }
            } catch {
                session.warn("\(error)")
                session.warn("Member \(member.name) is not accessible")
            }
        }
        let time = LocalTime.event(session.wallTime)
        session.terminal.write("\(time) Could not find any accessible member of cluster \(picture.name)\n")
        if try await !cluster.write(.failover, JSONObject(), asSeen: picture.view.failoverRevision) {
            session.warn("somebody else changed the request in the meantime; nothing was written")
        }
    }
}
