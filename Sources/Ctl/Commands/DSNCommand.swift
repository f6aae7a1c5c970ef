import ArgumentParser
import ClusterModel

/// `dsn` (ctl.md §15).
struct DSNCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "dsn", "Says where a member takes connections; without options, the leader.",
            examples: ["dsn batman", "dsn batman --role replica"])
    }

    @OptionGroup var choice: MemberChoice
    @OptionGroup var group: GroupOption

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let cluster = try Cluster(try session.clusterName(clusterName), group: group.number, session)
        let member = try choice.first(in: try await cluster.load())
        // It goes into a connection string: what is no host and no port of one would be read as more than that.
        guard let address = member?.address, address.isUsable else {
            throw CtlError.refused("Can not find a suitable member")
        }
        session.terminal.write("host=\(address.host) port=\(address.port)\n")
    }
}

/// `-r` or `-m`: which of the members is meant where one is enough (ctl.md §3.1).
struct MemberChoice: ParsableArguments {
    @Option(
        name: [.customShort("r", allowingJoined: true), .customLong("role")], help: "Any member of this role.")
    var role: RoleFilter?

    @Option(name: [.customShort("m", allowingJoined: true), .customLong("member")], help: "This member.")
    var member: String?

    var isContradiction: Bool { role != nil && member != nil }

    func first(in picture: ClusterPicture) throws(CtlError) -> Member? {
        if isContradiction { throw .refused("--role and --member are mutually exclusive options") }
        if let member { return picture.members(.any).first { $0.name == member } }
        return picture.members(role ?? .leader).first
    }
}
