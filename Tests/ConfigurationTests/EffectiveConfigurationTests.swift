import ClusterModel
import Configuration
import Glibc
import Testing

@Suite struct EffectiveConfigurationTests {
    private func value(_ settings: [ParameterSetting], _ name: String) -> String? {
        settings.first { $0.name == name }?.value
    }

    @Test func theSmallestConfiguration() throws {
        let configuration = try Example.effective(environment: ["HOME": "/home/postgres"])
        #expect(configuration.name == "n1")
        #expect(configuration.storePrefix == "/service/lab/")
        #expect(configuration.timings == ClusterTimings())
        #expect(configuration.restAPI.apiURL == "http://127.0.0.1:8008/patroni")
        #expect(configuration.etcd.endpoints == [HostPort(host: "127.0.0.1", port: 2379)])
        #expect(configuration.store.name == "etcd")
        #expect(!configuration.etcd.mayMeanVersionTwo)
        #expect(configuration.postgreSQL.passwordFile == "/home/postgres/pgpass")
        #expect(configuration.postgreSQL.configurationDirectory == "/data")
        #expect(configuration.postgreSQL.connectAddress == HostPort(host: "localhost", port: 5432))
        #expect(configuration.bootstrap == nil)
        #expect(configuration.log.level == "INFO")
        #expect(configuration.guardian.isOn)
        #expect(configuration.guardian.safetyMargin == nil)
        #expect(configuration.warnings == [])
    }

    @Test func pathsAreSpelledInOneWay() throws {
        let configuration = try Example.effective(
            """
            log: {dir: /var//log/}
            restapi: {certfile: /c/./x.pem}
            ctl: {cacert: //ca.pem, certfile: c/, keyfile: ./k}
            etcd3: {cacert: /a/, cert: /b//, key: /k/.}
            postgresql:
              data_dir: /data//./main/
              bin_dir: /usr/lib/postgresql/15/bin/
              config_dir: /etc//pg/
              custom_conf: .//custom.conf
              pgpass: /home/p/./pgpass
              authentication: {replication: {sslcert: /a//b, sslrootcert: system}}
            """)
        let settings = configuration.postgreSQL
        #expect(settings.dataDirectory == "/data/main")
        #expect(settings.binDirectory == "/usr/lib/postgresql/15/bin")
        #expect(settings.configurationDirectory == "/etc/pg")
        #expect(settings.customConfiguration == "custom.conf")
        #expect(settings.passwordFile == "/home/p/pgpass" && !settings.hasDefaultPasswordFile)
        #expect(value(settings.replication, "sslcert") == "/a/b")
        #expect(value(settings.replication, "sslrootcert") == "system")
        #expect(configuration.log.directory == "/var/log")
        #expect(configuration.restAPI.tls?.certificateFile == "/c/x.pem")
        #expect(configuration.ctl.authorityFile == "/ca.pem")
        #expect(configuration.ctl.certificateFile?.hasPrefix("/") == true)
        #expect(configuration.ctl.keyFile?.hasSuffix("/k") == true)
        #expect(configuration.etcd.authorityFile == "/a")
        #expect(configuration.etcd.certificateFile == "/b")
        #expect(configuration.etcd.keyFile == "/k")
    }

    @Test func aRelativePathCountsFromWhereTheDaemonWasStarted() throws {
        let here = try #require(getcwd(nil, 0).map { String(cString: $0) })
        let settings = try Example.effective("postgresql: {data_dir: data/./n1/, bin_dir: bin}").postgreSQL
        #expect(settings.dataDirectory == "\(here)/data/n1")
        #expect(settings.binDirectory == "\(here)/bin")
        #expect(settings.configurationDirectory == settings.dataDirectory)
        // Without HOME there is no home directory to put a password file in.
        #expect(settings.passwordFile == "\(here)/data/n1/.matriarch-pgpass" && settings.hasDefaultPasswordFile)
        #expect(Example.problems("postgresql: {data_dir: /./}").count == 1)
        #expect(!Example.problems("postgresql: {data_dir: \"/a\\0b\"}").isEmpty)
    }

    @Test func theGuardianIsSwitchedOffByWord() throws {
        #expect(try !Example.effective("guardian: {mode: off}").guardian.isOn)
        #expect(try !Example.effective(environment: ["PATRONI_GUARDIAN_MODE": "off"]).guardian.isOn)
        let settings = try Example.effective("guardian: {mode: on, safety_margin: 2500ms}").guardian
        #expect(settings.isOn)
        #expect(settings.safetyMargin == .milliseconds(2500))
    }

