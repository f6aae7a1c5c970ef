/// Which variable sets which key (configuration.md §6); names without `PATRONI_`.
enum EnvironmentTable {
    typealias Row = (name: String, path: String)

    /// Used only where the new name is absent.
    static let legacyNames: [(old: String, new: String)] = [
        ("LOGLEVEL", "LOG_LEVEL"), ("LOGFORMAT", "LOG_FORMAT"), ("LOG_DATEFMT", "LOG_DATEFORMAT"),
    ]

    /// Group A: `<SECTION>_<KEY>` for every key of the section.
    static let texts: [Row] =
        rows("", ["name", "namespace", "scope", "thread_pool_size", "thread_stack_size"])
        + rows(
            "restapi",
            [
                "listen", "connect_address", "certfile", "keyfile", "keyfile_password", "cafile", "ciphers",
                "verify_client", "server_tokens",
            ])
        + rows("ctl", ["cacert", "certfile", "keyfile", "keyfile_password"])
        + rows(
            "postgresql",
            ["listen", "connect_address", "proxy_address", "config_dir", "data_dir", "pgpass", "bin_dir"])
        + SettingTable.programs.map { ("POSTGRESQL_BIN_\($0.uppercased())", "postgresql.bin_name.\($0)") }
        + rows("log", ["type", "level", "traceback_level", "dateformat", "dir"])
        + rows("guardian", ["mode", "safety_margin", "restart_daemon"])
        + rows("raft", ["data_dir", "self_addr", "password", "bind_addr"])

    static let booleans =
        rows("restapi", ["allowlist_include_members"]) + rows("ctl", ["insecure"])
        + rows("log", ["deduplicate_heartbeat_logs"])
    /// `restapi.thread_pool_size` is documented by Patroni and read by nobody: whoever sets it is told.
    static let integers =
        rows("restapi", ["request_queue_size", "thread_pool_size"])
        + rows("log", ["max_queue_size", "file_size", "file_num", "mode"])
    static let reals = rows(
        "raft",
        [
            "min_timeout", "max_timeout", "connection_timeout", "append_entries_period", "connection_retry_time",
            "leader_fallback_timeout",
        ])
    static let lists = rows("restapi", ["allowlist"]) + rows("raft", ["partner_addrs"])
    static let maps =
        rows("restapi", ["http_extra_headers", "https_extra_headers"]) + rows("log", ["static_fields", "loggers"])

    /// Group C.
    static let credentials: [Row] =
        ["restapi", "ctl"].flatMap { section in
            ["username", "password"].map { key in
                ("\(section)_\(key)".uppercased(), "\(section).authentication.\(key)")
            }
        }
        + SettingTable.users.flatMap { user in
            SettingTable.credentialKeys.map { key in
                ("\(user.name)_\(key)".uppercased(), "postgresql.authentication.\(user.name).\(key)")
            }
        }
    /// They count only where others have made the section.
    static let storeCredentials = rows("etcd", ["username", "password"]) + rows("etcd3", ["username", "password"])

    /// What a variable may name a file of in its stead, as `<name>_FILE`: ours, for what containers mount.
    static let mayStandInFiles: [Row] = {
        let keys = rows("restapi", ["keyfile_password"]) + rows("ctl", ["keyfile_password"])
        return (credentials + storeCredentials + keys).filter { row in
            ["username", "password", "sslpassword", "keyfile_password"].contains {
                SettingPath(dotted: row.path).elements.last == $0
            }
        }
    }()

    /// The full name of the variable that sets a key; nil where there is none.
    static func variable(of path: String) -> String? {
        if let name = names[path] { return EnvironmentVariables.prefix + name }
        let elements = SettingPath(dotted: path).elements
        guard elements.count == 2, suffixes.contains(elements[1].uppercased()), sections.contains(elements[0]) else {
            return nil
        }
        return EnvironmentVariables.prefix + elements.joined(separator: "_").uppercased()
    }

    private static let names: [String: String] = Dictionary(
        (texts + booleans + integers + reals + lists + maps + credentials + storeCredentials
            + [("LOG_FORMAT", "log.format")]).map { ($0.path, $0.name) }, uniquingKeysWith: { first, _ in first })

    /// Every name that is read, but for those of group D.
    static let readNames = Set(
        (texts + booleans + integers + reals + lists + maps + credentials + storeCredentials).map(\.name)
            + ["LOG_FORMAT", "CONFIGURATION"] + legacyNames.map(\.old) + mayStandInFiles.map { "\($0.name)_FILE" })

    /// Whether somebody reads the variable, its prefix left away.
    static func reads(_ name: String) -> Bool {
        if readNames.contains(name) { return true }
        guard let cut = name.firstIndex(of: "_"), cut > name.startIndex else { return false }
        let suffix = String(name[name.index(after: cut)...])
        return suffixes.contains(suffix) && (name[..<cut] != "CITUS" || ["GROUP", "DATABASE"].contains(suffix))
    }

    /// Those that the variables of group D are meant for; any other word makes a section, too.
    private static let sections = StoreSettings.sections + ["citus"]

    /// Group D.
    static let suffixes: Set<String> = [
        "HOST", "HOSTS", "PORT", "USE_PROXIES", "PROTOCOL", "SRV", "SRV_SUFFIX", "URL", "PROXY", "CACERT", "CERT",
        "KEY", "VERIFY", "TOKEN", "CHECKS", "DC", "CONSISTENCY", "REGISTER_SERVICE", "SERVICE_CHECK_INTERVAL",
        "SERVICE_CHECK_TLS_SERVER_NAME", "SERVICE_TAGS", "NAMESPACE", "CONTEXT", "USE_ENDPOINTS", "SCOPE_LABEL",
        "ROLE_LABEL", "POD_IP", "PORTS", "LABELS", "BYPASS_API_SERVICE", "RETRIABLE_HTTP_CODES", "KEY_PASSWORD",
        "USE_SSL", "SET_ACLS", "GROUP", "DATABASE", "LEADER_LABEL_VALUE", "FOLLOWER_LABEL_VALUE",
        "STANDBY_LEADER_LABEL_VALUE", "TMP_ROLE_LABEL", "AUTH_DATA", "BOOTSTRAP_LABELS",
    ]
    static let listSuffixes: Set<String> = ["HOSTS", "PORTS", "CHECKS", "SERVICE_TAGS", "RETRIABLE_HTTP_CODES"]
    static let mapSuffixes: Set<String> = ["LABELS", "SET_ACLS", "AUTH_DATA", "BOOTSTRAP_LABELS"]
    static let booleanSuffixes: Set<String> = [
        "USE_PROXIES", "REGISTER_SERVICE", "USE_ENDPOINTS", "BYPASS_API_SERVICE", "VERIFY",
    ]

    private static func rows(_ section: String, _ keys: [String]) -> [Row] {
        keys.map { key in
            section.isEmpty
                ? (key.uppercased(), key) : ("\(section)_\(key)".uppercased(), "\(section).\(key)")
        }
    }
}
