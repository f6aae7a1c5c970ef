import Testing

@testable import Configuration

/// The variables that are read, against those that Patroni reads (configuration.md §6).
@Suite struct EnvironmentTableTests {
    /// A section, or `-` for the top, and its keys; group D is held by its suffixes.
    private static let specified = """
        - NAME NAMESPACE SCOPE THREAD_POOL_SIZE THREAD_STACK_SIZE LOGLEVEL LOGFORMAT LOG_DATEFMT CONFIGURATION
        RESTAPI LISTEN CONNECT_ADDRESS CERTFILE KEYFILE KEYFILE_PASSWORD CAFILE CIPHERS VERIFY_CLIENT SERVER_TOKENS
        RESTAPI ALLOWLIST_INCLUDE_MEMBERS REQUEST_QUEUE_SIZE ALLOWLIST HTTP_EXTRA_HEADERS HTTPS_EXTRA_HEADERS
        RESTAPI USERNAME PASSWORD
        CTL CACERT CERTFILE KEYFILE KEYFILE_PASSWORD INSECURE USERNAME PASSWORD
        POSTGRESQL LISTEN CONNECT_ADDRESS PROXY_ADDRESS CONFIG_DIR DATA_DIR PGPASS BIN_DIR
        POSTGRESQL_BIN PG_CTL INITDB PG_CONTROLDATA PG_BASEBACKUP POSTGRES PG_ISREADY PG_REWIND
        LOG TYPE LEVEL TRACEBACK_LEVEL DATEFORMAT DIR DEDUPLICATE_HEARTBEAT_LOGS MAX_QUEUE_SIZE FILE_SIZE FILE_NUM
        LOG MODE FORMAT STATIC_FIELDS LOGGERS
        RAFT DATA_DIR SELF_ADDR PASSWORD BIND_ADDR MIN_TIMEOUT MAX_TIMEOUT CONNECTION_TIMEOUT PARTNER_ADDRS
        RAFT APPEND_ENTRIES_PERIOD CONNECTION_RETRY_TIME LEADER_FALLBACK_TIMEOUT
        SUPERUSER USERNAME PASSWORD SSLMODE SSLCERT SSLKEY SSLPASSWORD SSLROOTCERT SSLCRL SSLCRLDIR GSSENCMODE
        SUPERUSER CHANNEL_BINDING SSLNEGOTIATION
        REPLICATION USERNAME PASSWORD SSLMODE SSLCERT SSLKEY SSLPASSWORD SSLROOTCERT SSLCRL SSLCRLDIR GSSENCMODE
        REPLICATION CHANNEL_BINDING SSLNEGOTIATION
        REWIND USERNAME PASSWORD SSLMODE SSLCERT SSLKEY SSLPASSWORD SSLROOTCERT SSLCRL SSLCRLDIR GSSENCMODE
        REWIND CHANNEL_BINDING SSLNEGOTIATION
        ETCD USERNAME PASSWORD
        ETCD3 USERNAME PASSWORD
        """

    private static let suffixes = """
        HOST HOSTS PORT USE_PROXIES PROTOCOL SRV SRV_SUFFIX URL PROXY CACERT CERT KEY VERIFY TOKEN CHECKS DC CONSISTENCY
        REGISTER_SERVICE SERVICE_CHECK_INTERVAL SERVICE_CHECK_TLS_SERVER_NAME SERVICE_TAGS NAMESPACE CONTEXT
        USE_ENDPOINTS SCOPE_LABEL ROLE_LABEL POD_IP PORTS LABELS BYPASS_API_SERVICE RETRIABLE_HTTP_CODES KEY_PASSWORD
        USE_SSL SET_ACLS GROUP DATABASE LEADER_LABEL_VALUE FOLLOWER_LABEL_VALUE STANDBY_LEADER_LABEL_VALUE
        TMP_ROLE_LABEL AUTH_DATA BOOTSTRAP_LABELS
        """

    /// Ours, and one that Patroni documents and does not read: whoever sets it is told.
    private static func isOfOurs(_ name: String) -> Bool {
        name.hasPrefix("GUARDIAN_") || name.hasSuffix("_FILE") || name == "RESTAPI_THREAD_POOL_SIZE"
    }

    @Test func theTableIsThePeersListAndOurs() {
        var names: Set<String> = []
        for line in Self.specified.split(separator: "\n") {
            let words = line.split(separator: " ")
            for word in words.dropFirst() { names.insert(words[0] == "-" ? String(word) : "\(words[0])_\(word)") }
        }
        #expect(names.count > 100)
        let known = EnvironmentTable.readNames
        #expect(names.subtracting(known).sorted() == [], "variables that nobody reads")
        #expect(known.subtracting(names).filter { !Self.isOfOurs($0) }.sorted() == [], "variables from nowhere")
        let suffixes = Set(Self.suffixes.split { " \n".contains($0) }.map { String($0) })
        #expect(EnvironmentTable.suffixes == suffixes)
    }

    /// A variable that sets a key which nobody has would be read for nothing.
    @Test func everyVariableSetsAKeyOfTheTable() {
        let rows =
            EnvironmentTable.texts + EnvironmentTable.booleans + EnvironmentTable.integers + EnvironmentTable.reals
            + EnvironmentTable.lists + EnvironmentTable.maps + EnvironmentTable.credentials
        for row in rows where row.name != "RESTAPI_THREAD_POOL_SIZE" {
            #expect(SettingTable.byPath[row.path] != nil, "\(row.name) sets \(row.path)")
        }
    }
}