    @Test func theLaboratory() throws {
        let local = try LocalConfiguration.parse(Example.laboratory)
        let dynamic = local.tree["bootstrap"]?["dcs"]?.object
        let configuration = try EffectiveConfiguration.effective(local: local, dynamic: dynamic)
        #expect(configuration.warnings == [])
        let postgreSQL = configuration.postgreSQL
        #expect(postgreSQL.listen == ListenAddress(hosts: ["127.0.0.1"], port: 20201))
        #expect(postgreSQL.usesRewind)
        #expect(postgreSQL.usesSlots)
        #expect(postgreSQL.rewindUser?.map(\.value) == ["rewinder", "rew"])
        #expect(value(postgreSQL.parameters, "max_connections") == "60")
        #expect(value(postgreSQL.parameters, "cluster_name") == "lab")
        #expect(value(postgreSQL.parameters, "shared_buffers") == "32MB")
        #expect(postgreSQL.hostBasedAuthentication?.count == 3)
        let bootstrap = try #require(configuration.bootstrap)
        #expect(bootstrap.initdbOptions == ["--encoding=UTF8", "--data-checksums"])
        #expect(bootstrap.dynamicConfiguration == dynamic)
        #expect(configuration.origin(of: "postgresql.listen") == .file("patroni.yml", line: 35))
        #expect(configuration.origin(of: "postgresql.use_pg_rewind") == .dynamic)
        #expect(configuration.origin(of: "ttl") == .dynamic)
        #expect(configuration.origin(of: "postgresql.parameters.wal_level") == .byDefault)
        #expect(configuration.origin(of: "postgresql.parameters.nothing") == nil)
    }

