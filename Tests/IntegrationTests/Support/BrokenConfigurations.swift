/// Configurations of an operator with one mistake in each, the same in every run.
struct BrokenConfigurations {
    /// What an operator writes for Patroni: every kind of value, on lines of its own.
    private static let whole = """
        scope: orders
        namespace: /service/
        name: pg-a
        log:
          level: INFO
          dir: DIRECTORY
          file_size: 50000000
          file_num: 4
          mode: 0640
        restapi:
          listen: 127.0.0.1:1
          connect_address: 127.0.0.1:1
          verify_client: none
          authentication:
            username: admin
            password: s3cret-of-the-api
          request_queue_size: 5
        etcd3:
          hosts:
            - 127.0.0.1:2
            - 127.0.0.1:3
          protocol: http
          use_proxies: no
        bootstrap:
          dcs:
            ttl: 30
            loop_wait: 10
            retry_timeout: 10
            maximum_lag_on_failover: 1048576
            postgresql:
              use_pg_rewind: true
              parameters:
                max_connections: 100
          initdb:
            - encoding: UTF8
            - data-checksums
        postgresql:
          listen: 127.0.0.1:4
          connect_address: 127.0.0.1:4
          data_dir: DIRECTORY/data
          bin_dir: /usr/lib/postgresql/15/bin
          pgpass: DIRECTORY/pgpass
          use_unix_socket: on
          pg_ctl_timeout: 60
          authentication:
            superuser:
              username: postgres
              password: s3cret-of-the-superuser
            replication:
              username: replicator
              password: s3cret-of-replication
          parameters:
            unix_socket_directories: DIRECTORY
          pg_hba:
            - local all all trust
            - host all all 127.0.0.1/32 md5
        watchdog:
          mode: off
        tags:
          nofailover: false
          clonefrom: false

        """

    /// Lines that a configuration cannot do without.
    private static let needed = [
        "scope: orders", "name: pg-a", "  listen: 127.0.0.1:1", "    username: admin",
        "    password: s3cret-of-the-api",
        "  listen: 127.0.0.1:4", "      username: postgres", "      username: replicator",
    ]
    /// Starts of lines, and values that none of them takes.
    private static let values: [(start: String, wrong: [String])] = [
        ("scope:", ["on", "[a]", "{a: b}", "12", "a/b", "''"]), ("name:", ["7", "yes", "[x]", "a/b", "2020.5"]),
        ("  level:", ["LOUD", "5", "[INFO]", "off"]), ("  file_size:", ["much", "-1", "1.5.2", "[1]", "yes"]),
        ("  file_num:", ["-4", "some", "{}", "99999"]), ("  mode: 0640", ["rw", "9999", "-1", "u=rw"]),
        ("  listen: 127.0.0.1:1", ["8008", "a:b", "127.0.0.1:99999", "[x]", "'http://a:1/'", "on"]),
        ("  connect_address: 127.0.0.1:1", ["nowhere", "a:b", "a:99999", "[a]", "{a: 1}"]),
        ("  verify_client:", ["maybe", "3", "[none]", "on"]),
        ("  request_queue_size:", ["many", "-1", "5000", "[5]", "on"]),
        ("  protocol:", ["ftp", "3", "[http]", "off"]), ("  use_proxies:", ["perhaps", "7", "[no]", "''"]),
        ("    ttl:", ["soon", "[30]", "1.x", "''"]), ("    loop_wait:", ["ten", "{a: 1}", "1 0"]),
        ("    retry_timeout:", ["s10", "[1]", "'10s'"]),
        ("  listen: 127.0.0.1:4", ["a:b", "127.0.0.1:0", "127.0.0.1:70000", "[a]", "true"]),
        ("  connect_address: 127.0.0.1:4", ["a:b", "a:0", "a:70000", "[a]", "{}"]),
        ("  data_dir:", ["[a]", "on", "{a: b}", "''", "/"]), ("  use_unix_socket:", ["maybe", "2", "[on]"]),
        ("  pg_ctl_timeout:", ["long", "-5", "[60]", "60 fortnights"]),
        ("      username: postgres", ["[a]", "on", "{}", "\"a\\nb\""]),
        ("      password: s3cret-of-the-superuser", ["[s3cret]", "yes", "{a: s3cret}", "\"s3cret\\nx\""]),
    ]

    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// splitmix64.
    private mutating func next(below count: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((value ^ (value >> 31)) % UInt64(count))
    }

    private mutating func one<Element>(of list: [Element]) -> Element { list[next(below: list.count)] }

    /// One mistake, and what it is.
    mutating func broken(directory: String) -> (text: String, mistake: String) {
        var lines = Self.whole.replacing("DIRECTORY", with: directory).split(separator: "\n").map(String.init)
        switch next(below: 10) {
        case 0...5:
            let (start, wrong) = one(of: Self.values)
            let value = one(of: wrong)
            guard let index = lines.firstIndex(where: { $0.hasPrefix(start) }) else { break }
            let key = lines[index].prefix { $0 != ":" }
            lines[index] = "\(key): \(value)"
            return (lines.joined(separator: "\n"), "line \(index + 1) is \(lines[index])")
        case 6:
            let line = one(of: Self.needed)
            lines.removeAll { $0 == line }
            return (lines.joined(separator: "\n"), "without \(line)")
        default:
            let index = next(below: lines.count)
            let line = lines[index]
            // No quote and no bracket stands in the rest that would end these.
            let broken = one(of: ["? [", "%\(line)", "@\(line)", "`\(line)", "'\(line)", "\"\(line)", "{\(line)"])
            lines[index] = broken
            return (lines.joined(separator: "\n"), "line \(index + 1) is \(broken)")
        }
        return (lines.joined(separator: "\n"), "nothing")
    }
}
