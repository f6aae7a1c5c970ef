public import ClusterModel

/// Everything the controller needs to know of one PostgreSQL instance, merged and validated before it comes here
/// (postgresql.md §1, configuration.md §5). The configuration's own types stay outside: this target knows PostgreSQL
/// and nothing of YAML.
public struct LocalPostgreSQLConfiguration: Sendable, Hashable {
    /// The member's name: `application_name` of its receiver and, as a slot name, its slot at the upstream.
    public var name: String
    /// The cluster's name.
    public var scope: String
    /// `listen_addresses`, separated by commas.
    public var listenAddresses: String
    public var port: Int
    /// Where the other members reach this server.
    public var connectAddress: HostPort
    public var dataDirectory: String
    /// Where `postgresql.conf` stands; the data directory itself unless set otherwise.
    public var configurationDirectory: String
    /// `postgresql` of `postgresql.conf`.
    public var configurationBaseName: String = "postgresql"
    /// Included in place of the base configuration, which then is not renamed.
    public var customConfiguration: String?
    /// Empty: the programs are found through PATH.
    public var binDirectory: String = ""
    /// Names of programs that are called otherwise here: `postgres` → `postgres15`.
    public var binaryNames: [String: String] = [:]
    /// The password file that the receiver and the tools read; written by the controller, mode 0600.
    public var passwordFile: String
    /// The maintenance database.
    public var database: String = "postgres"
    public var superuser: Credentials
    public var replication: Credentials
    /// The user of pg_rewind; the superuser where nil.
    public var rewind: Credentials?
    /// Our own connections go through the first directory of `unix_socket_directories`.
    public var usesUnixSocket = false
    /// The same for our own replication connections.
    public var usesUnixSocketForReplication = false
    /// Merged parameters, the controlled ones among them (configuration.md §5.1).
    public var parameters: ParameterMap
    /// The lines of pg_hba.conf; nil leaves the file alone.
    public var hostBasedAuthentication: [String]?
    /// The lines of pg_ident.conf; nil leaves the file alone.
    public var identityMap: [String]?
    /// What is so only on a server of a role.
    public var byRole: [Role: RoleSettings] = [:]
    /// `recovery_conf`.
    public var recovery: ParameterMap = ParameterMap()
    /// What `standby_cluster` says of recovery; empty where the cluster follows nobody.
    public var standbyCluster = ParameterMap()
    /// Rendered: `--encoding=UTF8`.
    public var initdbOptions: [String] = []
    /// Lines that go to the end of initdb's own pg_hba.conf.
    public var bootstrapHostBasedAuthentication: [String] = []
    /// In place of initdb; nil for initdb.
    public var customBootstrap: CustomBootstrap?
    /// A shell command that gets the connection string as its last argument.
    public var postBootstrap: String?
    /// Rendered: `--max-rate=100M`.
    public var baseBackupOptions: [String] = []
    public var rewindOptions: [String] = []
    /// Tried in order until one has made a copy.
    public var replicaMethods: [ReplicaMethod] = [.baseBackup]
    /// Commands, cut into words, by what they are called for.
    public var callbacks: [CallbackEvent: [String]] = [:]
    /// Asked before a promotion; its words.
    public var prePromote: [String]?
    /// Run before a clean stop; its words.
    public var beforeStop: [String]?
    public var usesRewind = false
    public var usesSlots = true
    /// The cluster is in synchronous mode: `synchronous_standby_names` is nothing that the user configures.
    public var isSynchronous = false
    public var removesDataDirectoryOnRewindFailure = false
    public var removesDataDirectoryOnDivergedTimelines = false
    /// How long a start may take where the caller does not say (`pg_ctl_timeout`).
    public var startTimeout: Duration = .seconds(60)
    public var retryTimeout: Duration = .seconds(10)
    /// How long the archiver of a server that was stopped may go on without one segment done; shorter in tests.
    var archiverPatience: Duration = .seconds(60)
    /// How long one segment that a server which is down has left may take; shorter in tests.
    var archivingPatience = ArchiveCommand.patience

