import ClusterModel

/// The three layers in one tree: defaults < dynamic < local, with the exceptions of configuration.md §1.4.
struct SettingLayers {
    private(set) var tree = OriginatedTree()
    /// What was set in vain, in words for the log.
    private(set) var warnings: [String] = []
    /// How the parameters are spelled that are set, by their names in lower case.
    private var spellings: [String: String] = [:]

    private static let postgreSQL = SettingPath(["postgresql"])
    private static let parameters = SettingPath(["postgresql", "parameters"])
    private static let timings = ["ttl", "loop_wait", "retry_timeout"]
    /// Of the top; the node's own configuration has no say in them.
    private static let onlyDynamic = SettingTable.only(.dynamic, in: "")
    /// Of `postgresql`: dropped where they come from the store.
    private static let onlyLocal = SettingTable.only(.local, in: "postgresql")
    private static let standbyKeys = SettingTable.keys(of: "standby_cluster").sorted()

    init(local: LocalConfiguration, dynamic: JSONObject) {
        setDefaults()
        let dynamic = OriginatedTree(dynamic) { _ in .dynamic }
        apply(dynamic: dynamic.pathsWithNUL.isEmpty ? dynamic : withoutNUL(dynamic))
        apply(local: local.settings)
        applyLegacyNames()
    }

    private mutating func setDefaults() {
        for path in SettingLayers.timings + ["postgresql.use_slots"] {
            guard let standard = SettingTable.byPath[path]?.standard else { continue }
            tree.set(SettingPath(dotted: path), standard, origin: .byDefault)
        }
        for parameter in ControlledParameters.table {
            guard let standard = parameter.standard else { continue }
            tree.set(SettingLayers.parameters.appending(parameter.name), standard, origin: .byDefault)
        }
    }

    /// A text that cannot be written as it is counts for nothing; the REST API takes none, but there are other writers.
    private mutating func withoutNUL(_ dynamic: OriginatedTree) -> OriginatedTree {
        var result = dynamic
        for path in dynamic.pathsWithNUL.reversed() {
            // Of a list nothing is left: without one line the others may mean something else.
            let path =
                path.elements.firstIndex { Int($0) != nil }.map { SettingPath(Array(path.elements[..<$0])) } ?? path
            warn(dynamic, path, "holds a NUL and is left out")
            if !path.elements.isEmpty { result.set(path, nil) }
        }
        return result
    }

    private mutating func apply(dynamic: OriginatedTree) {
        for key in SettingLayers.timings {
            if let value = dynamic.root[key] { tree.set(SettingPath([key]), value, origin: .dynamic) }
        }
        if let standby = dynamic.root["standby_cluster"]?.object {
            for key in SettingLayers.standbyKeys {
                if let value = standby[key] {
                    tree.set(SettingPath(["standby_cluster", key]), value, origin: .dynamic)
                }
            }
        }
        for member in dynamic.root["postgresql"]?.object?.members ?? [] {
            let path = SettingLayers.postgreSQL.appending(member.key)
            if SettingLayers.onlyLocal.contains(member.key) { continue }
            if member.key == "parameters" {
                applyParameters(member.value, dynamic) { merge, name, value, path in
                    merge.setDynamic(name, value, path, dynamic)
                }
            } else {
                tree.set(path, member.value, from: dynamic)
            }
        }
    }

    private mutating func apply(local: OriginatedTree) {
        for member in local.root.members {
            let path = SettingPath([member.key])
            if SettingLayers.onlyDynamic.contains(member.key) {
                warn(local, path, "has no effect here: it is read from the DCS (bootstrap.dcs for a new cluster)")
            } else if member.key == "citus", !SettingLayers.isCitus(member.value) {
                warn(local, path, "needs a whole number for group and a text for database; it is left out")
            } else if member.key == "postgresql", let section = member.value.object {
                apply(localPostgreSQL: section, local)
            } else if member.value.isTruthy {
                tree.set(path, member.value, from: local)
            }
        }
    }

