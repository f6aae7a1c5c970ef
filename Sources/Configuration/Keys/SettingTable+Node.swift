extension SettingTable {
    /// What a node says of itself: names, the log, the REST API, the tools, tags.
    static let node = """
        name | name | - | local daemon | The name of this member, unique in the cluster. Quote one that looks like a \
        number.
        scope | name | - | local daemon | The name of the cluster; also PostgreSQL's `cluster_name`.
        namespace | text | service | local daemon | The first part of every key in the store.
        thread_pool_size | integer 1 * | 5 | local daemon | Threads of Patroni's pool. | has no effect: there is no \
        pool of threads
        thread_stack_size | integer 1 * B | 524288 | local daemon | The stack of Patroni's threads. | has no effect: \
        there is no pool of threads
        log | section | - | local now | How and where the log is written.
        log.type | words plain,json | plain | local now | Lines of text, or one JSON object a line.
        log.level | words debug,info,warn,warning,error,fatal,critical | info | local now | What is written: this \
        level and those above it.
        log.traceback_level | text | ERROR | local now | Where Patroni writes tracebacks. | has no effect: there are \
        no tracebacks, an error is one line at any level
        log.format | format | "%(asctime)s %(levelname)s: %(message)s" | local now | A Python format, or for `json` a \
        list of fields and of `field: name` pairs.
        log.dateformat | any | (`YYYY-MM-DD HH:MM:SS,mmm`) | local now | A format of strftime for `asctime`, in local \
        time.
        log.static_fields | parameters | - | local now | Added to each JSON object.
        log.max_queue_size | integer 1 1000000 | 1000 | local now | Records that may wait to be written; more are \
        lost, and counted.
        log.dir | path | (standard error) | local now | The directory of `patroni.log`; it must exist.
        log.file_size | integer 0 1125899906842624 | 25000000 | local now | Bytes after which the file is rotated; 0 \
        for never.
        log.file_num | integer 0 10000 | 4 | local now | Rotated files that are kept: `patroni.log.1` and so on; 0 \
        for no rotation.
        log.mode | integer 0 511 | (0600 for a new file) | local now | Permission bits of the file: `0644` is octal.
        log.loggers | parameters | - | local now | Levels of single loggers: `etcd: DEBUG`.
        log.deduplicate_heartbeat_logs | bool | false | local now | A heartbeat that says the same as the one before \
        it is not written.
        restapi | section | - | local now | The REST API of this node.
        restapi.listen | text | - | local now | `host:port` to listen at; an empty host or `*` for all addresses.
        restapi.connect_address | text | (that of `restapi.listen`) | local now | `host:port` where the others reach it.
        restapi.authentication | section | - | local now | Who may make calls that change something.
        restapi.authentication.username | text | - | local now | Asked for together with the password.
        restapi.authentication.password | text | - | local now | Asked for together with the name.
        restapi.authentication.password_file | path | - | local now | A file with the password in its first line. Ours.
        restapi.auth | text | - | local now | `username:password` in one text, as older versions write it.
        restapi.certfile | path | - | local now | The certificate; with one the API speaks HTTPS.
        restapi.keyfile | path | (in `restapi.certfile`) | local now | The key of the certificate.
        restapi.keyfile_password | text | - | local now | What the key is encrypted with.
        restapi.cafile | path | - | local now | Certificates that clients' certificates are checked against.
        restapi.ciphers | text | - | local now | Ciphers of TLS 1.2, as OpenSSL lists them.
        restapi.verify_client | words none,optional,required | none | local now | Whether clients show a certificate: \
        `optional` for calls that change something.
        restapi.allowlist | texts | - | local now | Addresses, networks and host names that may make calls that \
        change something; without one all may.
        restapi.allowlist_include_members | bool | false | local now | Members of the cluster may, too.
        restapi.http_extra_headers | parameters | - | local now | Headers of every answer.
        restapi.https_extra_headers | parameters | - | local now | The same where the API speaks HTTPS; they win.
        restapi.request_queue_size | integer 0 4096 | 5 | local daemon | Connections that may wait to be taken.
        restapi.server_tokens | any | Original | local now | What the `Server` header tells: `Original`, `Minimal`, \
        `ProductOnly`.
        restapi.thread_pool_size | integer 1 * | 5 | local daemon | Workers of Patroni's server. | has no effect: \
        requests are answered without a pool of threads
        restapi.handshake_timeout | integer 1 60 s | 2 | local daemon | How long a TLS handshake may take. Ours.
        restapi.request_timeout | integer 1 60 s | 5 | local daemon | How long a request may take to arrive. Ours.
        ctl | section | - | local now | What calls to other members use, the daemon's and `matriarchctl`'s.
        ctl.authentication | section | (that of `restapi`) | local now | The name and the password that are sent.
        ctl.authentication.username | text | - | local now | Sent together with the password.
        ctl.authentication.password | text | - | local now | Sent together with the name.
        ctl.authentication.password_file | path | - | local now | A file with the password in its first line. Ours.
        ctl.auth | text | - | local now | `username:password` in one text, as older versions write it.
        ctl.insecure | bool | false | local now | The tool does not check certificates. The daemon checks them only \
        where `ctl.certfile` is set.
        ctl.cacert | path | (that of `restapi.cafile`) | local now | Certificates that the members' certificates are \
        checked against.
        ctl.certfile | path | - | local now | The certificate that is shown.
        ctl.keyfile | path | (in `ctl.certfile`) | local now | The key of the certificate.
        ctl.keyfile_password | text | - | local now | What the key is encrypted with.
        guardian | section | - | local daemon | The process that holds PostgreSQL and ends it with the lease. Ours.
        guardian.mode | bool | true | local daemon | Off, nothing stops PostgreSQL where the daemon dies or hangs.
        guardian.safety_margin | any | (a tenth of `ttl`, at least 1 s) | local daemon | A time kept free before the \
        end of the lease: 500ms to a day, in seconds without a unit.
        guardian.restart_daemon | bool | false | local daemon | The guardian starts a daemon again that died; for \
        hosts without a service manager.
        watchdog | section | - | local now | The kernel's watchdog.
        watchdog.mode | any | automatic | local now | `off`, `automatic` or `required`.
        watchdog.device | path | /dev/watchdog | local now | Its device.
        watchdog.safety_margin | integer -1 86400 | 5 | local now | Seconds of `ttl` that are left when it fires; -1 \
        for half of `ttl`.
        watchdog.driver | text | default | local now | How it is spoken to.
        tags | section | - | local now | What others take into account of this node. Any other tag is published as it \
        is.
        tags.nofailover | any | false | local now | Never leads.
        tags.failover_priority | any | 1 | local now | Of nodes that are equally far the higher one leads; 0 never.
        tags.nosync | any | false | local now | Is never a synchronous standby.
        tags.sync_priority | any | 1 | local now | The higher one is synchronous first; 0 never.
        tags.clonefrom | any | false | local now | New replicas are copied from here first.
        tags.noloadbalance | any | false | local now | `GET /replica` answers 503.
        tags.replicatefrom | any | - | local now | The member that this one follows.
        tags.nostream | any | false | local now | Follows by the archive alone.
        tags.zone | any | - | local now | What fails together has the same one. Ours.
        citus | section | - | local daemon | The part of a Citus cluster that this is; not supported, a daemon with \
        it does not start.
        citus.group | integer 0 * | - | local daemon | Its number, 0 for the coordinator.
        citus.database | text | - | local daemon | The database of Citus.
        bootstrap | section | - | local create | How a new cluster is made; a node without it never makes one.
        bootstrap.dcs | section | - | local create | The dynamic configuration of the new cluster.
        bootstrap.method | text | initdb | local create | `initdb`, or the name of a section with a `command`.
        bootstrap.initdb | options | - | local create | Options of initdb.
        bootstrap.post_bootstrap | text | - | local create | A command that gets the connection string; a failure \
        ends the bootstrap.
        bootstrap.post_init | text | - | local create | The older name of `bootstrap.post_bootstrap`.
        bootstrap.pg_hba | lines | - | local create | Lines of pg_hba.conf where `postgresql.pg_hba` is unset.
        bootstrap.users | map | - | local create | Users, in older versions. | is not supported since 4.0; make users \
        in a post_bootstrap command
        bootstrap.<method>.command | text | - | local create | The program of a bootstrap method of your own; every \
        other key becomes `--key=value`.
        bootstrap.<method>.no_params | bool | false | local create | Without `--scope` and `--datadir`.
        bootstrap.<method>.keep_existing_recovery_conf | bool | false | local create | What the program writes of \
        recovery stays.
        bootstrap.<method>.recovery_conf | parameters | - | local create | Recovery settings for the first start.
        """
}
