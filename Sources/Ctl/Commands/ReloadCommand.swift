import ArgumentParser
import ClusterModel

/// `reload` (ctl.md §8).
struct ReloadCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("reload", "Has members read their configuration again.", examples: ["reload batman n1 --force"])
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var role: RoleOption

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster.")
    var clusterName: String

    @Argument(help: "The members; all where none is named.")
    var memberNames: [String] = []

    func run(_ session: Session) async throws {
        let picture = try await Cluster(clusterName, group: group.number, session).load()
        let selection = MemberSelection("reload", role: role.role, isForced: isForced)
        let wait = ValueParsing.integer(picture.view.config?.data["loop_wait"]) ?? 10
        let members = try await selection.members(memberNames, of: picture, session)
        var actions = try MemberActions(session)
        for member in members {
            guard let answer = await actions.ask("POST", "reload", of: member, for: "reload") else { continue }
            switch answer.status {
            case 200: actions.say("No changes to apply on member \(member.name)")
            case 202:
                actions.say(
                    "Reload request received for member \(member.name) and will be processed within \(wait) seconds")
            default: actions.report(answer, "reload", member)
            }
        }
        try actions.finish()
    }
}
