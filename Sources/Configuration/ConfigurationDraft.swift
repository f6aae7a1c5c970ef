import ClusterModel

/// A configuration that an operator begins with: a sample, or one for a PostgreSQL that runs (configuration.md §8.1).
/// Pure. What nobody can know stands there as `#FIXME`.
public struct ConfigurationDraft: Sendable {
    /// What a server that runs says of itself.
    public struct Server: Sendable {
        /// `server_version_num`.
        public var version: Int
        /// Settings that somebody has made, and those that all nodes must agree on: name and value as SHOW tells it.
        public var settings: [ParameterSetting]
        public var hostBasedAuthentication: [String]?
        public var identityMap: [String]?
        /// Empty: found through PATH.
        public var binDirectory: String
        public var port: Int
        /// Who we are connected as; the password where one was given.
        public var user: String
        public var password: String?

        public init(
            version: Int, settings: [ParameterSetting], hostBasedAuthentication: [String]?, identityMap: [String]?,
            binDirectory: String, port: Int, user: String, password: String?
        ) {
            self.version = version
            self.settings = settings
            self.hostBasedAuthentication = hostBasedAuthentication
            self.identityMap = identityMap
            self.binDirectory = binDirectory
            self.port = port
            self.user = user
            self.password = password
        }
    }

    private static let unknown: JSONValue = "#FIXME"
    private var document: JSONObject

    /// A node called `host` with the address `address`. `environment` is put over the result.
    public init(host: String, address: String, environment: [String: String]) {
        document = ConfigurationDraft.template(host, address)
        fillSample()
        apply(environment)
    }

    /// The same for a server that runs.
    public init(host: String, address: String, server: Server, environment: [String: String]) {
        document = ConfigurationDraft.template(host, address)
        fill(server, address)
        apply(environment)
    }

    private static func template(_ host: String, _ address: String) -> JSONObject {
        [
            "scope": unknown, "name": .string(host),
            "log": [
                "type": "plain", "level": "INFO", "traceback_level": "ERROR",
                "format": "%(asctime)s %(levelname)s: %(message)s", "max_queue_size": 1000,
            ],
            "restapi": [
                "listen": .string("\(address):8008"), "connect_address": .string("\(address):8008"),
            ],
            "bootstrap": ["dcs": .object(defaults)],
            "postgresql": [
                "data_dir": unknown, "listen": .string("\(address):5432"),
                "connect_address": .string("\(address):5432"), "bin_dir": "",
                "authentication": [
                    "superuser": ["username": "postgres", "password": unknown],
                    "replication": ["username": "replicator", "password": unknown],
                ],
            ],
            "tags": [
                "failover_priority": 1, "sync_priority": 1, "noloadbalance": false, "clonefrom": true,
                "nostream": false,
            ],
        ]
    }

    /// What every cluster begins with.
    private static var defaults: JSONObject {
        func standard(_ key: String) -> JSONValue { SettingTable.byPath[key]?.standard ?? .null }
        let parameters = ControlledParameters.table.compactMap { parameter in
            parameter.standard.map { (parameter.name, parameter.name == "wal_level" ? "replica" : $0) }
        }
        return [
            "loop_wait": standard("loop_wait"), "retry_timeout": standard("retry_timeout"), "ttl": standard("ttl"),
            "maximum_lag_on_failover": standard("maximum_lag_on_failover"),
            "postgresql": [
                "use_slots": true, "use_pg_rewind": true, "parameters": .object(JSONObject(parameters)),
            ],
        ]
    }

    private mutating func fillSample() {
        let method = "scram-sha-256"
        set("bootstrap.dcs.postgresql.parameters.wal_keep_size", "128MB")
        set("postgresql.parameters.password_encryption", .string(method))
        set(
            "postgresql.pg_hba",
            [
                .string("host all all all \(method)"), .string("host replication replicator all \(method)"),
            ])
        set("postgresql.authentication.rewind", ["username": "rewind_user", "password": Self.unknown])
    }

    /// Commands and places are each node's own; the rest is for all.
    private static let ofTheNode: Set<String> = [
        "archive_command", "restore_command", "archive_cleanup_command", "recovery_end_command",
        "ssl_passphrase_command", "hba_file", "ident_file", "config_file",
    ]