    @Test func controlledParametersComeFirstAndAreTheClusters() throws {
        let dynamic: JSONObject = [
            "postgresql": [
                "parameters": [
                    "Work_Mem": "4MB", "MAX_CONNECTIONS": "0x40", "max_wal_senders": 1, "port": 1,
                    "wal_level": "logical",
                    "hot_standby": "off", "wal_keep_size": "1MB",
                ]
            ]
        ]
        let local = "postgresql: {parameters: {work_mem: 8MB, max_connections: 999, jit: off, archive_timeout: 60}}"
        let configuration = try Example.effective(local, dynamic: dynamic)
        #expect(
            configuration.postgreSQL.parameters.map { "\($0.name)=\($0.value)" } == [
                "listen_addresses=127.0.0.1", "port=5432", "cluster_name=lab", "wal_level=logical", "hot_standby=on",
                "max_connections=64", "max_wal_senders=10", "max_prepared_transactions=0",
                "max_locks_per_transaction=64", "track_commit_timestamp=off", "max_replication_slots=10",
                "max_worker_processes=8", "wal_log_hints=on", "Work_Mem=8MB", "jit=off", "archive_timeout=60",
            ])
        let warnings = configuration.warnings
        #expect(
            warnings.contains("postgresql parameter max_wal_senders=1 failed validation, defaulting to 10"))
        #expect(warnings.contains { $0.hasPrefix("postgresql parameter wal_keep_size=1MB failed validation") })
        #expect(warnings.contains { $0.contains("b.yml:1: postgresql.parameters.max_connections: has no effect here") })
    }

    @Test func parametersForAVersion() {
        let given = [
            ParameterSetting(name: "wal_level", value: "hot_standby"),
            ParameterSetting(name: "wal_keep_segments", value: "4"),
        ]
        #expect(
            ControlledParameters.adapted(given, toVersion: 150_000).map(\.value) == ["replica", "64MB"])
        #expect(ControlledParameters.adapted(given, toVersion: 120_000).map(\.value) == ["replica", "4"])
        let size = [ParameterSetting(name: "wal_keep_size", value: "1GB")]
        #expect(ControlledParameters.adapted(size, toVersion: 120_000).map(\.value) == ["64"])
        #expect(ControlledParameters.adapted([], toVersion: 150_000).map(\.value) == ["128MB"])
        let far = [ParameterSetting(name: "wal_keep_segments", value: "9223372036854775807")]
        #expect(ControlledParameters.adapted(far, toVersion: 150_000).map(\.value) == ["34359738352MB"])
    }

    @Test func localWinsWholesaleExceptForParameters() throws {
        let dynamic: JSONObject = [
            "postgresql": [
                "pg_hba": ["a", "b"], "recovery_conf": ["restore_command": "x", "recovery_end_command": "y"],
                "use_pg_rewind": true, "use_slots": false, "data_dir": "/elsewhere", "listen": "x:1",
                "callbacks": ["on_start": "/x"],
            ]
        ]
        let local = """
            postgresql:
              pg_hba: [c]
              recovery_conf: {restore_command: z}
              use_pg_rewind: false
              use_slots: true
            """
        let configuration = try Example.effective(local, dynamic: dynamic)
        #expect(configuration.postgreSQL.hostBasedAuthentication == ["c"])
        #expect(configuration.postgreSQL.recovery == [ParameterSetting(name: "restore_command", value: "z")])
        #expect(!configuration.postgreSQL.usesRewind)
        #expect(!configuration.postgreSQL.usesSlots)
        #expect(configuration.postgreSQL.dataDirectory == "/data")
        #expect(configuration.postgreSQL.listen.port == 5432)
        #expect(configuration.postgreSQL.callbacks.map(\.name) == ["on_start"])
        #expect(configuration.warnings.contains { $0.contains("postgresql.use_slots: has no effect here") })
    }

    @Test func localTimesHaveNoEffect() throws {
        let configuration = try Example.effective("ttl: 100\nloop_wait: 1", dynamic: ["ttl": 40])
        #expect(configuration.timings == ClusterTimings(ttl: .seconds(40)))
        #expect(configuration.warnings.count == 2)
    }

    @Test func timesOfTheDynamicConfigurationMustBeNumbers() {
        let error = #expect(throws: ConfigurationError.self) { try Example.effective(dynamic: ["loop_wait": "soon"]) }
        #expect(
            error?.description
                == "dynamic configuration: loop_wait: found soon, allowed is a whole number of seconds")
    }

    @Test func aWrongDynamicValueIsAWarning() throws {
        let dynamic: JSONObject = ["postgresql": ["use_pg_rewind": "banana", "pg_ctl_timeout": "long"]]
        let configuration = try Example.effective(dynamic: dynamic)
        #expect(!configuration.postgreSQL.usesRewind)
        #expect(configuration.postgreSQL.startTimeout == .seconds(60))
        #expect(configuration.warnings.count == 2)
        #expect(configuration.warnings.allSatisfy { $0.hasSuffix("; the default is used") })
    }

    @Test func namespacesAndStorePrefix() throws {
        #expect(try Example.effective("namespace: ''").storePrefix == "/service/lab/")
        #expect(try Example.effective("namespace: /a//b/").storePrefix == "/a/b/lab/")
        #expect(try Example.effective("namespace: /").storePrefix == "/lab/")
    }

    @Test func legacyUsers() throws {
        let configuration = try Example.effective(
            """
            postgresql:
              authentication: null
              superuser: {username: old}
              replication: {username: rep, options: -x}
              pg_rewind: {username: rw}
            """)
        #expect(configuration.postgreSQL.superuser.map(\.value) == ["old"])
        #expect(configuration.postgreSQL.replication.map(\.name) == ["username"])
        #expect(configuration.postgreSQL.usesRewind)
    }

    @Test func toolsAndMethods() throws {
        let configuration = try Example.effective(
            """
            postgresql:
              create_replica_methods: [wal_e, basebackup]
              wal_e: {command: /bin/wal_e, no_leader: 1}
              basebackup: [max-rate: 100M, {host: x}, compress=gzip, compress: server-gzip]
              pg_ctl_timeout: 2min
              bin_name: {postgres: postgres15}
            """)
        let postgreSQL = configuration.postgreSQL
        #expect(postgreSQL.replicaMethods.map(\.name) == ["wal_e", "basebackup"])
        #expect(postgreSQL.replicaMethods.first?.options["no_leader"] == 1)
        #expect(postgreSQL.baseBackupOptions == ["--max-rate=100M", "--compress=server-gzip"])
        #expect(postgreSQL.startTimeout == .seconds(120))
        #expect(configuration.warnings.count == 2)
    }
}

@Suite struct SectionTests {
    @Test(
        arguments: [
            ("{url: 'https://u:p%40x@etcd:99/x'}", "https", ["etcd:99"], "u:p@x", false),
            ("{url: 'http://etcd', username: a, password: b}", "http", ["etcd:2379"], nil, false),
            ("{proxy: 'http://[::1]:1'}", "http", ["[::1]:1"], nil, true),
            ("{hosts: 'a:1, b', protocol: https}", "https", ["a:1", "b:2379"], nil, false),
            ("{hosts: [a, b], port: 5, use_proxies: on}", "http", ["a:5", "b:5"], nil, true),
            ("{host: 'a:1', port: 5, hosts: null}", "http", ["a:5"], nil, false),
            ("{host: 'a:1', hosts: null, username: x, password: 1}", "http", ["a:1"], "x:1", false),
        ] as [(String, String, [String], String?, Bool)])
    func etcd(section: String, scheme: String, endpoints: [String], user: String?, proxies: Bool) throws {
        let etcd = try Example.effective("etcd3: \(section)").etcd
        #expect(etcd.scheme.rawValue == scheme)
        #expect(etcd.endpoints.map(\.description) == endpoints)
        #expect(etcd.authentication.map { "\($0.username):\($0.password)" } == user)
        #expect(etcd.usesProxies == proxies)
    }

