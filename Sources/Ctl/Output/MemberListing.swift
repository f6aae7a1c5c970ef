import ClusterModel
import Configuration

/// The members of a cluster as a table with a title and a foot (ctl.md §5).
struct MemberListing {
    enum Style: Sendable, Hashable {
        case format(OutputFormat)
        /// A drawn table with the members as a tree.
        case tree

        var isDrawn: Bool { self == .tree || self == .format(.pretty) }
    }

    private let picture: ClusterPicture
    private let style: Style
    private let isExtended: Bool

    init(_ picture: ClusterPicture, _ style: Style, isExtended: Bool = false) {
        self.picture = picture
        self.style = style
        self.isExtended = isExtended
    }

    /// The text as it is printed, its newline included.
    var text: String {
        switch style {
        case .format(let format): table.text(format) + foot
        case .tree: table.text(.pretty) + foot
        }
    }

    // MARK: Rows

    /// One member as `GET /cluster` tells of it, and the group it is of.
    private struct Row {
        let group: Int?
        var member: JSONObject
        var name: String { member["name"]?.string ?? "" }
        func isTrue(_ key: String) -> Bool { member[key]?.isTruthy == true }
    }

    /// All of them; of a tree also those that follow one another in a circle, and have no place there.
    private var groups: [[Row]] {
        picture.groups.map { group in
            let document = ClusterDocument.object(
                group.view, ClusterPicture.settings(group.view), scope: picture.name)
            return (document["members"]?.array ?? []).compactMap(\.object).map {
                Row(group: group.number, member: $0)
            }
        }
    }

    var table: Table {
        let groups = groups
        let members = groups.flatMap(\.self)
        let shown = style == .tree ? groups.flatMap(Self.tree) : members
        let optional = [
            ("Pending restart", "pending_restart"), ("Pending restart reason", "pending_restart_reason"),
            ("Scheduled restart", "scheduled_restart"), ("Tags", "tags"),
        ].filter { _, key in isExtended || members.contains { $0.isTrue("host") && $0.isTrue(key) } }
        var columns: [Table.Column] = style.isDrawn ? [] : [Table.Column("Cluster")]
        let showsGroup = picture.isCitus && !(style.isDrawn && picture.group != nil)
        if showsGroup { columns.append(Table.Column("Group", isRight: true)) }
        columns += ["Member", "Host", "Role", "State"].map { Table.Column($0) }
        columns += [
            Table.Column("TL", isRight: true), Table.Column("Receive LSN", isRight: true),
            Table.Column("Receive Lag", title: "Lag", isRight: true), Table.Column("Replay LSN", isRight: true),
            Table.Column("Replay Lag", title: "Lag", isRight: true),
        ]
        columns += optional.map { Table.Column($0.0) }
        let showsPort = Self.needsPorts(members)
        let rows = shown.map { row -> [JSONValue] in
            var cells: [JSONValue] = style.isDrawn ? [] : [.string(picture.name)]
            if showsGroup { cells.append(row.group.map { .int(Int64($0)) } ?? "") }
            cells += [.string(row.name), Self.host(row.member, showsPort), Self.role(row.member)]
            cells += [row.member["state"] ?? "", row.member["timeline"] ?? ""]
            return cells + Self.positions(row.member) + optional.map { cell($0.1, row.member) }
        }
        return Table(columns: columns, rows: rows, title: title, omitsEmpty: true)
    }

    private static func needsPorts(_ rows: [Row]) -> Bool {
        var hosts: Set<String> = []
        for row in rows {
            guard let host = row.member["host"]?.string, !host.isEmpty else { continue }
            if !hosts.insert(host).inserted { return true }
            if let port = row.member["port"]?.int, port != 5432 { return true }
        }
        return false
    }

    private static func host(_ member: JSONObject, _ showsPort: Bool) -> JSONValue {
        guard let host = member["host"]?.string, !host.isEmpty else { return "" }
        return .string(showsPort ? "\(host):\(member["port"]?.int ?? 5432)" : host)
    }

