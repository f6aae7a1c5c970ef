import ArgumentParser
import ClusterModel
import Configuration

/// `show-config` (ctl.md §12).
struct ShowConfigCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("show-config", "Shows the configuration that a cluster shares.")
    }

    @OptionGroup var group: GroupOption

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let group = group.number ?? session.group
        let picture = try await Cluster(try session.clusterName(clusterName), group: group, session).load()
        guard let config = picture.view.config else { return }
        session.terminal.write(YAML.text(.object(config.data)) + "\n")
    }
}
