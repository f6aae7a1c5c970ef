extension SettingTable {
    /// The sections that name a store; those of stores that we do not speak to are known by name.
    static let stores: String = {
        let etcd = ["etcd", "etcd3"].map { section in
            etcdKeys.split(separator: "\n").map { "\(section)\($0)" }.joined(separator: "\n")
        }
        return (etcd + [others]).joined(separator: "\n")
    }()

    private static let etcdKeys = """
         | section | - | local daemon | The store: etcd, by its v3 API.
        .url | url | - | local daemon | `http[s]://[user:password@]host[:port]`; wins over the other keys.
        .proxy | url | - | local daemon | The same, of a proxy: the endpoints of etcd are not asked for.
        .hosts | texts | - | local daemon | `host[:port]`, a list or with commas between.
        .host | text | - | local daemon | One `host[:port]`; `hosts` wins.
        .port | integer 1 65535 | 2379 | local daemon | The port where none stands with the host.
        .srv | text | - | local daemon | A domain whose SRV records name the endpoints; not supported, name them in \
        `hosts`.
        .discovery_srv | text | - | local daemon | Another name of `srv`; not supported.
        .srv_domain | text | - | local daemon | Another name of `srv`; not supported.
        .srv_suffix | text | - | local daemon | Appended to the service's name; not supported.
        .use_proxies | bool | false | local daemon | The endpoints stay as they are listed.
        .protocol | words http,https | http | local daemon | How the endpoints of `hosts` and `host` are spoken to.
        .cacert | path | - | local daemon | Certificates that the server's certificate is checked against.
        .cert | path | - | local daemon | The certificate that is shown.
        .key | path | (in `cert`) | local daemon | The key of the certificate.
        .username | text | - | local now | Sent together with the password.
        .password | text | - | local now | Sent together with the name.
        .password_file | path | - | local now | A file with the password in its first line. Ours.
        """

    /// Each is `is not used: …` once for the section, so the keys say nothing of it.
    private static let others = """
        consul | section | - | local daemon | The store Consul.
        consul.host | text | 127.0.0.1:8500 | local daemon | Consul.
        consul.url | url | - | local daemon | Consul.
        consul.port | integer 1 65535 | 8500 | local daemon | Consul.
        consul.scheme | words http,https | http | local daemon | Consul.
        consul.token | text | - | local daemon | Consul.
        consul.dc | text | - | local daemon | Consul.
        consul.consistency | words default,consistent,stale | default | local daemon | Consul.
        consul.verify | bool | true | local daemon | Consul.
        consul.cacert | path | - | local daemon | Consul.
        consul.cert | path | - | local daemon | Consul.
        consul.key | path | - | local daemon | Consul.
        consul.checks | texts | - | local daemon | Consul.
        consul.register_service | bool | false | local daemon | Consul.
        consul.service_tags | texts | - | local daemon | Consul.
        consul.service_check_interval | text | 5s | local daemon | Consul.
        consul.service_check_tls_server_name | text | - | local daemon | Consul.
        zookeeper | section | - | local daemon | The store ZooKeeper.
        zookeeper.hosts | texts | - | local daemon | ZooKeeper.
        zookeeper.use_ssl | bool | false | local daemon | ZooKeeper.
        zookeeper.verify | bool | true | local daemon | ZooKeeper.
        zookeeper.cacert | path | - | local daemon | ZooKeeper.
        zookeeper.cert | path | - | local daemon | ZooKeeper.
        zookeeper.key | path | - | local daemon | ZooKeeper.
        zookeeper.key_password | text | - | local daemon | ZooKeeper.
        zookeeper.set_acls | map | - | local daemon | ZooKeeper.
        zookeeper.auth_data | map | - | local daemon | ZooKeeper.
        zookeeper.exhibitor | map | - | local daemon | ZooKeeper.
        exhibitor | section | - | local daemon | ZooKeeper, found through Exhibitor.
        exhibitor.hosts | texts | - | local daemon | Exhibitor.
        exhibitor.port | integer 1 65535 | - | local daemon | Exhibitor.
        exhibitor.poll_interval | integer 1 * | 300 | local daemon | Exhibitor.
        kubernetes | section | - | local daemon | Kubernetes' own objects as the store.
        kubernetes.namespace | text | default | local daemon | Kubernetes.
        kubernetes.labels | map | - | local daemon | Kubernetes.
        kubernetes.scope_label | text | cluster-name | local daemon | Kubernetes.
        kubernetes.role_label | text | role | local daemon | Kubernetes.
        kubernetes.leader_label_value | text | primary | local daemon | Kubernetes.
        kubernetes.follower_label_value | text | replica | local daemon | Kubernetes.
        kubernetes.standby_leader_label_value | text | primary | local daemon | Kubernetes.
        kubernetes.tmp_role_label | text | - | local daemon | Kubernetes.
        kubernetes.use_endpoints | bool | false | local daemon | Kubernetes.
        kubernetes.pod_ip | text | - | local daemon | Kubernetes.
        kubernetes.ports | any | - | local daemon | Kubernetes.
        kubernetes.bypass_api_service | bool | false | local daemon | Kubernetes.
        kubernetes.cacert | path | - | local daemon | Kubernetes.
        kubernetes.retriable_http_codes | any | - | local daemon | Kubernetes.
        kubernetes.bootstrap_labels | map | - | local daemon | Kubernetes.
        kubernetes.context | text | - | local daemon | Kubernetes.
        raft | section | - | local daemon | A store between the daemons themselves.
        raft.self_addr | text | - | local daemon | Raft.
        raft.bind_addr | text | - | local daemon | Raft.
        raft.partner_addrs | texts | - | local daemon | Raft.
        raft.data_dir | path | - | local daemon | Raft.
        raft.password | text | - | local daemon | Raft.
        raft.min_timeout | real | 0.4 | local daemon | Raft.
        raft.max_timeout | real | 1.4 | local daemon | Raft.
        raft.connection_timeout | real | 3.5 | local daemon | Raft.
        raft.append_entries_period | real | 0.1 | local daemon | Raft.
        raft.connection_retry_time | real | 5.0 | local daemon | Raft.
        raft.leader_fallback_timeout | real | 30.0 | local daemon | Raft.
        """
}
