import ClusterModel

/// The one table of the keys that may stand in a configuration (configuration.md §3, §4), those of later versions
/// included: what is not here is warned of, with the nearest name that is.
enum KnownSettings {
    /// Connection parameters that `postgresql.authentication.<user>` may have (configuration.md §3.6.2).
    static let credentialKeys = [
        "username", "password", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir",
        "gssencmode", "channel_binding", "sslnegotiation",
    ]

    static let programs = [
        "pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready", "pg_rewind",
    ]

    /// Keys that the peer knows and we have no use for, each with what is so instead: whoever sets one is told. Those
    /// of the dynamic configuration are `UnbuiltSetting`s.
    static let withoutEffect: [(path: String, reason: String)] =
        [
            ("thread_pool_size", "has no effect: there is no pool of threads"),
            ("thread_stack_size", "has no effect: there is no pool of threads"),
            ("restapi.thread_pool_size", "has no effect: requests are answered without a pool of threads"),
            ("log.traceback_level", "has no effect: there are no tracebacks"),
        ]
        + ["parameters", "pg_hba", "pg_ident"].flatMap { key in
            ["primary", "replica", "standby_leader"].map { role in
                ("postgresql.\(key)_\(role)", "has no effect yet: \(key) holds in every role")
            }
        }

    /// The keys that may stand in a section; `""` is the top.
    static func keys(of section: String) -> Set<String> { sections[section] ?? [] }

    /// Unknown keys of `tree`, each with the nearest known name. Paths in order.
    static func unknown(in tree: JSONObject) -> [(path: SettingPath, nearest: String?)] {
        var found: [(path: SettingPath, nearest: String?)] = []
        check(tree, SettingPath(), &found, named: methodNames(tree))
        return found
    }

    private static func check(
        _ object: JSONObject, _ path: SettingPath, _ found: inout [(path: SettingPath, nearest: String?)],
        named: [String: Set<String>]
    ) {
        guard let known = sections[path.description] else { return }
        for member in object.members {
            let here = path.appending(member.key)
            if known.contains(member.key) {
                if case .object(let child) = member.value { check(child, here, &found, named: named) }
            } else if named[path.description]?.contains(member.key) != true {
                found.append((here, EditDistance.nearest(member.key, among: known)))
            }
        }
    }

    /// Sections that a key of the same section names: methods of bootstrap and of replica creation.
    private static func methodNames(_ tree: JSONObject) -> [String: Set<String>] {
        let postgreSQL = tree["postgresql"]
        let dynamic = tree["bootstrap"]?["dcs"]?["postgresql"]
        let methods = [postgreSQL, dynamic].compactMap { $0 }.flatMap { section in
            ["create_replica_methods", "create_replica_method"].flatMap { section[$0]?.array ?? [] }
        }
        let names = Set(methods.compactMap(\.string))
        return [
            "bootstrap": Set([tree["bootstrap"]?["method"]?.string].compactMap { $0 }),
            "postgresql": names, "bootstrap.dcs.postgresql": names,
        ]
    }

    private static let sections: [String: Set<String>] = {
        var sections: [String: Set<String>] = [:]
        for (path, keys) in table { sections[path] = Set(keys.split(whereSeparator: \.isWhitespace).map(String.init)) }
        sections["postgresql.bin_name"] = Set(programs)
        for user in ["superuser", "replication", "rewind"] {
            sections["postgresql.authentication.\(user)"] = Set(credentialKeys)
        }
        sections["etcd3"] = sections["etcd"]
        sections["bootstrap.dcs.postgresql"] = sections["postgresql"]
        return sections
    }()

