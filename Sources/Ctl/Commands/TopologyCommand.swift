import ArgumentParser

/// `topology` (ctl.md §5.4).
struct TopologyCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("topology", "Shows the members of clusters as a tree: who follows whom.")
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var watch: WatchOptions

    @Argument(help: "The clusters; the one of the configuration where none is named.")
    var clusterNames: [String] = []

    func run(_ session: Session) async throws {
        try await Listing.show(clusterNames, group.number, .tree, watch, session)
    }
}
