import ClusterModel
import Testing

@testable import Ctl

/// The tables of ctl.md §5, byte for byte.
@Suite struct MemberListingTests {
    private func text(
        _ keys: [String: String], _ style: MemberListing.Style = .format(.pretty), isExtended: Bool = false
    ) -> String {
        MemberListing(Pictures.picture("orders", keys), style, isExtended: isExtended).text
    }

    @Test func theExampleOfTheSpecification() {
        #expect(
            text(Pictures.orders) == """
                + Cluster: orders (7400000000000000001) --------+----+-------------+-----+------------+-----+
                | Member | Host      | Role         | State     | TL | Receive LSN | Lag | Replay LSN | Lag |
                +--------+-----------+--------------+-----------+----+-------------+-----+------------+-----+
                | pg-a   | 192.0.2.1 | Leader       | running   |  4 |             |     |            |     |
                | pg-b   | 192.0.2.2 | Sync Standby | streaming |  4 |   0/F000000 |   0 |  0/EF00000 |   1 |
                | pg-c   | 192.0.2.3 | Replica      | stopped   |    |     unknown |     |    unknown |     |
                +--------+-----------+--------------+-----------+----+-------------+-----+------------+-----+
                 Maintenance mode: on

                """)
    }

    @Test func jsonLeavesEmptyCellsOut() {
        #expect(
            text(Pictures.orders, .format(.json)).hasPrefix(
                #"[{"Cluster": "orders", "Member": "pg-a", "Host": "192.0.2.1", "Role": "Leader", "State": "running", "#
                    + #""TL": 4}, {"Cluster": "orders", "Member": "pg-b", "Host": "192.0.2.2", "#
                    + #""Role": "Sync Standby", "State": "streaming", "TL": 4, "Receive LSN": "0/F000000", "#
                    + #""Receive Lag": 0, "Replay LSN": "0/EF00000", "Replay Lag": 1}, "#))
    }

    @Test func aClusterThatDoesNotExistIsAnEmptyTable() {
        #expect(
            text([:]) == """
                + Cluster: orders (uninitialized) --+-------------+-----+------------+-----+
                | Member | Host | Role | State | TL | Receive LSN | Lag | Replay LSN | Lag |
                +--------+------+------+-------+----+-------------+-----+------------+-----+
                +--------+------+------+-------+----+-------------+-----+------------+-----+

                """)
        #expect(text([:], .format(.json)) == "[]\n")
    }

    @Test func portsAreShownWhereOneIsUnusualOrAHostIsShared() {
        var keys = Pictures.orders
        #expect(!text(keys).contains("192.0.2.1:5432"))
        keys["members/pg-c"] = Pictures.member("192.0.2.3", port: 5433)
        #expect(text(keys).contains("| 192.0.2.1:5432 |"))
        keys["members/pg-c"] = Pictures.member("192.0.2.1")
        #expect(text(keys).contains("| 192.0.2.2:5432 |"))
    }

    @Test func reasonsOfSeveralLinesRuleTheRowsApart() {
        var keys = Pictures.orders
        keys["members/pg-c"] = Pictures.member(
            "192.0.2.3",
            [
                "pending_restart": true,
                "pending_restart_reason": [
                    "max_connections": ["old_value": "100", "new_value": "200"],
                    "shared_preload_libraries": [
                        "old_value": "a", "new_value": .string(String(repeating: "b", count: 50)),
                    ],
                ],
                "scheduled_restart": ["schedule": "2030-01-01T10:00:00+00:00", "postgres_version": "15.9"],
            ])
        let drawn = text(keys)
        #expect(drawn.contains("| max_connections: 100->200                     |"))
        #expect(drawn.contains("| shared_preload_libraries: [hidden - too long] |"))
        #expect(drawn.contains("| 2030-01-01T10:00:00+00:00 if version < 15.9 |"))
        #expect(drawn.split(separator: "\n").count { $0.hasPrefix("+-") } == 4)
        #expect(text(keys, .format(.json)).contains(#"100->200\nshared_preload_libraries: a->bbbb"#))
    }

    @Test func whoFollowsWhom() {
        var keys = Pictures.orders
        keys["members/pg-b"] = Pictures.member("192.0.2.2", ["tags": ["replicatefrom": "pg-c"]])
        keys["members/pg-d"] = Pictures.member("192.0.2.4", ["tags": ["replicatefrom": "nobody"]])
        keys["members/pg-e"] = Pictures.member("192.0.2.5", ["tags": ["replicatefrom": "pg-f"]])
        keys["members/pg-f"] = Pictures.member("192.0.2.6", ["tags": ["replicatefrom": "pg-e"]])
        let rows = text(keys, .tree).split(separator: "\n").filter { $0.contains("192.0.2") }
        #expect(
            rows.map { String($0.prefix(11)) } == ["| pg-a     ", "| + pg-c   ", "|   + pg-b ", "| + pg-d   "],
            "a loop is nowhere, a source that does not exist counts as the leader")
        // What its members have has a column all the same, as with Patroni's tool.
        for leaf in ["members/pg-b", "members/pg-c", "members/pg-d"] { keys[leaf] = nil }
        #expect(text(keys, .tree).contains("| Tags |"))
    }

    @Test func theFootTellsOfASchedule() {
        var keys = Pictures.orders
        keys["failover"] = #"{"leader": "pg-a", "member": "pg-b", "scheduled_at": "2030-01-01T10:00:00+00:00"}"#
        #expect(
            text(keys).hasSuffix(
                """
                 Maintenance mode: on
                 Switchover scheduled at: 2030-01-01T10:00:00+00:00
                                    from: pg-a
                                      to: pg-b

                """))
        #expect(!text(keys, .format(.tsv)).contains("scheduled"))
    }

    @Test func groupsOfCitus() {
        let groups = [0: Pictures.orders, 1: Pictures.orders]
        let all = MemberListing(Pictures.citus("orders", groups), .format(.pretty)).text
        #expect(all.hasPrefix("+ Citus cluster: orders --"))
        #expect(all.contains("|     1 | pg-a   |"))
        #expect(all.hasSuffix("Citus group: 0\n Maintenance mode: on\nCitus group: 1\n Maintenance mode: on\n"))
        let one = MemberListing(Pictures.citus("orders", group: 1, [1: Pictures.orders]), .format(.pretty)).text
        #expect(one.hasPrefix("+ Citus cluster: orders (group: 1, 7400000000000000001) "))
    }

    @Test func fortyMembers() {
        var keys = Pictures.orders
        for number in 10..<50 { keys["members/pg-\(number)"] = Pictures.member("192.0.2.\(number)") }
        let lines = text(keys).split(separator: "\n")
        #expect(lines.count == 3 + 43 + 2)
        #expect(Set(lines.dropLast().map(\.count)).count == 1, "every line is as wide as every other")
    }
}
