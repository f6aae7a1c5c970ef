import ArgumentParser
import ClusterModel

/// `remove` (ctl.md §17).
struct RemoveCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("remove", "Removes everything that the store holds of a cluster.", examples: ["remove batman"])
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var output: FormatOption

    @Argument(help: "The cluster.")
    var clusterName: String

    func run(_ session: Session) async throws {
        let cluster = try Cluster(clusterName, group: group.number, session)
        if cluster.isCitus, group.number == nil {
            throw CtlError.refused("For Citus clusters the --group must me specified")
        }
        let picture = try await cluster.load()
        session.terminal.write(MemberListing(picture, .format(output.format)).text)
        if try await session.ask("Please confirm the cluster name to remove") != clusterName {
            throw CtlError.refused("Cluster names specified do not match")
        }
        let question =
            "You are about to remove all information in DCS for \(clusterName), please type: \"Yes I am aware\""
        if try await session.ask(question) != "Yes I am aware" {
            throw CtlError.refused("You did not exactly type \"Yes I am aware\"")
        }
        if let leader = picture.view.leaderName {
            let question =
                "This cluster currently is healthy. Please specify the leader name to continue"
            if try await session.ask(question) != leader {
                throw CtlError.refused("You did not specify the current leader of the cluster")
            }
        }
        try await cluster.removeAll()
    }
}
