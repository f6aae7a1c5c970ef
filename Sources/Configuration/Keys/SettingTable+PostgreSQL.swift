extension SettingTable {
    /// `postgresql`: its keys of both levels are read from the node's own configuration first.
    static let postgreSQL = """
        postgresql | section | - | both now | The PostgreSQL beside this daemon.
        postgresql.listen | text | (port 5432) | local server | `host[,host…]:port`: `listen_addresses` and `port`.
        postgresql.connect_address | text | (the first of `postgresql.listen`) | local now | `host:port` where the \
        others reach it.
        postgresql.proxy_address | text | - | local now | `host:port` of a proxy before it, for those that read the \
        member's key.
        postgresql.data_dir | path | - | local daemon | The data directory.
        postgresql.config_dir | path | (that of `postgresql.data_dir`) | local daemon | Where postgresql.conf stands.
        postgresql.config_base_name | text | postgresql | both daemon | Files are called `<name>.conf` and \
        `<name>.base.conf`.
        postgresql.database | text | postgres | both now | The database of our own connections.
        postgresql.bin_dir | path | (found through `PATH`) | both now | Where PostgreSQL's programs are.
        postgresql.bin_name | section | - | both now | Programs that are called otherwise.
        postgresql.pgpass | path | (`~/pgpass`) | local now | The password file that the daemon writes.
        postgresql.authentication | section | - | local now | The roles that the daemon connects as.
        postgresql.krbsrvname | text | - | both now | The Kerberos service name of connections.
        postgresql.use_unix_socket | bool | false | both now | Our own connections go through the socket in \
        `unix_socket_directories`.
        postgresql.use_unix_socket_repl | bool | false | both now | Replication from this host, too.
        postgresql.parameters | parameters | - | both server | Parameters of PostgreSQL, merged name by name; those \
        that all nodes agree on are dynamic only.
        postgresql.parameters_primary | parameters | - | both now | Parameters while it is a primary.
        postgresql.parameters_replica | parameters | - | both now | Parameters while it is a replica.
        postgresql.parameters_standby_leader | parameters | - | both now | Parameters while it leads a standby cluster.
        postgresql.pg_hba | lines | - | both now | All lines of pg_hba.conf.
        postgresql.pg_hba_primary | lines | - | both now | The same while it is a primary.
        postgresql.pg_hba_replica | lines | - | both now | The same while it is a replica.
        postgresql.pg_hba_standby_leader | lines | - | both now | The same while it leads a standby cluster.
        postgresql.pg_ident | lines | - | both now | All lines of pg_ident.conf.
        postgresql.pg_ident_primary | lines | - | both now | The same while it is a primary.
        postgresql.pg_ident_replica | lines | - | both now | The same while it is a replica.
        postgresql.pg_ident_standby_leader | lines | - | both now | The same while it leads a standby cluster.
        postgresql.recovery_conf | parameters | - | both now | Recovery settings of standbys.
        postgresql.custom_conf | text | - | both now | A file that is included in place of `<name>.base.conf`.
        postgresql.use_slots | bool | true | dynamic now | Physical slots are kept for members.
        postgresql.use_pg_rewind | bool | false | both now | A former primary is set back by pg_rewind.
        postgresql.rewind | options | - | both now | Options of pg_rewind.
        postgresql.remove_data_directory_on_rewind_failure | bool | false | both now | A directory that cannot be \
        rewound is copied anew.
        postgresql.remove_data_directory_on_diverged_timelines | bool | false | both now | A directory that has \
        diverged is copied anew, where rewind is off.
        postgresql.create_replica_methods | methods | [basebackup] | both now | How a replica is made: tried in order \
        until one succeeds.
        postgresql.create_replica_method | methods | - | both now | The older name of \
        `postgresql.create_replica_methods`.
        postgresql.basebackup | options | - | both now | Options of pg_basebackup.
        postgresql.callbacks | section | - | both now | Commands that are told what happens, by action, role and scope.
        postgresql.callbacks.on_start | text | - | both now | PostgreSQL has started.
        postgresql.callbacks.on_stop | text | - | both now | It has stopped.
        postgresql.callbacks.on_restart | text | - | both now | It has been restarted.
        postgresql.callbacks.on_reload | text | - | both now | It has read its configuration again.
        postgresql.callbacks.on_role_change | text | - | both now | It was promoted or demoted.
        postgresql.pre_promote | text | - | both now | A command before a promotion; a failure gives the leader key up.
        postgresql.before_stop | text | - | both now | A command before a stop; how it ends does not count.
        postgresql.pg_ctl_timeout | integer 0 31622400 s | 60 | both now | How long a start may take where nobody \
        says otherwise.
        postgresql.name | text | - | local daemon | The older place of `name`.
        postgresql.replication | map | - | local now | The older place of `postgresql.authentication.replication`.
        postgresql.superuser | map | - | local now | The older place of `postgresql.authentication.superuser`.
        postgresql.pg_rewind | map | - | local now | The older place of `postgresql.authentication.rewind`.
        postgresql.<method>.command | text | (the method's name) | both now | The program of a replica method of your \
        own; every other key becomes `--key=value`.
        postgresql.<method>.keep_data | bool | false | both now | The data directory is not emptied before it.
        postgresql.<method>.no_leader | bool | false | both now | It works without a member to copy from.
        postgresql.<method>.no_params | bool | false | both now | Without `--scope`, `--role`, `--datadir` and \
        `--connstring`.
        """

    /// Programs that may be called otherwise (`postgresql.bin_name`).
    static let programs = [
        "pg_ctl", "initdb", "pg_controldata", "pg_basebackup", "postgres", "pg_isready", "pg_rewind",
    ]

    /// Connection parameters that `postgresql.authentication.<user>` may have (configuration.md §3.6.2).
    static let credentialKeys = [
        "username", "password", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir",
        "gssencmode", "channel_binding", "sslnegotiation",
    ]

    /// What libpq takes, where it takes words alone.
    private static let credentialWords = [
        "sslmode": "disable,allow,prefer,require,verify-ca,verify-full", "gssencmode": "disable,prefer,require",
        "channel_binding": "disable,prefer,require", "sslnegotiation": "postgres,direct",
    ]

    static let users: [(name: String, sentence: String)] = [
        ("superuser", "The superuser."), ("replication", "Who standbys replicate as."),
        ("rewind", "Who pg_rewind connects as; the superuser where it is missing."),
    ]

    /// Rows that are alike for each program and each user.
    static let postgreSQLSeries: String = {
        let named = programs.map { program in
            "postgresql.bin_name.\(program) | text | \(program) | both now | What \(program) is called here."
        }
        let credentials = users.flatMap { user in
            let section = "postgresql.authentication.\(user.name)"
            let file =
                "\(section).password_file | path | - | local now | A file with the password in its first line. Ours."
            return ["\(section) | section | - | local now | \(user.sentence)", file]
                + credentialKeys.map { key in
                    let isFile = ["sslcert", "sslkey", "sslcrl", "sslcrldir", "sslrootcert"].contains(key)
                    let meaning: String =
                        switch key {
                        case "username": "The name of the role."
                        case "password": "Its password."
                        default: "The connection parameter `\(key)` of libpq."
                        }
                    let kind = credentialWords[key].map { "words \($0)" } ?? (isFile ? "path" : "text")
                    return "\(section).\(key) | \(kind) | - | local now | \(meaning)"
                }
        }
        return (named + credentials).joined(separator: "\n")
    }()
}