    public init(
        name: String, scope: String, listenAddresses: String, port: Int, connectAddress: HostPort,
        dataDirectory: String, configurationDirectory: String? = nil, passwordFile: String, superuser: Credentials,
        replication: Credentials, parameters: ParameterMap
    ) {
        self.name = name
        self.scope = scope
        self.listenAddresses = listenAddresses
        self.port = port
        self.connectAddress = connectAddress
        self.dataDirectory = dataDirectory
        self.configurationDirectory = configurationDirectory ?? dataDirectory
        self.passwordFile = passwordFile
        self.superuser = superuser
        self.replication = replication
        self.parameters = parameters
    }

    /// A command that fills the data directory of a new cluster, and how its server recovers (postgresql.md §17).
    public struct CustomBootstrap: Sendable, Hashable {
        public var name: String
        /// Its words.
        public var command: [String]
        /// What the configuration has for it: `--key=value`.
        public var arguments: [String] = []
        /// It is told nothing but `arguments`.
        public var takesNoParameters = false
        /// The signal files and recovery settings that it leaves hold.
        public var keepsRecovery = false
        /// How far its server recovers, before what it has left; nil where nothing is said.
        public var recovery: ParameterMap?

        public init(name: String, command: [String]) {
            self.name = name
            self.command = command
        }

        /// A server that is to accept writes as soon as it has come there needs nobody to look at it before, and starts
        /// with smaller settings than its source's (postgresql.md §12.4).
        var hidesRecovery: Bool {
            keepsRecovery || recovery?["recovery_target_action"] == "promote"
                || recovery?["pause_at_recovery_target"].map { ["off", "false", "no", "0"].contains($0.lowercased()) }
                    == true && recovery?["recovery_target_action"] == nil
        }
    }

    /// A way in which a data directory is filled with a copy of the cluster (postgresql.md §19).
    public struct ReplicaMethod: Sendable, Hashable {
        public var name: String
        /// Its words; nil is pg_basebackup.
        public var command: [String]?
        /// What the configuration has for it: `--key=value`.
        public var arguments: [String] = []
        /// What stands in the data directory is left for it.
        public var keepsData = false
        /// It needs nobody to copy from.
        public var needsNoLeader = false
        /// It is told nothing but `arguments`.
        public var takesNoParameters = false

        public static let baseBackup = ReplicaMethod(name: "basebackup", command: nil)

        public init(name: String, command: [String]?) {
            self.name = name
            self.command = command
        }
    }

    /// One of `postgresql.authentication`: the permitted connection parameters in the order in which they were given
    /// (postgresql.md §1).
    public struct Credentials: Sendable, Hashable {
        public var options: ParameterMap

        public init(_ options: ParameterMap) { self.options = options }

        public var userName: String? { options["username"] }
        public var password: String? { options["password"] }
        /// What goes into a connection string besides user and password: `sslmode` and its kin.
        var connectionOptions: [(name: String, value: String)] {
            options.entries.filter { $0.name != "username" && $0.name != "password" }.map { ($0.name, $0.value) }
        }
    }
}

extension LocalPostgreSQLConfiguration {
    /// `<config_dir>/postgresql.conf`.
    var configurationFile: String { "\(configurationDirectory)/\(configurationBaseName).conf" }
    var baseConfigurationFile: String { "\(configurationDirectory)/\(configurationBaseName).base.conf" }
    var hostBasedAuthenticationFile: String { "\(configurationDirectory)/pg_hba.conf" }
    var identityFile: String { "\(configurationDirectory)/pg_ident.conf" }
    var rewindCredentials: Credentials { rewind ?? superuser }
    var mayRemove: PostgreSQLStatus.RemovalPermission {
        .init(
            onRewindFailure: removesDataDirectoryOnRewindFailure,
            onDivergedTimelines: removesDataDirectoryOnDivergedTimelines)
    }