    /// A section that is not a row may hold anything: `tags`, `parameters`, headers, loggers.
    private static let table: [(path: String, keys: String)] = [
        (
            "",
            """
            name scope namespace thread_pool_size thread_stack_size log bootstrap restapi ctl
            postgresql watchdog guardian tags citus etcd etcd3 consul zookeeper exhibitor kubernetes raft ttl
            loop_wait retry_timeout standby_cluster
            """
        ),
        (
            "log",
            """
            type level traceback_level format dateformat static_fields max_queue_size dir file_size
            file_num mode loggers deduplicate_heartbeat_logs
            """
        ),
        ("bootstrap", "dcs method initdb post_bootstrap post_init pg_hba users"),
        (
            "bootstrap.dcs",
            """
            ttl loop_wait retry_timeout pause primary_race_backoff maximum_lag_on_failover
            maximum_lag_on_syncnode max_timelines_history primary_start_timeout master_start_timeout
            primary_stop_timeout master_stop_timeout synchronous_mode synchronous_mode_strict
            synchronous_node_count failsafe_mode check_timeline member_slots_ttl standby_cluster
            slots permanent_slots permanent_replication_slots ignore_slots slot_wal_warning postgresql
            """
        ),
        (
            "bootstrap.dcs.standby_cluster",
            """
            host port restore_command primary_slot_name create_replica_methods
            archive_cleanup_command recovery_min_apply_delay
            """
        ),
        (
            "restapi",
            """
            listen connect_address authentication auth certfile keyfile keyfile_password cafile
            ciphers verify_client allowlist allowlist_include_members http_extra_headers
            https_extra_headers request_queue_size server_tokens thread_pool_size handshake_timeout
            request_timeout
            """
        ),
        ("restapi.authentication", "username password"),
        ("ctl", "authentication auth insecure cacert certfile keyfile keyfile_password"),
        ("ctl.authentication", "username password"),
        (
            "postgresql",
            """
            listen connect_address proxy_address data_dir config_dir config_base_name database
            bin_dir bin_name pgpass authentication krbsrvname use_unix_socket use_unix_socket_repl
            parameters parameters_primary parameters_replica parameters_standby_leader pg_hba
            pg_hba_primary pg_hba_replica pg_hba_standby_leader pg_ident pg_ident_primary
            pg_ident_replica pg_ident_standby_leader recovery_conf custom_conf use_slots
            use_pg_rewind rewind remove_data_directory_on_rewind_failure
            remove_data_directory_on_diverged_timelines create_replica_methods create_replica_method
            basebackup callbacks pre_promote before_stop pg_ctl_timeout replication superuser
            pg_rewind name
            """
        ),
        ("postgresql.authentication", "superuser replication rewind"),
        ("postgresql.callbacks", "on_start on_stop on_restart on_reload on_role_change"),
        (
            "etcd",
            """
            url proxy hosts host port srv discovery_srv srv_domain srv_suffix use_proxies protocol
            cacert cert key username password
            """
        ),
        (
            "consul",
            """
            host url port scheme token dc consistency verify cacert cert key checks register_service
            service_tags service_check_interval service_check_tls_server_name
            """
        ),
        ("zookeeper", "hosts use_ssl verify cacert cert key key_password set_acls auth_data exhibitor"),
        ("exhibitor", "hosts port poll_interval"),
        (
            "kubernetes",
            """
            namespace labels scope_label role_label leader_label_value follower_label_value
            standby_leader_label_value tmp_role_label use_endpoints pod_ip ports bypass_api_service
            cacert retriable_http_codes bootstrap_labels context
            """
        ),
        (
            "raft",
            """
            self_addr bind_addr partner_addrs data_dir password min_timeout max_timeout
            connection_timeout append_entries_period connection_retry_time leader_fallback_timeout
            """
        ),
        ("guardian", "mode safety_margin restart_daemon"),
        ("watchdog", "mode device safety_margin driver"),
        ("citus", "group database"),
    ]
}

/// How many letters must change to make one word of another.
enum EditDistance {
    /// The word of `words` that is nearest to `word`; nil where even that is another word altogether.
    static func nearest(_ word: String, among words: Set<String>) -> String? {
        let ranked = words.map { (distance: between(word, $0), word: $0) }
        guard let best = ranked.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else { return nil }
        return best.distance <= max(1, word.count / 3) ? best.word : nil
    }

    /// Insertions, deletions, replacements, and swaps of neighbours.
    static func between(_ left: String, _ right: String) -> Int {
        // Names are short; a long key is cut so that the table stays small.
        let left = Array(left.utf8.prefix(64))
        let right = Array(right.utf8.prefix(64))
        var rows = [Array(0...right.count)]
        for i in 0..<left.count {
            var row = [i + 1]
            for j in 0..<right.count {
                let replaced = rows[i][j] + (left[i] == right[j] ? 0 : 1)
                var best = min(rows[i][j + 1] + 1, row[j] + 1, replaced)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, rows[i - 1][j - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