    @Test func theSectionOfTheOldNameWorksTheSame() throws {
        let etcd = try Example.effective("etcd3: null\netcd: {host: e}").etcd
        #expect(etcd.mayMeanVersionTwo)
        #expect(etcd.endpoints == [HostPort(host: "e", port: 2379)])
    }

    @Test(arguments: [
        ("", []), ("request_timeout: 5", []), ("server_tokens: minimal", []),
        ("request_timeout: 6", ["request_timeout"]), ("handshake_timeout: 3", ["handshake_timeout"]),
        ("request_queue_size: 6", ["request_queue_size"]),
    ])
    func whatAReloadOfTheRESTAPIDoesNotTakeOver(_ setting: String, _ expected: [String]) throws {
        func settings(_ setting: String) throws -> RestAPISettings {
            try Example.effective("restapi: {listen: \"127.0.0.1:8008\", \(setting)}").restAPI
        }
        let (old, new) = try (settings(""), settings(setting))
        #expect(new.settingsOfStart(otherThanIn: old) == expected)
        #expect(old.settingsOfStart(otherThanIn: new) == expected)
    }

    /// Where Patroni goes on with a default, so do we, and say so.
    @Test(arguments: [
        ("server_tokens: foo", "restapi.server_tokens"), ("server_tokens: 5", "restapi.server_tokens"),
        ("thread_pool_size: 2", "restapi.thread_pool_size"),
    ])
    func settingsThatEndNoStart(_ setting: String, _ warned: String) throws {
        let configuration = try Example.effective("restapi: {listen: \"127.0.0.1:8008\", \(setting)}")
        #expect(configuration.restAPI.serverTokens == .original)
        let warnings = configuration.warnings.filter { $0.contains("restapi.") }
        #expect(warnings.count == 1 && warnings.allSatisfy { $0.contains(warned) })
    }

    @Test func restAPIWithTLS() throws {
        let configuration = try Example.effective(
            """
            restapi:
              listen: '*:8008'
              connect_address: '[fd00::1]:8008'
              certfile: /c
              cafile: /ca
              verify_client: Optional
              authentication: {username: u, password: 5}
              http_extra_headers: {X-Frame: deny, A: true}
              https_extra_headers: {x-frame: same, HSTS: 1}
              server_tokens: ProductOnly
              allowlist: [10.0.0.0/8, host]
            """)
        let api = configuration.restAPI
        #expect(api.apiURL == "https://[fd00::1]:8008/patroni")
        #expect(api.listenHost == "*")
        #expect(api.tls?.verifyClient == .optional)
        #expect(api.authentication == configuration.ctl.authentication)
        #expect(api.authentication?.password == "5")
        #expect(api.extraHeaders.map(\.name) == ["A", "x-frame", "HSTS"])
        #expect(api.extraHeaders.map(\.value) == ["True", "same", "1"])
        #expect(api.serverTokens == .productOnly)
        #expect(api.allowlist == ["10.0.0.0/8", "host"])
        #expect(configuration.ctl.authorityFile == "/ca")
    }

    @Test func log() throws {
        let log = try Example.effective(
            """
            log: {level: warn, dir: /var/log, file_size: 1000, file_num: 2, mode: 0640, loggers: {etcd: Debug},
                  type: json, format: [asctime, {levelname: level}], static_fields: {app: x}}
            """
        ).log
        #expect(log.level == "WARNING")
        #expect(log.fileMode == 0o640)
        #expect(log.loggers == [ParameterSetting(name: "etcd", value: "DEBUG")])
        #expect(
            log.layout
                == .json(fields: [
                    ParameterSetting(name: "asctime", value: "asctime"),
                    ParameterSetting(name: "levelname", value: "level"),
                ]))
        let plain = try Example.effective("log: {format: '%(message)s', dateformat: '%H:%M'}").log
        #expect(plain.layout == .plain(format: "%(message)s"))
        #expect(plain.dateFormat == "%H:%M")
    }
}