    /// The host that our own TCP connections go to (postgresql.md §16.3).
    var localHost: String { LocalPostgreSQLConfiguration.localHost(listenAddresses) }

    static func localHost(_ listenAddresses: String) -> String {
        let hosts = listenAddresses.split(separator: ",").map { $0.trimmed }
        let wildcards: Set = ["*", "localhost", "0.0.0.0", "127.0.0.1"]
        if hosts.isEmpty || hosts.contains(where: wildcards.contains) { return "localhost" }
        return hosts[0]
    }

    /// The first absolute directory of `unix_socket_directories`; nil where there is none.
    var socketDirectory: String? {
        parameters["unix_socket_directories"]?.split(separator: ",").map { $0.trimmed }.first { $0.hasPrefix("/") }
    }

    /// Where our own connections go: the socket directory where it is wanted and known, else TCP. With the socket
    /// wanted and the parameter unset libpq knows the compiled-in directory itself. What `running` says goes first: a
    /// new address in the configuration holds only after a restart.
    func localAddress(socket: Bool, running: PostmasterPidFile? = nil) -> (host: String?, port: Int) {
        let tcp = running?.listenAddress.map(LocalPostgreSQLConfiguration.localHost) ?? localHost
        let port = running?.port ?? port
        guard socket else { return (tcp, port) }
        if let directory = running?.socketDirectory ?? socketDirectory { return (directory, port) }
        return (parameters["unix_socket_directories"] == nil ? nil : tcp, port)
    }
}

/// Names to values in order, names without regard to case, as PostgreSQL reads its parameters.
public struct ParameterMap: Sendable, ExpressibleByDictionaryLiteral {
    public struct Entry: Sendable, Hashable {
        public let name: String
        public var value: String
    }

    public private(set) var entries: [Entry] = []
    /// Where each name stands, in lower case: `/config` says how many there are.
    private var places: [String: Int] = [:]

    public init() {}

    /// Of a name that stands twice the last value counts, at the first one's place.
    public init(_ pairs: some Sequence<(String, String)>) {
        for (name, value) in pairs { self[name] = value }
    }

    public init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }

    public var isEmpty: Bool { entries.isEmpty }

    /// The value of `name`; nil removes it.
    public subscript(name: String) -> String? {
        get { places[name.lowercased()].map { entries[$0].value } }
        set {
            let lower = name.lowercased()
            switch (places[lower], newValue) {
            case (let place?, let value?): entries[place].value = value
            case (let place?, nil):
                entries.remove(at: place)
                places = [:]
                for (place, entry) in entries.enumerated() { places[entry.name.lowercased()] = place }
            case (nil, let value?):
                places[lower] = entries.count
                entries.append(Entry(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    /// The entries whose names pass.
    func filter(_ passes: (String) -> Bool) -> ParameterMap {
        ParameterMap(entries.filter { passes($0.name.lowercased()) }.map { ($0.name, $0.value) })
    }
}

// The places say nothing that the entries do not.
extension ParameterMap: Hashable {
    public static func == (left: ParameterMap, right: ParameterMap) -> Bool { left.entries == right.entries }
    public func hash(into hasher: inout Hasher) { hasher.combine(entries) }
}

extension StringProtocol {
    /// Without the blanks around it.
    var trimmed: String { String(withoutBlanks) }
}

extension LocalPostgreSQLConfiguration {
    /// What the rules have to know of the configuration.
    func tellRules(_ status: inout PostgreSQLStatus) {
        status.mayRemove = mayRemove
        status.canRestoreAlone = replicaMethods.contains { $0.command != nil && $0.needsNoLeader }
        status.hasPrePromote = prePromote != nil
        status.hasRestoreCommand = !(RecoveryParameters.restoreCommand(self) ?? "").isEmpty
    }
}
