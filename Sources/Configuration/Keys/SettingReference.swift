import ClusterModel

/// The reference of all keys, as `docs/configuration.md` has it: made of the table, so that it tells what is so.
public enum SettingReference {
    /// The whole page, in Markdown.
    public static var page: String {
        ([introduction] + sections.map { section($0.name, $0.title) } + [unspoken, parameters, traps])
            .joined(separator: "\n")
    }

    private static let sections: [(name: String, title: String)] =
        [
            ("", "The node"), ("log", "log"), ("restapi", "restapi"), ("ctl", "ctl"), ("postgresql", "postgresql"),
            ("bootstrap", "bootstrap"),
        ] + stores + [
            ("guardian", "guardian"), ("watchdog", "watchdog"),
            ("tags", "tags"), ("citus", "citus"), ("dynamic", "The dynamic configuration"),
        ]

    /// Each by the section to use, with what its others are called.
    private static let stores = StoreSettings.Kind.allCases.map { kind in
        (name: kind.sections.last ?? kind.rawValue, title: kind.sections.reversed().joined(separator: ", "))
    }

    private static func section(_ name: String, _ title: String) -> String {
        let keys = SettingTable.keys.filter { key in
            let first = SettingPath(dotted: key.path).elements[0]
            if key.level == .dynamic, first != "postgresql" { return name == "dynamic" }
            if key.path == first, key.kind != .section { return name == "" }
            return first == name && key.kind != .section
        }
        return """
            ## \(title)

            | key | takes | default | from | counts | meaning |
            |---|---|---|---|---|---|
            \(keys.map(row).joined(separator: "\n"))

            """
    }

    private static func row(_ key: SettingKey) -> String {
        let variable = EnvironmentTable.variable(of: key.path).map { "<br>`\($0)`" } ?? ""
        let levels: [SettingKey.Level: String] = [.local: "the node", .dynamic: "the cluster", .both: "both"]
        let applications: [SettingKey.Application: String] = [
            .now: "at once", .server: "at once, or with a restart of PostgreSQL",
            .daemon: "with a restart of the daemon",
            .create: "in a new cluster",
        ]
        let note = key.withoutEffect.map { " It \($0)." } ?? ""
        let cells = [
            "`\(key.path)`\(variable)", [key.allowed, key.kind.unitInWords].compactMap { $0 }.joined(separator: ", "),
            standard(key), levels[key.level] ?? "",
            applications[key.application] ?? "", key.sentence + note,
        ]
        return "| \(cells.joined(separator: " | ")) |"
    }

    private static func standard(_ key: SettingKey) -> String {
        if let words = key.standardInWords { return words }
        guard let standard = key.standard else { return "" }
        let text = YAML.text(standard, .flow)
        return "`\(Substring(text).withoutBlanks)`"
    }

    private static let introduction = """
        # The configuration

        Every key that may stand in a `patroni.yml` and in the configuration that the cluster shares. This page is
        written by `matriarch --reference`, from the table that the daemon itself goes by; what follows from a key,
        and how layers are merged, is told in [behaviour/configuration.md](behaviour/configuration.md), PostgreSQL's
        own parameters in [parameters.md](parameters.md).

        A node reads the file, or the files of the directory, that it is started with, in the order of their names;
        then `PATRONI_*` variables, which win. Without a file `PATRONI_CONFIGURATION` may hold a whole one. What the
        cluster shares stands in `/config` of the store: `PATCH /config` and `matriarchctl edit-config` change it, and
        `bootstrap.dcs` is what a new cluster begins with. From "the node" is read from files and variables, "the
        cluster" from the store alone, "both" from either, the node's own winning. "At once" is with SIGHUP or `POST
        /reload`, for the cluster with the next cycle.

        `matriarch --validate-config FILE` says what is wrong, by file, line, key and what is allowed; with `--print`
        it shows what holds and where each value comes from.

        A password may stand in a file: in `password_file` beside `username`, or, for each variable of a name or a
        password, in the file that `<variable>_FILE` names. One line break at its end does not count. The file is read
        again with the configuration.
        """

    private static var unspoken: String {
        let stores = StoreSettings.sections.filter { !StoreSettings.spokenSections.contains($0) }.map { section in
            let keys = SettingTable.keys.filter { $0.path.hasPrefix("\(section).") }
            let names = keys.map { "`\($0.path.dropFirst(section.count + 1))`" }.joined(separator: ", ")
            return "| `\(section)` | \(names) |"
        }
        return """
            ## Other stores

            Their keys are known by name, so that nothing is called a mistake which is none. A daemon that finds only
            such a section does not start.

            | section | keys |
            |---|---|
            \(stores.joined(separator: "\n"))

            """
    }

    private static var parameters: String {
        let rows = ControlledParameters.table.map { parameter in
            let standard = parameter.standard.map { "`\($0.comparableText)`" } ?? ""
            return "| `\(parameter.name)` | \(parameter.check.allowed) | \(standard) |"
        }
        return """
            ## Parameters that all nodes agree on

            Of `postgresql.parameters` only the cluster's count for these; a value that does not fit gives way to the
            default.

            | parameter | takes | default |
            |---|---|---|
            \(rows.joined(separator: "\n"))

            """
    }

    private static let traps = """
        ## What surprises

        The meaning of each is Patroni's, and the log says so by name when it happens.

        | what | what it means |
        |---|---|
        | `ttl`, `loop_wait`, `retry_timeout` and other keys of the cluster in a node's file | nothing; they count in \
        `bootstrap.dcs` and in the store |
        | `mode: off`, `scope: on` | YAML 1.1 reads booleans: a text is quoted |
        | `password: 0123`, `name: 1_000`, `12:30` | YAML 1.1 reads numbers: 83, 1000, 750 |
        | a key twice in one mapping | the last one counts |
        | `pgpass: ~/pgpass` and other paths with `~` | no home: the path counts from where the daemon is started |
        | `PATRONI_ETCD_HOST=` with nothing behind it | makes a section `etcd`, which goes before `etcd3` |
        | `PATRONI_ETCD3_USERNAME` without another variable of etcd3 | nothing, also where a file has the section |
        | `PATRONI_CONFIGURATION` beside others | the others do not count; beside a file it does not count itself |
        | `postgresql.listen`, `data_dir`, `authentication` and other keys of the node in the store | nothing |
        | `postgresql.pg_hba` of the node | replaces the cluster's as a whole; only `parameters` are merged |

        """
}
