/// The keys that Patroni has (configuration.md §3, §4), as facts: the path, the default where it is a plain value
/// (`-` otherwise), whose configuration it stands in (L local, D dynamic, B both), and when a change counts (Y at once,
/// R with a restart of the daemon, P with one of PostgreSQL, N for new clusters only).
enum SpecifiedKeys {
    static let text = """
        name - L R
        scope - L R
        namespace service L R
        thread_pool_size 5 L R
        thread_stack_size 524288 L R
        log - L Y
        bootstrap - L N
        restapi - L Y
        ctl - L Y
        postgresql - B Y
        watchdog - L Y
        tags - L Y
        citus - L R
        etcd - L R
        etcd3 - L R
        consul - L R
        zookeeper - L R
        exhibitor - L R
        kubernetes - L R
        raft - L R
        log.type plain L Y
        log.level info L Y
        log.traceback_level ERROR L Y
        log.format "%(asctime)s %(levelname)s: %(message)s" L Y
        log.dateformat - L Y
        log.static_fields - L Y
        log.max_queue_size 1000 L Y
        log.dir - L Y
        log.file_size 25000000 L Y
        log.file_num 4 L Y
        log.mode - L Y
        log.loggers - L Y
        log.deduplicate_heartbeat_logs false L Y
        bootstrap.dcs - L N
        bootstrap.method initdb L N
        bootstrap.initdb - L N
        bootstrap.<method>.command - L N
        bootstrap.<method>.no_params false L N
        bootstrap.<method>.keep_existing_recovery_conf false L N
        bootstrap.<method>.recovery_conf - L N
        bootstrap.post_bootstrap - L N
        bootstrap.post_init - L N
        bootstrap.pg_hba - L N
        bootstrap.users - L N
        restapi.listen - L Y
        restapi.connect_address - L Y
        restapi.authentication - L Y
        restapi.authentication.username - L Y
        restapi.authentication.password - L Y
        restapi.certfile - L Y
        restapi.keyfile - L Y
        restapi.keyfile_password - L Y
        restapi.cafile - L Y
        restapi.ciphers - L Y
        restapi.verify_client none L Y
        restapi.allowlist - L Y
        restapi.allowlist_include_members false L Y
        restapi.http_extra_headers - L Y
        restapi.https_extra_headers - L Y
        restapi.request_queue_size 5 L R
        restapi.server_tokens Original L Y
        restapi.thread_pool_size 5 L R
        ctl.authentication - L Y
        ctl.authentication.username - L Y
        ctl.authentication.password - L Y
        ctl.insecure false L Y
        ctl.cacert - L Y
        ctl.certfile - L Y
        ctl.keyfile - L Y
        ctl.keyfile_password - L Y
        postgresql.listen - L P
        postgresql.connect_address - L Y
        postgresql.proxy_address - L Y
        postgresql.data_dir - L R
        postgresql.config_dir - L R
        postgresql.config_base_name postgresql B R
        postgresql.database postgres B R
        postgresql.bin_dir - B R
        postgresql.bin_name - B Y
        postgresql.pgpass - L R
        postgresql.authentication - L Y
        postgresql.krbsrvname - B Y
        postgresql.use_unix_socket false B Y
        postgresql.use_unix_socket_repl false B Y
        postgresql.parameters - B P
        postgresql.parameters_primary - B Y
        postgresql.parameters_replica - B Y
        postgresql.parameters_standby_leader - B Y
        postgresql.pg_hba - B Y
        postgresql.pg_hba_primary - B Y
        postgresql.pg_hba_replica - B Y
        postgresql.pg_hba_standby_leader - B Y
        postgresql.pg_ident - B Y
        postgresql.pg_ident_primary - B Y
        postgresql.pg_ident_replica - B Y
        postgresql.pg_ident_standby_leader - B Y
        postgresql.recovery_conf - B Y
        postgresql.custom_conf - B Y
        postgresql.use_slots true D Y
        postgresql.use_pg_rewind false B Y
        postgresql.rewind - B Y
        postgresql.remove_data_directory_on_rewind_failure false B Y
        postgresql.remove_data_directory_on_diverged_timelines false B Y
        postgresql.create_replica_methods [basebackup] B Y
        postgresql.create_replica_method - B Y
        postgresql.<method>.command - B Y
        postgresql.<method>.keep_data false B Y
        postgresql.<method>.no_leader false B Y
        postgresql.<method>.no_params false B Y
        postgresql.basebackup - B Y
        postgresql.callbacks - B Y
        postgresql.callbacks.on_start - B Y
        postgresql.callbacks.on_stop - B Y
        postgresql.callbacks.on_restart - B Y
        postgresql.callbacks.on_reload - B Y
        postgresql.callbacks.on_role_change - B Y
        postgresql.pre_promote - B Y
        postgresql.before_stop - B Y
        postgresql.pg_ctl_timeout 60 B Y
        consul.host 127.0.0.1:8500 L R
        consul.url - L R
        consul.port 8500 L R
        consul.scheme http L R
        consul.token - L Y
        consul.dc - L Y
        consul.consistency default L Y
        consul.verify true L R
        consul.cacert - L R
        consul.cert - L R
        consul.key - L R
        consul.checks - L R
        consul.register_service false L Y
        consul.service_tags - L Y
        consul.service_check_interval 5s L R
        consul.service_check_tls_server_name - L R
        zookeeper.hosts - L R
        zookeeper.use_ssl false L R
        zookeeper.verify true L R
        zookeeper.cacert - L R
        zookeeper.cert - L R
        zookeeper.key - L R
        zookeeper.key_password - L R
        zookeeper.set_acls - L R
        zookeeper.auth_data - L R
        zookeeper.exhibitor - L R
        exhibitor.hosts - L R
        exhibitor.port - L R
        exhibitor.poll_interval 300 L R
        kubernetes.namespace default L R
        kubernetes.labels - L R
        kubernetes.scope_label cluster-name L R
        kubernetes.role_label role L R
        kubernetes.leader_label_value primary L R
        kubernetes.follower_label_value replica L R
        kubernetes.standby_leader_label_value primary L R
        kubernetes.tmp_role_label - L R
        kubernetes.use_endpoints - L R
        kubernetes.pod_ip - L R
        kubernetes.ports - L R
        kubernetes.bypass_api_service - L R
        kubernetes.cacert - L R
        kubernetes.retriable_http_codes - L R
        kubernetes.bootstrap_labels - L R
        kubernetes.context - L R
        raft.self_addr - L R
        raft.bind_addr - L R
        raft.partner_addrs - L R
        raft.data_dir - L R
        raft.password - L R
        raft.min_timeout 0.4 L R
        raft.max_timeout 1.4 L R
        raft.connection_timeout 3.5 L R
        raft.append_entries_period 0.1 L R
        raft.connection_retry_time 5.0 L R
        raft.leader_fallback_timeout 30.0 L R
        watchdog.mode automatic L Y
        watchdog.device /dev/watchdog L Y
        watchdog.safety_margin 5 L Y
        watchdog.driver default L Y
        tags.nofailover false L Y
        tags.failover_priority 1 L Y
        tags.nosync false L Y
        tags.sync_priority 1 L Y
        tags.clonefrom false L Y
        tags.noloadbalance false L Y
        tags.replicatefrom - L Y
        tags.nostream false L Y
        citus.group - L R
        citus.database - L R
        ttl 30 D Y
        loop_wait 10 D Y
        retry_timeout 10 D Y
        pause false D Y
        primary_race_backoff 0 D Y
        maximum_lag_on_failover 1048576 D Y
        maximum_lag_on_syncnode -1 D Y
        max_timelines_history 0 D Y
        primary_start_timeout 300 D Y
        master_start_timeout - D Y
        primary_stop_timeout 0 D Y
        master_stop_timeout - D Y
        synchronous_mode - D Y
        synchronous_mode_strict false D Y
        synchronous_node_count 1 D Y
        failsafe_mode false D Y
        check_timeline false D Y
        member_slots_ttl 1800 D Y
        standby_cluster - D Y
        standby_cluster.host - D Y
        standby_cluster.port - D Y
        standby_cluster.restore_command - D Y
        standby_cluster.primary_slot_name - D Y
        standby_cluster.create_replica_methods - D Y
        standby_cluster.archive_cleanup_command - D Y
        standby_cluster.recovery_min_apply_delay - D Y
        slots - D Y
        permanent_slots - D Y
        permanent_replication_slots - D Y
        ignore_slots - D Y
        """

