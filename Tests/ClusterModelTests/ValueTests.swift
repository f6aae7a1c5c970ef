import ClusterModel
import Testing

@Suite struct ValueTests {
    static let positions: [(String, UInt64?)] = [
        ("0/0", 0), ("0/5000060", 0x500_0060), ("16/B374D848", 0x16_B374_D848), ("FFFFFFFF/FFFFFFFF", .max),
        ("16/b374d848", 0x16_B374_D848), ("", nil), ("16", nil), ("16/", nil), ("/16", nil), ("1/2/3", nil),
        ("x/1", nil),
        ("+1/2", nil), ("-1/2", nil), ("1/-2", nil), ("123456789/0", nil), (" 1/2", nil),
    ]

    @Test(arguments: positions) func readsPositions(_ text: String, _ bytes: UInt64?) {
        #expect(WALPosition(text)?.bytes == bytes)
    }

    @Test func writesPositionsAsPostgreSQLDoes() {
        #expect(WALPosition(0x16_B374_D848).description == "16/B374D848")
        #expect(WALPosition(0x500_0060).description == "0/5000060")
    }

    @Test func comparesPositionsAcrossTheWholeRange() {
        #expect(WALPosition(10) - WALPosition(4) == 6)
        #expect(WALPosition(4) - WALPosition(10) == -6)
        #expect(WALPosition(json: .int(-1)) == nil)
        #expect(WALPosition(json: "12") == WALPosition(12))
        #expect(WALPosition(json: .double(1.5)) == nil)
    }

    /// rest-api.md §12.4; the second is nanoseconds since the epoch, the third whether an offset was given.
    static let times: [(String, Int64?, Bool)] = [
        ("1970-01-01T00:00:00Z", 0, true), ("2031-01-01T00:00:00Z", 1_924_992_000_000_000_000, true),
        ("2031-01-01T02:00:00+02:00", 1_924_992_000_000_000_000, true),
        ("2030-12-31T19:00:00-0500", 1_924_992_000_000_000_000, true),
        ("20310101T000000Z", 1_924_992_000_000_000_000, true),
        ("2031-01-01 00:00 +00", 1_924_992_000_000_000_000, true),
        ("2031-01-01T00:00:00.5Z", 1_924_992_000_500_000_000, true), ("2031-01-01", 1_924_992_000_000_000_000, false),
        ("2031-01-01T00:00:00", 1_924_992_000_000_000_000, false),
        ("2028-02-29T00:00:00Z", 1_835_395_200_000_000_000, true),
        ("2031-01-01 00:00:00 UTC", 1_924_992_000_000_000_000, true),
        ("2031-02-29T00:00:00Z", nil, false), ("2031-13-01T00:00:00Z", nil, false),
        ("2031-01-01T24:00:00Z", nil, false),
        ("2031-01-01T00:00:00 CET", 1_924_992_000_000_000_000, false), ("tomorrow", nil, false), ("", nil, false),
        (" 2031-01-01 00:00 utc ", 1_924_992_000_000_000_000, true), ("2031-01-01T00:00 +00 x", nil, false),
        ("2031-01-01T00:00:00 C3T", nil, false), ("1960-01-01T00:00:00Z", -315_619_200_000_000_000, true),
        ("2031-01-01T", nil, false),
        ("2031-01-01T00:00:00.Z", nil, false), ("2031-01-01T00:00:00+2", nil, false),
    ]

    @Test(arguments: times) func readsTimes(_ text: String, _ nanoseconds: Int64?, _ hasOffset: Bool) {
        let time = Timestamp(text)
        #expect(time?.nanosecondsSinceEpoch == nanoseconds)
        if nanoseconds != nil { #expect(time?.hasOffset == hasOffset) }
    }

    @Test func writesTimesWithTheirOffset() {
        #expect(Timestamp("2027-01-01T10:00:00.5+03:00")?.text == "2027-01-01T10:00:00.500000+03:00")
        #expect(Timestamp("2027-01-01T10:00:00-04:30")?.text == "2027-01-01T10:00:00-04:30")
        #expect(Timestamp(nanosecondsSinceEpoch: 0).text == "1970-01-01T00:00:00+00:00")
    }

    static let tags: [(JSONObject, nofailover: Bool, priority: Int)] = [
        ([:], false, 1), (["nofailover": true], true, 0), (["nofailover": "false"], true, 0),
        (["failover_priority": 0], true, 0), (["failover_priority": -3], true, 0),
        (["failover_priority": "5"], false, 5),
        (["failover_priority": "junk"], false, 1), (["nofailover": false, "failover_priority": 0], false, 0),
        (["nofailover": true, "failover_priority": 9], true, 0),
    ]

    @Test(arguments: tags) func readsTags(_ raw: JSONObject, _ nofailover: Bool, _ priority: Int) {
        #expect(Tags(raw).nofailover == nofailover)
        #expect(Tags(raw).failoverPriority == priority)
    }

    @Test func publishesBuiltInTagsOnlyWhereTheyAreTrue() {
        let tags = Tags([
            "nofailover": false, "clonefrom": false, "noloadbalance": true, "zone": "b", "failover_priority": 2,
        ])
        #expect(tags.published.keys == ["nofailover", "noloadbalance", "zone", "failover_priority"])
    }

    @Test func readsAddressesOfURLs() {
        #expect(HostPort(url: "postgres://u@[::1]:5433/db", defaultPort: 5432) == HostPort(host: "::1", port: 5433))
        #expect(
            HostPort(url: "postgres://db.example/postgres", defaultPort: 5432)
                == HostPort(host: "db.example", port: 5432))
        #expect(HostPort(url: "nonsense", defaultPort: 1) == nil)
        #expect(HostPort(host: "::1", port: 5433).description == "[::1]:5433")
    }

    @Test func comparesVersionsByNumbers() {
        #expect(SoftwareVersion("4.10.0").map { $0 > SoftwareVersion("4.9.9") ?? $0 } == true)
        #expect(SoftwareVersion("4.1.x") == nil)
        #expect(SoftwareVersion("") == nil)
    }
}
