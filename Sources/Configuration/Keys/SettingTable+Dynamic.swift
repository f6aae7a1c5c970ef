extension SettingTable {
    /// What the whole cluster shares, beside the keys of `postgresql` that may stand there, too (configuration.md §4).
    static let dynamic = """
        ttl | seconds | 30 | dynamic now | How long the leader's lease lives without renewal: 3 s at least, 20 s \
        beside a member of Patroni.
        loop_wait | seconds | 10 | dynamic now | The longest pause between two cycles, 1 s at least.
        retry_timeout | seconds | 10 | dynamic now | How long a request to the store is repeated; `loop_wait + 2 * \
        retry_timeout` fits into `ttl`.
        pause | bool | false | dynamic now | Maintenance: the daemons leave PostgreSQL alone.
        primary_race_backoff | integer 0 31622400 | 0 | dynamic now | Seconds that a standby \
        waits for a leader whose key has gone, as long as WAL comes from it, and for `loop_wait` at least; 0 for not \
        at all.
        maximum_lag_on_failover | integer 0 * | 1048576 | dynamic now | Bytes that a candidate may be behind the last \
        known position.
        maximum_lag_on_syncnode | integer -1 * B | -1 | dynamic now | Bytes that a synchronous standby may be behind; \
        0 or less for any.
        max_timelines_history | integer 0 * | 0 | dynamic now | Rows that `/history` keeps; 0 for all.
        primary_start_timeout | integer 0 31622400 | 300 | dynamic now | Seconds that a crashed leader may take to \
        start before another node may lead.
        master_start_timeout | integer 0 31622400 | - | dynamic now | The older name of `primary_start_timeout`.
        primary_stop_timeout | integer 0 31622400 | 0 | dynamic now | Seconds that a clean stop may take in \
        synchronous mode; 0 for a time of ours.
        master_stop_timeout | integer 0 31622400 | - | dynamic now | The older name of `primary_stop_timeout`.
        synchronous_mode | switch quorum | false | dynamic now | Commits wait for standbys: by priority (`on`), or by \
        `quorum`.
        synchronous_mode_strict | bool | false | dynamic now | They wait also where there is no standby.
        synchronous_node_count | integer 1 * | 1 | dynamic now | Standbys that have each commit.
        synchronous_zones | words any,distinct | any | dynamic now | `distinct`: standbys in other zones \
        (`tags.zone`) go first. Ours.
        failsafe_mode | bool | false | dynamic now | Without the store a leader goes on as long as it reaches all \
        members.
        failsafe_timeout | real | (min(2 s, a fifth of `ttl`)) | dynamic now | Seconds that it waits for their word: \
        0.5 at least, a fifth of `ttl` at most. Ours.
        check_timeline | bool | false | dynamic now | A candidate must be on the cluster's timeline.
        member_slots_ttl | integer 0 31622400 s | 1800 | dynamic now | How long the slot of a member that went away \
        is kept; `30min` is a time.
        standby_cluster | section | - | dynamic now | The cluster follows a primary elsewhere.
        standby_cluster.host | text | - | dynamic now | Where that primary is; several with commas between.
        standby_cluster.port | integer 1 65535 | - | dynamic now | Its port.
        standby_cluster.primary_slot_name | text | - | dynamic now | The slot there.
        standby_cluster.create_replica_methods | methods | - | dynamic now | How the standby leader is made.
        standby_cluster.restore_command | text | - | dynamic now | Fetches WAL from an archive.
        standby_cluster.archive_cleanup_command | text | - | dynamic now | Removes WAL that is no longer needed.
        standby_cluster.recovery_min_apply_delay | text | - | dynamic now | Replays that much later.
        slots | slots | - | dynamic now | Slots that are kept through a change of leader, by name.
        permanent_slots | slots | - | dynamic now | The older name of `slots`.
        permanent_replication_slots | slots | - | dynamic now | The oldest name of `slots`.
        ignore_slots | maps | - | dynamic now | Slots that are left alone, each by `name`, `type`, `database`, `plugin`.
        slot_wal_warning | integer 0 * B | (a tenth of the file system) | dynamic now | Bytes of WAL held back by a \
        slot from which on it is told. Ours.
        """
}
