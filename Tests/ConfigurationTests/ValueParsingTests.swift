import ClusterModel
import Testing

@Suite struct ValueParsingTests {
    @Test(
        arguments: [
            ("on", true), ("TRUE", true), ("Yes", true), ("1", true), ("off", false), ("False", false), ("no", false),
            ("0", false), ("t", nil), ("", nil), ("1.0", nil), ("2", nil),
        ] as [(String, Bool?)])
    func boolean(text: String, expected: Bool?) {
        #expect(ValueParsing.bool(text) == expected)
    }

    @Test func booleanOfScalars() {
        #expect(ValueParsing.bool(.bool(true)) == true)
        #expect(ValueParsing.bool(.int(0)) == false)
        #expect(ValueParsing.bool(.double(1)) == nil)
        #expect(ValueParsing.bool(.null) == nil)
        #expect(ValueParsing.bool(nil) == nil)
    }

    @Test(
        arguments: [
            ("10", 10), (" 10 ", 10), ("-5", -5), ("+7", 7), ("0x10", 16), ("-0xF", -15), ("010", 8), ("0", 0),
            ("089", nil),
            ("2.5", 2), ("3.5", 4), ("1e3", 1000), ("0.5", 0), (".5", 0), ("1.5e1", 15), ("1_000", nil), ("", nil),
            ("abc", nil), ("--1", nil), ("10 MB", nil), ("10e", nil), ("99999999999999999999", nil), ("1e30", nil),
        ] as [(String, Int64?)])
    func integer(text: String, expected: Int64?) {
        #expect(ValueParsing.integer(text) == expected)
    }

    @Test(
        arguments: [
            ("1MB", 1_048_576), ("1.5MB", 1_572_864), ("16kB", 16_384), ("1 GB", 1_073_741_824),
            ("2TB", 2_199_023_255_552),
            ("7B", 7), ("12", 12), ("0x10kB", 16_384), ("1.3kB", 1331), ("1KB", nil), ("1mb", nil), ("1s", nil),
            ("1.0001GB", 1_073_741_824),
        ] as [(String, Int64?)])
    func bytes(text: String, expected: Int64?) {
        #expect(ValueParsing.integer(text, unit: .bytes) == expected)
    }

    @Test(
        arguments: [
            ("30min", 1800), ("1h", 3600), ("1d", 86_400), ("1.5h", 5400), ("500ms", 0), ("1500ms", 2), ("1s", 1),
            ("10us", 0), ("1m", nil), ("1MB", nil),
        ] as [(String, Int64?)])
    func seconds(text: String, expected: Int64?) {
        #expect(ValueParsing.integer(text, unit: .seconds) == expected)
    }

    @Test func integersOfScalars() throws {
        #expect(ValueParsing.integer(.double(2.5)) == 2)
        #expect(ValueParsing.integer(.double(3.5)) == 4)
        #expect(ValueParsing.integer(.double(.nan)) == nil)
        #expect(ValueParsing.integer(.bool(true)) == nil)
        #expect(ValueParsing.integer(.null) == nil)
        let pages = try #require(SettingUnit("8kB"))
        #expect(ValueParsing.integer("1.5GB", unit: pages) == 196_608)
        #expect(SettingUnit("0kB") == nil)
        #expect(SettingUnit("miles") == nil)
    }

    @Test(arguments: [("1.4", 1.4), ("-3", -3), ("1e-1", 0.1), (".5", 0.5), ("x", nil), ("1.2.3", nil)])
    func real(text: String, expected: Double?) {
        #expect(ValueParsing.real(text) == expected)
    }

    @Test(arguments: [
        ("10.0.0.1:5432", ["10.0.0.1"], 5432), ("a, b ,c:1", ["a", "b", "c"], 1), ("[::1]:8008", ["::1"], 8008),
        ("::1:5432", ["::1"], 5432), ("[fe80::1],10.0.0.1:5432", ["fe80::1", "10.0.0.1"], 5432),
        ("*:5432", ["*"], 5432),
        (":8008", [""], 8008), (":::5432", ["::"], 5432), ("host", ["host"], 99), ("[::1]", ["::1"], 99),
    ])
    func listenAddress(text: String, hosts: [String], port: Int) {
        #expect(ListenAddress(text, defaultPort: 99) == ListenAddress(hosts: hosts, port: port))
    }

    @Test(arguments: ["host", "::1", "fe80::1", "host:port", "host:70000", "host:", "http://host:80"])
    func noListenAddress(text: String) {
        #expect(ListenAddress(text) == nil)
    }