    private mutating func apply(localPostgreSQL section: JSONObject, _ local: OriginatedTree) {
        for member in section.members {
            let path = SettingLayers.postgreSQL.appending(member.key)
            switch member.key {
            case "use_slots": warn(local, path, "has no effect here: it is read from the DCS")
            case "parameters":
                applyParameters(member.value, local) { merge, name, value, path in
                    if ControlledParameters.parameter(name) == nil {
                        merge.setParameter(name, value, path, local)
                    } else {
                        merge.warn(
                            local, path, "has no effect here: it is read from the DCS, where all nodes agree on it")
                    }
                }
            default: tree.set(path, member.value, from: local)
            }
        }
    }

    private mutating func applyParameters(
        _ value: JSONValue, _ source: OriginatedTree,
        _ body: (inout SettingLayers, String, JSONValue, SettingPath) -> Void
    ) {
        switch value {
        case .object(let parameters):
            for member in parameters.members {
                body(&self, member.key, member.value, SettingLayers.parameters.appending(member.key))
            }
        case .null: break
        case .bool, .int, .double, .string, .array:
            // Kept as it is: the typed reading names it as an error.
            tree.set(SettingLayers.postgreSQL.appending("parameters"), value, from: source)
        }
    }

    private mutating func setDynamic(_ name: String, _ value: JSONValue, _ path: SettingPath, _ source: OriginatedTree)
    {
        guard let parameter = ControlledParameters.parameter(name) else {
            return setParameter(name, value, path, source)
        }
        if case .derived = parameter.check {
            return warn(source, path, "has no effect: it follows from other settings")
        }
        if let accepted = ControlledParameters.accepted(value, for: parameter) {
            tree.set(SettingLayers.parameters.appending(parameter.name), accepted, origin: .dynamic)
        } else {
            let standard = parameter.standard?.comparableText ?? "the server's own default"
            warnings.append(
                "postgresql parameter \(parameter.name)=\(Secrets.shown(value.comparableText)) failed validation, "
                    + "defaulting to \(standard)")
        }
    }

    /// Names are compared without regard to case; the first spelling stays.
    private mutating func setParameter(
        _ name: String, _ value: JSONValue, _ path: SettingPath, _ source: OriginatedTree
    ) {
        guard let origin = source.origin(of: path) else { return }
        let lower = name.lowercased()
        let spelling = spellings[lower] ?? name
        spellings[lower] = spelling
        tree.set(SettingLayers.parameters.appending(spelling), value, origin: origin)
    }

    private mutating func warn(_ source: OriginatedTree, _ path: SettingPath, _ message: String) {
        warnings.append(ConfigurationProblem(path, message, source.origin(of: path)).description)
    }

    private static func isCitus(_ value: JSONValue) -> Bool {
        guard let group = value["group"], value["database"]?.string != nil else { return false }
        return ValueParsing.integer(group) != nil
    }

    /// Names that older configurations use (configuration.md §1.4 step C).
    private mutating func applyLegacyNames() {
        let section = tree.value(at: SettingLayers.postgreSQL)
        if tree.root["name"] == nil, let name = section?["name"] {
            move("postgresql.name", to: "name", name)
        }
        if section?["create_replica_methods"] == nil, let methods = section?["create_replica_method"] {
            move("postgresql.create_replica_method", to: "postgresql.create_replica_methods", methods)
        }
        let legacyRewind = section?["pg_rewind"]
        if section?["authentication"]?.object == nil {
            for user in ["superuser", "replication"] {
                guard let value = section?[user] else { continue }
                move("postgresql.\(user)", to: "postgresql.authentication.\(user)", value)
            }
            if section?["superuser"] != nil || section?["replication"] != nil, section?["use_pg_rewind"] == nil {
                let path = SettingPath(["postgresql", "use_pg_rewind"])
                tree.set(path, .bool(legacyRewind?.object != nil), origin: .byDefault)
            }
        }
        if let legacyRewind, tree.value(at: SettingPath(dotted: "postgresql.authentication.superuser")) == nil {
            move("postgresql.pg_rewind", to: "postgresql.authentication.superuser", legacyRewind)
        }
    }

    private mutating func move(_ old: String, to new: String, _ value: JSONValue) {
        let origin = tree.origin(of: SettingPath(dotted: old)) ?? .byDefault
        tree.set(SettingPath(dotted: new), value, origin: origin)
    }
}