    /// `standby_leader` becomes `Standby Leader`.
    private static func role(_ member: JSONObject) -> JSONValue {
        let words = (member["role"]?.string ?? "").split(separator: "_")
        return .string(words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: " "))
    }

    // MARK: Positions

    private static func positions(_ member: JSONObject) -> [JSONValue] {
        var cells: [String: JSONValue] = [:]
        for key in ["receive", "replay"] {
            cells["\(key)_lsn"] = member["\(key)_lsn"]
            cells["\(key)_lag"] = member["\(key)_lag"]
        }
        // Old versions tell of one position only.
        if cells["receive_lsn"] == "unknown", cells["replay_lsn"] == "unknown", let lsn = member["lsn"],
            lsn != "unknown"
        {
            let key = member["state"] == "streaming" ? "receive" : "replay"
            cells["\(key)_lsn"] = lsn
            cells["\(key)_lag"] = member["lag"]
        }
        return ["receive", "replay"].flatMap { key -> [JSONValue] in
            [cells["\(key)_lsn"] ?? "", cells["\(key)_lag"]?.int.map { .int(megabytes($0)) } ?? ""]
        }
    }

    /// Whole ones, to the nearest, a half to the even.
    private static func megabytes(_ bytes: Int64) -> Int64 {
        Int64((Double(bytes) / 1_048_576).rounded(.toNearestOrEven))
    }

    // MARK: Optional columns

    private func cell(_ key: String, _ member: JSONObject) -> JSONValue {
        guard let value = member[key], value.isTruthy else { return "" }
        switch key {
        case "pending_restart": return "*"
        case "pending_restart_reason": return .string(reason(value.object ?? JSONObject()))
        case "scheduled_restart": return .string(Self.schedule(value.object ?? JSONObject()))
        default: return tags(value)
        }
    }

    private static let longestReason = 50

    private func reason(_ reasons: JSONObject) -> String {
        reasons.members.map { parameter in
            let values = ["old_value", "new_value"].map { PythonText.text(parameter.value[$0] ?? "") }
            let text = "\(parameter.key): \(values.joined(separator: "->"))"
            let isHidden = style.isDrawn && text.unicodeScalars.count > Self.longestReason
            return isHidden ? "\(parameter.key): [hidden - too long]" : text
        }.joined(separator: "\n")
    }

    private static func schedule(_ restart: JSONObject) -> String {
        let at = PythonText.text(restart["schedule"] ?? "")
        guard let version = restart["postgres_version"], version.isTruthy else { return at }
        return "\(at) if version < \(PythonText.text(version))"
    }

    private func tags(_ tags: JSONValue) -> JSONValue {
        switch style {
        case .format(.json), .format(.yaml), .format(.yml): tags
        case .format(.pretty): .string(YAML.text(tags).withoutNewlineAtEnd)
        case .format(.tsv), .tree: .string(YAML.text(tags, .flow).withoutNewlineAtEnd)
        }
    }

    // MARK: Tree

    /// The leader first, under it who follows it, and so on; who follows in a circle is nowhere (ctl.md §5.4).
    private static func tree(_ rows: [Row]) -> [Row] {
        let root = rows.first { $0.member["role"]?.string?.hasSuffix("leader") == true }
        let replicas = rows.filter { $0.name != root?.name }
        let names = Set(replicas.map(\.name))
        var children: [String: [Row]] = [:]
        for replica in replicas {
            let source = replica.member["tags"]?["replicatefrom"]?.string
            let isKnown = source.map { names.contains($0) && $0 != replica.name } ?? false
            children[isKnown ? source ?? "" : root?.name ?? "", default: []].append(replica)
        }
        var result = root.map { [$0] } ?? []
        func add(under name: String, level: Int) {
            for child in children.removeValue(forKey: name) ?? [] {
                var row = child
                row.member["name"] = .string(String(repeating: "  ", count: level - 1) + "+ " + child.name)
                result.append(row)
                add(under: child.name, level: level + 1)
            }
        }
        add(under: root?.name ?? "", level: 1)
        return result
    }

    // MARK: Title and foot

    private var title: String {
        guard picture.isCitus else { return "Cluster: \(picture.name) (\(Self.identifier(picture.view)))" }
        guard let group = picture.group else { return "Citus cluster: \(picture.name)" }
        return "Citus cluster: \(picture.name) (group: \(group), \(Self.identifier(picture.view)))"
    }

    private static func identifier(_ view: ClusterView) -> String {
        switch view.initialize {
        case .absent: "uninitialized"
        case .inProgress: "initializing"
        case .value(let text): text
        }
    }

    private var foot: String {
        guard style.isDrawn else { return "" }
        return picture.groups.map { group in
            let lines = Self.notes(group.view).map { " \($0)\n" }
            let needsHead = picture.isCitus && picture.group == nil && !lines.isEmpty
            return (needsHead ? "Citus group: \(group.number ?? 0)\n" : "") + lines.joined()
        }.joined()
    }

    private static let labelWidth = 24

    private static func notes(_ view: ClusterView) -> [String] {
        var lines: [String] = []
        if ClusterPicture.settings(view).isPaused { lines.append("Maintenance mode: on") }
        if let request = view.failover, let at = request.scheduledAt {
            lines.append("Switchover scheduled at: \(at)")
            for (label, name) in [("from", request.leader), ("to", request.candidate)] {
                guard let name else { continue }
                let blanks = String(repeating: " ", count: labelWidth - 1 - label.utf8.count)
                lines.append("\(blanks)\(label): \(name)")
            }
        }
        return lines
    }
}

extension String {
    /// Without the one newline that a YAML document ends with.
    var withoutNewlineAtEnd: String {
        utf8.last == UInt8(ascii: "\n") ? String(Substring(utf8.dropLast())) : self
    }
}
