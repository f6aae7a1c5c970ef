extension ParameterCatalogue {
    /// Names l to z: those of pg_settings in 15, with what 16, 17 and 18 have changed since.
    static let secondHalf = """
        lc_messages string
        lc_monetary string
        lc_numeric string
        lc_time string
        listen_addresses string
        lo_compat_privileges bool
        local_preload_libraries string
        lock_timeout integer 0 2147483647 ms
        log_autovacuum_min_duration integer -1 2147483647 ms
        log_checkpoints bool
        log_connections bool @-17
        log_connections string @18-
        log_destination string
        log_directory string
        log_disconnections bool
        log_duration bool
        log_error_verbosity enum terse,default,verbose
        log_executor_stats bool
        log_file_mode integer 0 511
        log_filename string
        log_hostname bool
        log_line_prefix string
        log_lock_failures bool @18-
        log_lock_waits bool
        log_min_duration_sample integer -1 2147483647 ms
        log_min_duration_statement integer -1 2147483647 ms
        log_min_error_statement enum debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic,debug
        log_min_messages enum debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic,debug
        log_parameter_max_length integer -1 1073741823 B
        log_parameter_max_length_on_error integer -1 1073741823 B
        log_parser_stats bool
        log_planner_stats bool
        log_recovery_conflict_waits bool
        log_replication_commands bool
        log_rotation_age integer 0 35791394 min
        log_rotation_size integer 0 2097151 kB
        log_startup_progress_interval integer 0 2147483647 ms
        log_statement enum none,ddl,mod,all
        log_statement_sample_rate real 0 1
        log_statement_stats bool
        log_temp_files integer -1 2147483647 kB
        log_timezone string
        log_transaction_sample_rate real 0 1
        log_truncate_on_rotation bool
        logging_collector bool
        logical_decoding_work_mem integer 64 2147483647 kB
        maintenance_io_concurrency integer 0 1000
        maintenance_work_mem integer 1024 2147483647 kB @-16
        maintenance_work_mem integer 64 2147483647 kB @17-
        max_active_replication_origins integer 0 262143 @18-
        max_connections integer 1 262143
        max_files_per_process integer 64 2147483647
        max_locks_per_transaction integer 10 2147483647
        max_logical_replication_workers integer 0 262143
        max_notify_queue_pages integer 64 2147483647 @17-
        max_parallel_apply_workers_per_subscription integer 0 1024 @16-
        max_parallel_maintenance_workers integer 0 1024
        max_parallel_workers integer 0 1024
        max_parallel_workers_per_gather integer 0 1024
        max_pred_locks_per_page integer 0 2147483647
        max_pred_locks_per_relation integer -2147483648 2147483647
        max_pred_locks_per_transaction integer 10 2147483647
        max_prepared_transactions integer 0 262143
        max_replication_slots integer 0 262143
        max_slot_wal_keep_size integer -1 2147483647 MB
        max_stack_depth integer 100 2147483647 kB
        max_standby_archive_delay integer -1 2147483647 ms
        max_standby_streaming_delay integer -1 2147483647 ms
        max_sync_workers_per_subscription integer 0 262143
        max_wal_senders integer 0 262143
        max_wal_size integer 2 2147483647 MB
        max_worker_processes integer 0 262143
        md5_password_warnings bool @18-
        min_dynamic_shared_memory integer 0 2147483647 MB
        min_parallel_index_scan_size integer 0 715827882 8kB
        min_parallel_table_scan_size integer 0 715827882 8kB
        min_wal_size integer 2 2147483647 MB
        multixact_member_buffers integer 16 131072 8kB @17-
        multixact_offset_buffers integer 16 131072 8kB @17-
        notify_buffers integer 16 131072 8kB @17-
        oauth_validator_libraries string @18-
        old_snapshot_threshold integer -1 86400 min @-16
        parallel_leader_participation bool
        parallel_setup_cost real 0 *
        parallel_tuple_cost real 0 *
        password_encryption enum md5,scram-sha-256
        plan_cache_mode enum auto,force_generic_plan,force_custom_plan
        port integer 1 65535
        post_auth_delay integer 0 2147 s
        pre_auth_delay integer 0 60 s
        primary_conninfo string
        primary_slot_name string
        promote_trigger_file string @-15
        quote_all_identifiers bool
        random_page_cost real 0 *
        recovery_end_command string
        recovery_init_sync_method enum fsync,syncfs
        recovery_min_apply_delay integer 0 2147483647 ms
        recovery_prefetch switch off,on,try
        recovery_target string
        recovery_target_action enum pause,promote,shutdown
        recovery_target_inclusive bool
        recovery_target_lsn string
        recovery_target_name string
        recovery_target_time string
        recovery_target_timeline string
        recovery_target_xid string
        recursive_worktable_factor real 0.001 1e+06
        remove_temp_files_after_crash bool
        reserved_connections integer 0 262143 @16-
        restart_after_crash bool
        restore_command string
        restrict_nonsystem_relation_kind string
        row_security bool
        scram_iterations integer 1 2147483647 @16-
        search_path string
        send_abort_for_crash bool @16-
        send_abort_for_kill bool @16-
        seq_page_cost real 0 *
        serializable_buffers integer 16 131072 8kB @17-
        session_preload_libraries string
        session_replication_role enum origin,replica,local
        shared_buffers integer 16 1073741823 8kB
        shared_memory_type enum sysv,mmap
        shared_preload_libraries string
        ssl bool
        ssl_ca_file string
        ssl_cert_file string
        ssl_ciphers string
        ssl_crl_dir string
        ssl_crl_file string
        ssl_dh_params_file string
        ssl_ecdh_curve string
        ssl_groups string @18-
        ssl_key_file string
        ssl_max_protocol_version enum '',TLSv1,TLSv1.1,TLSv1.2,TLSv1.3
        ssl_min_protocol_version enum TLSv1,TLSv1.1,TLSv1.2,TLSv1.3
        ssl_passphrase_command string
        ssl_passphrase_command_supports_reload bool
        ssl_prefer_server_ciphers bool
        ssl_tls13_ciphers string @18-
        standard_conforming_strings bool
        statement_timeout integer 0 2147483647 ms
        stats_fetch_consistency enum none,cache,snapshot
        subtransaction_buffers integer 0 131072 8kB @17-
        summarize_wal bool @17-
        superuser_reserved_connections integer 0 262143
        sync_replication_slots bool @17-
        synchronize_seqscans bool
        synchronized_standby_slots string @17-
        synchronous_commit switch local,remote_write,remote_apply,on,off
        synchronous_standby_names string
        syslog_facility enum local0,local1,local2,local3,local4,local5,local6,local7
        syslog_ident string
        syslog_sequence_numbers bool
        syslog_split_messages bool
        tcp_keepalives_count integer 0 2147483647
        tcp_keepalives_idle integer 0 2147483647 s
        tcp_keepalives_interval integer 0 2147483647 s
        tcp_user_timeout integer 0 2147483647 ms
        temp_buffers integer 100 1073741823 8kB
        temp_file_limit integer -1 2147483647 kB
        temp_tablespaces string
        TimeZone string
        timezone_abbreviations string
        trace_connection_negotiation bool @17-
        trace_notify bool
        trace_recovery_messages enum debug5,debug4,debug3,debug2,debug1,log,notice,warning,error,debug,info @-16
        trace_sort bool
        track_activities bool
        track_activity_query_size integer 100 1048576 B
        track_commit_timestamp bool
        track_cost_delay_timing bool @18-
        track_counts bool
        track_functions enum none,pl,all
        track_io_timing bool
        track_wal_io_timing bool
        transaction_buffers integer 0 131072 8kB @17-
        transaction_deferrable bool
        transaction_isolation enum serializable,repeatable~read,read~committed,read~uncommitted
        transaction_read_only bool
        transaction_timeout integer 0 2147483647 ms @17-
        transform_null_equals bool
        unix_socket_directories string
        unix_socket_group string
        unix_socket_permissions integer 0 511
        update_process_title bool
        vacuum_buffer_usage_limit integer 0 16777216 kB @16-
        vacuum_cost_delay real 0 100 ms
        vacuum_cost_limit integer 1 10000
        vacuum_cost_page_dirty integer 0 10000
        vacuum_cost_page_hit integer 0 10000
        vacuum_cost_page_miss integer 0 10000
        vacuum_defer_cleanup_age integer 0 1000000 @-15
        vacuum_failsafe_age integer 0 2100000000
        vacuum_freeze_min_age integer 0 1000000000
        vacuum_freeze_table_age integer 0 2000000000
        vacuum_max_eager_freeze_failure_rate real 0 1 @18-
        vacuum_multixact_failsafe_age integer 0 2100000000
        vacuum_multixact_freeze_min_age integer 0 1000000000
        vacuum_multixact_freeze_table_age integer 0 2000000000
        vacuum_truncate bool @18-
        wal_buffers integer -1 262143 8kB
        wal_compression switch pglz,lz4,zstd,on,off
        wal_consistency_checking string
        wal_decode_buffer_size integer 65536 1073741823 B
        wal_init_zero bool
        wal_keep_size integer 0 2147483647 MB
        wal_level enum minimal,replica,logical,archive,hot_standby
        wal_log_hints bool
        wal_receiver_create_temp_slot bool
        wal_receiver_status_interval integer 0 2147483 s
        wal_receiver_timeout integer 0 2147483647 ms
        wal_recycle bool
        wal_retrieve_retry_interval integer 1 2147483647 ms
        wal_sender_timeout integer 0 2147483647 ms
        wal_skip_threshold integer 0 2147483647 kB
        wal_summary_keep_time integer 0 35791394 min @17-
        wal_sync_method enum fsync,fdatasync,open_sync,open_datasync,fsync_writethrough
        wal_writer_delay integer 1 10000 ms
        wal_writer_flush_after integer 0 2147483647 8kB
        work_mem integer 64 2147483647 kB
        xmlbinary enum base64,hex
        xmloption enum content,document
        zero_damaged_pages bool
        """
}