    @Test func hostAndPort() {
        #expect(HostPort("db1:5433") == HostPort(host: "db1", port: 5433))
        #expect(HostPort("a,b:5433") == nil)
        #expect(HostPort(":5433") == nil)
        #expect(HostPort("5433", defaultPort: 5432) == nil, "a port alone")
        #expect(ListenAddress(hosts: ["::1"], port: 1).description == "[::1]:1")
    }

    @Test func toolOptions() {
        let options = ToolOptions(
            "initdb",
            [
                ["encoding": "UTF8"], "data-checksums", ["locale": "'C.UTF-8'"], "pgdata=/elsewhere",
                ["a": "1", "b": "2"], ["wal-segsize": 64],
            ], forbidden: ["pgdata"])
        #expect(options.arguments == ["--encoding=UTF8", "--data-checksums", "--locale=C.UTF-8"])
        #expect(options.problems.count == 3)
        #expect(options.problems.first == "option pgdata for initdb is not allowed")
    }

    @Test func toolOptionsOfMapping() {
        let options = ToolOptions("pg_basebackup", ["max-rate": "100M", "": "x", "checkpoint": ""], forbidden: [])
        #expect(options == ToolOptions("pg_basebackup", ["max-rate=100M"], forbidden: []))
        #expect(ToolOptions("pg_basebackup", "max-rate", forbidden: []).problems.count == 1)
    }
}

@Suite struct ClusterTimingsTests {
    @Test(arguments: [
        ((30, 10, 20), (30, 1, 14)), ((30, 20, 10), (30, 10, 10)), ((20, 10, 10), (20, 1, 9)),
        ((30, 10, 10), (30, 10, 10)), ((20, 1, 3), (20, 1, 3)), ((20, 1, 1), (20, 1, 3)), ((3, 1, 1), (3, 1, 1)),
        ((5, 1, 1), (5, 1, 1)), ((5, 10, 2), (5, 1, 2)), ((10, 10, 10), (10, 1, 4.5)), ((4, 1, 2), (4, 1, 1.5)),
        ((2, 0, 0), (3, 1, 1)),
    ])
    func adjusted(given: (Int64, Int64, Double), expected: (Int64, Int64, Double)) throws {
        let document: JSONObject = [
            "ttl": .int(given.0), "loop_wait": .int(given.1), "retry_timeout": .double(given.2),
        ]
        let timings = try ClusterTimings.adjusted(document: document)
        #expect(
            timings.timings
                == ClusterTimings(
                    ttl: .seconds(expected.0), loopWait: .seconds(expected.1),
                    retryTimeout: .milliseconds(Int64(expected.2 * 1000))))
        #expect(timings.warnings.isEmpty == (given == expected))
    }

    @Test func wordsOfTheMinimum() throws {
        let warnings = try ClusterTimings.adjusted(document: ["ttl": 5], isShared: true).warnings
        #expect(warnings.first == "ttl=5 can't be smaller than 20, adjusting...")
        #expect(
            try ClusterTimings.adjusted(document: ["ttl": 2]).warnings.first
                == "ttl=2 can't be smaller than 3, adjusting...")
    }

    @Test func aMemberOfThePeersKeepsItsMinimum() throws {
        let document: JSONObject = ["ttl": 5, "loop_wait": 1, "retry_timeout": 1]
        let timings = try ClusterTimings.adjusted(document: document, isShared: true).timings
        #expect(timings == ClusterTimings(ttl: .seconds(20), loopWait: .seconds(1), retryTimeout: .seconds(3)))
    }

    @Test(arguments: 3...40) func whatIsAdjustedFitsIntoTheLease(ttl: Int64) throws {
        for isShared in [false, true] {
            let timings = try ClusterTimings.adjusted(document: ["ttl": .int(ttl)], isShared: isShared).timings
            #expect(timings.loopWait + timings.retryTimeout * 2 <= timings.ttl)
            #expect(timings.retryTimeout >= .seconds(1))
        }
    }

    @Test func textsAndRealsAreTaken() throws {
        let timings = try ClusterTimings.adjusted(document: ["ttl": "25", "loop_wait": 10, "retry_timeout": 11.9])
        #expect(timings.timings.loopWait == .seconds(3))
        #expect(timings.timings.retryTimeout == .seconds(11))
    }

    @Test(arguments: ["junk", "1.5", .null, [1], .double(1e300), .int(.min)] as [JSONValue])
    func unfit(value: JSONValue) {
        #expect(throws: ClusterTimings.Invalid.self) { try ClusterTimings.adjusted(document: ["ttl": value]) }
    }
}