    private mutating func fill(_ server: Server, _ address: String) {
        let section = "postgresql"
        let dynamic = "bootstrap.dcs.postgresql.parameters"
        for setting in server.settings {
            let value = JSONValue.string(setting.value)
            switch setting.name {
            case "data_directory": set("\(section).data_dir", value)
            case "cluster_name": if !setting.value.isEmpty { set("scope", value) }
            case "listen_addresses": set("\(section).listen", .string("\(setting.value):\(server.port)"))
            case "port": break
            case let name where Self.ofTheNode.contains(name):
                if let file = Self.defaultFiles[name], isDefault(setting.value, file, server) { continue }
                put(setting, "\(section).parameters")
            default:
                // What no node would take gives way to the default that stands there already.
                if let parameter = ControlledParameters.parameter(setting.name),
                    ControlledParameters.accepted(value, for: parameter) == nil
                {
                    continue
                }
                put(setting, dynamic)
            }
        }
        if server.version < 130_000 { document = Self.without("wal_keep_size", document) }
        if let lines = server.hostBasedAuthentication { set("\(section).pg_hba", .array(lines.map { .string($0) })) }
        if let lines = server.identityMap, !lines.isEmpty {
            set("\(section).pg_ident", .array(lines.map { .string($0) }))
        }
        set("\(section).bin_dir", .string(server.binDirectory))
        set("\(section).connect_address", .string("\(address):\(server.port)"))
        set("\(section).authentication.superuser.username", .string(server.user))
        if let password = server.password { set("\(section).authentication.superuser.password", .string(password)) }
        let hints = server.settings.first { $0.name == "wal_log_hints" }?.value
        set("bootstrap.dcs.postgresql.use_pg_rewind", .bool(hints == "on"))
    }

    private static let defaultFiles = [
        "hba_file": "pg_hba.conf", "ident_file": "pg_ident.conf", "config_file": "postgresql.conf",
    ]

    private func isDefault(_ path: String, _ file: String, _ server: Server) -> Bool {
        let directory = server.settings.first { $0.name == "data_directory" }?.value ?? ""
        return path == "\(directory)/\(file)"
    }

    private static func without(_ parameter: String, _ document: JSONObject) -> JSONObject {
        var tree = OriginatedTree(document) { _ in nil }
        tree.set(SettingPath(dotted: "bootstrap.dcs.postgresql.parameters.\(parameter)"), nil)
        return tree.root
    }

    private mutating func set(_ path: String, _ value: JSONValue) { set(SettingPath(dotted: path), value) }

    /// A parameter's name may hold a point.
    private mutating func put(_ setting: ParameterSetting, _ section: String) {
        let number = Int64(setting.value).map(JSONValue.int)
        set(SettingPath(dotted: section).appending(setting.name), number ?? .string(setting.value))
    }

    private mutating func set(_ path: SettingPath, _ value: JSONValue) {
        var tree = OriginatedTree(document) { _ in nil }
        tree.set(path, value)
        document = tree.root
    }

    private mutating func apply(_ environment: [String: String]) {
        document.apply(patch: EnvironmentVariables(environment).tree)
        if !StoreSettings.sections.contains(where: { document[$0] != nil }) {
            document["etcd3"] = ["hosts": Self.unknown]
        }
    }

    // MARK: The text

    private static let order =
        ["scope", "namespace", "name", "log", "restapi", "ctl", "guardian", "citus"] + StoreSettings.sections

    /// YAML, in the order in which one reads it.
    public var text: String {
        var text = ""
        let rest = document.keys.filter {
            !(Self.order + ["bootstrap", "postgresql", "watchdog", "tags"]).contains($0)
        }
        for key in Self.order + rest { text += part(key) }
        if let dynamic = document["bootstrap"]?["dcs"]?.object {
            text +=
                "\n# Becomes the configuration of the cluster where this node makes it; afterwards it is changed with\n"
            text += "# `matriarchctl edit-config`, and this block says nothing any more.\nbootstrap:\n  dcs:\n"
            for key in ["loop_wait", "retry_timeout", "ttl"] { text += Self.block(key, dynamic[key], "    ") }
            for key in dynamic.keys.sorted() where !["loop_wait", "retry_timeout", "ttl"].contains(key) {
                text += Self.block(key, dynamic[key], "    ")
            }
        }
        for key in ["postgresql", "watchdog", "tags"] { text += part(key) }
        return text
    }

    private func part(_ key: String) -> String {
        guard let value = document[key] else { return "" }
        return (value.object == nil ? "" : "\n") + Self.block(key, value, "")
    }

    private static func block(_ key: String, _ value: JSONValue?, _ indent: String) -> String {
        guard let value else { return "" }
        return YAML.text(.object([key: value])).split(separator: "\n").map { "\(indent)\($0)\n" }.joined()
    }
}
