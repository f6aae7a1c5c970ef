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
        + KnownSettings.programs.map { ("POSTGRESQL_BIN_\($0.uppercased())", "postgresql.bin_name.\($0)") }
        + rows("log", ["type", "level", "traceback_level", "dateformat", "dir"])
        + rows("guardian", ["mode", "safety_margin", "restart_daemon"])
        + rows("raft", ["data_dir", "self_addr", "password", "bind_addr"])

    static let booleans =
        rows("restapi", ["allowlist_include_members"]) + rows("ctl", ["insecure"])
        + rows("log", ["deduplicate_heartbeat_logs"])
    /// `restapi.thread_pool_size` is documented by the peer and read by nobody: whoever sets it is told.
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
