extension ParameterCatalogue {
    /// Names a to k: those of pg_settings in 15, with what 16, 17 and 18 have changed since.
    static let firstHalf = """
        allow_alter_system bool @17-
        allow_in_place_tablespaces bool
        allow_system_table_mods bool
        application_name string
        archive_cleanup_command string
        archive_command string
        archive_library string
        archive_mode switch always,on,off
        archive_timeout integer 0 1073741823 s
        array_nulls bool
        authentication_timeout integer 1 600 s
        autovacuum bool
        autovacuum_analyze_scale_factor real 0 100
        autovacuum_analyze_threshold integer 0 2147483647
        autovacuum_freeze_max_age integer 100000 2000000000
        autovacuum_max_workers integer 1 262143
        autovacuum_multixact_freeze_max_age integer 10000 2000000000
        autovacuum_naptime integer 1 2147483 s
        autovacuum_vacuum_cost_delay real -1 100 ms
        autovacuum_vacuum_cost_limit integer -1 10000
        autovacuum_vacuum_insert_scale_factor real 0 100
        autovacuum_vacuum_insert_threshold integer -1 2147483647
        autovacuum_vacuum_max_threshold integer -1 2147483647 @18-
        autovacuum_vacuum_scale_factor real 0 100
        autovacuum_vacuum_threshold integer 0 2147483647
        autovacuum_work_mem integer -1 2147483647 kB
        autovacuum_worker_slots integer 1 262143 @18-
        backend_flush_after integer 0 256 8kB
        backslash_quote switch safe_encoding,on,off
        backtrace_functions string
        bgwriter_delay integer 10 10000 ms
        bgwriter_flush_after integer 0 256 8kB
        bgwriter_lru_maxpages integer 0 1073741823
        bgwriter_lru_multiplier real 0 10
        bonjour bool
        bonjour_name string
        bytea_output enum escape,hex
        check_function_bodies bool
        checkpoint_completion_target real 0 1
        checkpoint_flush_after integer 0 256 8kB
        checkpoint_timeout integer 30 86400 s
        checkpoint_warning integer 0 2147483647 s
        client_connection_check_interval integer 0 2147483647 ms
        client_encoding string
        client_min_messages enum debug5,debug4,debug3,debug2,debug1,log,notice,warning,error,debug,info
        cluster_name string
        commit_delay integer 0 100000
        commit_siblings integer 0 1000
        commit_timestamp_buffers integer 0 131072 8kB @17-
        compute_query_id switch auto,regress,on,off
        config_file string
        constraint_exclusion switch partition,on,off
        cpu_index_tuple_cost real 0 *
        cpu_operator_cost real 0 *
        cpu_tuple_cost real 0 *
        createrole_self_grant string @16-
        cursor_tuple_fraction real 0 1
        data_directory string
        data_sync_retry bool
        DateStyle string
        db_user_namespace bool @-16
        deadlock_timeout integer 1 2147483647 ms
        debug_discard_caches integer 0 5
        debug_io_direct string @16-
        debug_logical_replication_streaming enum buffered,immediate @16-
        debug_parallel_query switch off,on,regress @16-
        debug_pretty_print bool
        debug_print_parse bool
        debug_print_plan bool
        debug_print_rewritten bool
        default_statistics_target integer 1 10000
        default_table_access_method string
        default_tablespace string
        default_text_search_config string
        default_toast_compression enum pglz,lz4
        default_transaction_deferrable bool
        default_transaction_isolation enum serializable,repeatable~read,read~committed,read~uncommitted
        default_transaction_read_only bool
        dynamic_library_path string
        dynamic_shared_memory_type enum posix,sysv,mmap
        effective_cache_size integer 1 2147483647 8kB
        effective_io_concurrency integer 0 1000
        enable_async_append bool
        enable_bitmapscan bool
        enable_distinct_reordering bool @18-
        enable_gathermerge bool
        enable_group_by_reordering bool @17-
        enable_hashagg bool
        enable_hashjoin bool
        enable_incremental_sort bool
        enable_indexonlyscan bool
        enable_indexscan bool
        enable_material bool
        enable_memoize bool
        enable_mergejoin bool
        enable_nestloop bool
        enable_parallel_append bool
        enable_parallel_hash bool
        enable_partition_pruning bool
        enable_partitionwise_aggregate bool
        enable_partitionwise_join bool
        enable_presorted_aggregate bool @16-
        enable_self_join_elimination bool @18-
        enable_seqscan bool
        enable_sort bool
        enable_tidscan bool
        escape_string_warning bool
        event_source string
        event_triggers bool @17-
        exit_on_error bool
        extension_control_path string @18-
        extension_destdir string
        external_pid_file string
        extra_float_digits integer -15 3
        file_copy_method enum copy,clone @18-
        force_parallel_mode switch off,on,regress @-15
        from_collapse_limit integer 1 2147483647
        fsync bool
        full_page_writes bool
        geqo bool
        geqo_effort integer 1 10
        geqo_generations integer 0 2147483647
        geqo_pool_size integer 0 2147483647
        geqo_seed real 0 1
        geqo_selection_bias real 1.5 2
        geqo_threshold integer 2 2147483647
        gin_fuzzy_search_limit integer 0 2147483647
        gin_pending_list_limit integer 64 2147483647 kB
        gss_accept_delegation bool @16-
        hash_mem_multiplier real 1 1000
        hba_file string
        hot_standby bool
        hot_standby_feedback bool
        huge_page_size integer 0 2147483647 kB
        huge_pages switch off,on,try
        icu_validation_level enum disabled,debug5,debug4,debug3,debug2,debug1,debug,log,info,notice,warning,error @16-
        ident_file string
        idle_in_transaction_session_timeout integer 0 2147483647 ms
        idle_replication_slot_timeout integer 0 2147483647 s @18-
        idle_session_timeout integer 0 2147483647 ms
        ignore_checksum_failure bool
        ignore_invalid_pages bool
        ignore_system_indexes bool
        IntervalStyle enum postgres,postgres_verbose,sql_standard,iso_8601
        io_combine_limit integer 1 128 8kB @18-
        io_combine_limit integer 1 32 8kB @17-17
        io_max_combine_limit integer 1 128 8kB @18-
        io_max_concurrency integer -1 1024 @18-
        io_method enum sync,worker,io_uring @18-
        io_workers integer 1 32 @18-
        jit bool
        jit_above_cost real -1 *
        jit_debugging_support bool
        jit_dump_bitcode bool
        jit_expressions bool
        jit_inline_above_cost real -1 *
        jit_optimize_above_cost real -1 *
        jit_profiling_support bool
        jit_provider string
        jit_tuple_deforming bool
        join_collapse_limit integer 1 2147483647
        krb_caseins_users bool
        krb_server_keyfile string
        """
}