    /// Keys of each of `etcd` and `etcd3`, and of each role that is connected as.
    static let etcd = """
        url - L R
        proxy - L R
        hosts - L R
        host - L R
        port 2379 L R
        srv - L R
        discovery_srv - L R
        srv_domain - L R
        srv_suffix - L R
        use_proxies false L R
        protocol http L R
        cacert - L R
        cert - L R
        key - L R
        username - L Y
        password - L Y
        """
    static let credentials = [
        "username", "password", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir",
        "gssencmode", "channel_binding", "sslnegotiation",
    ]
    static let programs = [
        "pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready", "pg_rewind",
    ]

    /// Ours, and names of older versions that Patroni reads still.
    static let others: Set<String> = [
        "restapi.authentication.password_file", "restapi.auth", "restapi.handshake_timeout", "restapi.request_timeout",
        "ctl.authentication.password_file", "ctl.auth", "etcd.password_file", "etcd3.password_file", "guardian",
        "guardian.mode", "guardian.safety_margin", "guardian.restart_daemon", "tags.zone", "synchronous_zones",
        "slot_wal_warning", "failsafe_timeout", "postgresql.name", "postgresql.replication", "postgresql.superuser",
        "postgresql.pg_rewind", "postgresql.authentication.superuser.password_file",
        "postgresql.authentication.replication.password_file", "postgresql.authentication.rewind.password_file",
    ]

    /// Where this version does otherwise, and why.
    static let differences: [String: String] = [
        "postgresql.database": "it is taken from the next connection on",
        "postgresql.bin_dir": "it is taken from the next program on",
        "postgresql.pgpass": "the file is written where it is named now",
        "consul.token": "no such store yet", "consul.dc": "no such store yet",
        "consul.consistency": "no such store yet",
        "consul.register_service": "no such store yet", "consul.service_tags": "no such store yet",
    ]

    struct Fact {
        let path: String
        let standard: String
        let source: String
        let reload: String
    }

    static var facts: [Fact] {
        let etcdLines = ["etcd", "etcd3"].flatMap { section in etcd.split(separator: "\n").map { "\(section).\($0)" } }
        let users = ["superuser", "replication", "rewind"].flatMap { user in
            ["postgresql.authentication.\(user) - L Y"]
                + credentials.map { "postgresql.authentication.\(user).\($0) - L Y" }
        }
        let names = programs.map { "postgresql.bin_name.\($0) \($0) B Y" }
        return (text.split(separator: "\n").map(String.init) + etcdLines + users + names).map { line in
            let words = line.split(separator: " ").map(String.init)
            return Fact(
                path: words[0], standard: words[1..<(words.count - 2)].joined(separator: " "),
                source: words[words.count - 2], reload: words[words.count - 1])
        }
    }
}
