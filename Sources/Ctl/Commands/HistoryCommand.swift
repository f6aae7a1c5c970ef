import ArgumentParser
import ClusterModel

/// `history` (ctl.md §13).
struct HistoryCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of("history", "Shows the timelines of a cluster: when the leader changed, and why.")
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var output: FormatOption

    @Flag(name: .customLong("force"), help: .hidden)
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let group = group.number ?? session.group
        let picture = try await Cluster(try session.clusterName(clusterName), group: group, session).load()
        session.terminal.write(Self.table(picture.view.history).text(output.format))
    }

    static func table(_ history: TimelineHistory) -> Table {
        let columns = [
            Table.Column("TL", isRight: true), Table.Column("LSN", isRight: true), Table.Column("Reason"),
            Table.Column("Timestamp"), Table.Column("New Leader"),
        ]
        let rows = history.lines.map { line -> [JSONValue] in
            let cells = line.json.array ?? []
            return cells + Array(repeating: "", count: max(0, columns.count - cells.count))
        }
        return Table(columns: columns, rows: rows)
    }
}
