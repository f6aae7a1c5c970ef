import ClusterModel
import Glibc
import JSON
import Posix
import Testing

/// What operators have written for Patroni, changed in addresses, paths and ports only.
extension ClusterIntegrationTests {
    @Test(
        "A configuration of three servers as written for Patroni starts a cluster, without HOME or a useless one",
        .timeLimit(.minutes(4)))
    func bareMetal() async throws {
        try await TestCluster.with { cluster in
            for node in cluster.nodes {
                let text = try Self.bareMetalText(cluster, node)
                try Files.replace(cluster.configurationFile(node), with: text.utf8, mode: 0o644)
                try await cluster.start(
                    node, variables: Self.home(of: node), configuration: cluster.configurationFile(node))
            }
            let leader = try await cluster.healthy(within: 120)
            #expect(await cluster.value(leader, "SHOW max_connections") == "80")
            #expect(await cluster.value(leader, "SHOW data_checksums") == "on")
            let third = try #require(await cluster.get(3, "/patroni")?.json)
            #expect(third["tags"]?["nofailover"] == true)
            #expect(leader != 3)
        }
    }

    /// None, one that is not there, and one that only root may write in: `pgpass` stands there by default.
    private static func home(of node: Int) -> [String: String] {
        switch node {
        case 1: [:]
        case 2: ["HOME": "/nowhere"]
        default: ["HOME": "/"]
        }
    }

    private static func bareMetalText(_ cluster: TestCluster, _ node: Int) throws -> String {
        try """
        scope: demo
        namespace: /db/
        name: \(cluster.name(node))

        restapi:
          listen: 127.0.0.1:\(cluster.restPort(node))
          connect_address: 127.0.0.1:\(cluster.restPort(node))

        etcd3:
          hosts:
          - 127.0.0.1:\(cluster.etcdPort)
          - localhost:\(cluster.etcdPort)

        bootstrap:
          dcs: &dcs
            ttl: 20
            loop_wait: 2
            retry_timeout: 3
            maximum_lag_on_failover: 1048576
            postgresql:
              use_pg_rewind: yes
              use_slots: on
              parameters:
                max_connections: 80
                wal_keep_size: 64MB
                shared_buffers: 16MB
                fsync: off
          initdb:
          - encoding: UTF8
          - locale: C.UTF-8
          - data-checksums
          users:
            admin:
              password: admin
              options: [createrole, createdb]

        """ + bareMetalPostgreSQL(cluster, node)
    }

    private static func bareMetalPostgreSQL(_ cluster: TestCluster, _ node: Int) throws -> String {
        let directory = "\(cluster.directory)/\(cluster.name(node))"
        return """
            postgresql:
              listen: 127.0.0.1:\(cluster.postgresqlPort(node))
              connect_address: 127.0.0.1:\(cluster.postgresqlPort(node))
              data_dir: \(directory)/data
              bin_dir: \(try Programs.postgresqlDirectory())
              authentication:
                replication:
                  username: replicator
                  password: \(NodeConfiguration.password)
                superuser:
                  username: postgres
                  password: \(NodeConfiguration.password)
                rewind:
                  username: rewind_user
                  password: \(NodeConfiguration.password)
              parameters:
                unix_socket_directories: '\(directory)'
              pg_hba:
              - local all all trust
              - host replication replicator 127.0.0.1/32 md5
              - host all all 127.0.0.1/32 md5

            watchdog:
              mode: off

            tags:
                nofailover: \(node == 3)
                noloadbalance: false
                clonefrom: false
                nosync: false
            """
    }

    @Test(
        "Variables alone start a cluster, with a password in a file, without HOME or where it is of no use",
        .timeLimit(.minutes(4)))
    func variablesAlone() async throws {
        try await TestCluster.with { cluster in
            let secret = "\(cluster.directory)/secret"
            try Files.replace(secret, with: "\(NodeConfiguration.password)\n".utf8, mode: 0o644)
            // A node without `bootstrap` never makes a cluster, and no variable has it but the one that holds a whole
            // configuration.
            let whole = try Self.bareMetalText(cluster, 1)
            try await cluster.start(1, variables: ["PATRONI_CONFIGURATION": whole], configuration: nil)
            try await waitUntil("the first one leads", within: 60) { await cluster.get(1, "/primary")?.status == 200 }
            for node in [2, 3] {
                let directory = "\(cluster.directory)/\(cluster.name(node))"
                try await cluster.start(
                    node,
                    variables: [
                        "PATRONI_SCOPE": "demo", "PATRONI_NAMESPACE": "/db/", "PATRONI_NAME": cluster.name(node),
                        "PATRONI_ETCD3_HOSTS": "'127.0.0.1:\(cluster.etcdPort)'",
                        "PATRONI_RESTAPI_LISTEN": "127.0.0.1:\(cluster.restPort(node))",
                        "PATRONI_RESTAPI_CONNECT_ADDRESS": "127.0.0.1:\(cluster.restPort(node))",
                        "PATRONI_POSTGRESQL_LISTEN": "127.0.0.1:\(cluster.postgresqlPort(node))",
                        "PATRONI_POSTGRESQL_CONNECT_ADDRESS": "127.0.0.1:\(cluster.postgresqlPort(node))",
                        "PATRONI_POSTGRESQL_DATA_DIR": "\(directory)/data",
                        "PATRONI_POSTGRESQL_BIN_DIR": try Programs.postgresqlDirectory(),
                        "PATRONI_SUPERUSER_USERNAME": "postgres", "PATRONI_SUPERUSER_PASSWORD_FILE": secret,
                        "PATRONI_REPLICATION_USERNAME": "replicator", "PATRONI_REPLICATION_PASSWORD_FILE": secret,
                        "PATRONI_REWIND_USERNAME": "rewind_user", "PATRONI_REWIND_PASSWORD_FILE": secret,
                    ].merging(Self.home(of: node)) { $1 }, configuration: nil)
            }
            let leader = try await cluster.healthy(within: 120)
            #expect(leader == 1)
            let answer = try await cluster.answer(
                "PATCH", 2, "/config", body: #"{"postgresql": {"parameters": {"work_mem": "plenty"}}}"#)
            #expect(answer.status == 400 && answer.body.contains("postgresql.parameters.work_mem: "))
            for node in cluster.nodes {
                let log = try Files.readText("\(cluster.directory)/\(cluster.name(node)).log")
                #expect(!log.contains(NodeConfiguration.password))
            }
        }
    }
}
