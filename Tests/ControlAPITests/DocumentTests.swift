import ClusterModel
import HTTPServer
import HighAvailability
import JSON
import Testing

@testable import ControlAPI

/// The bodies of `/patroni` and `/cluster`, byte for byte (rest-api.md §8, §9).
@Suite struct DocumentTests {
    private func status(_ snapshot: NodeSnapshot) -> String {
        JSON.text(StatusDocument.object(snapshot, now: Scene.now))
    }

    @Test func aSynchronousStandbyAsInTheSpecification() {
        var local = Scene.standby()
        local.pendingRestart = [.init(parameter: "max_connections", oldValue: "100", newValue: "150")]
        let snapshot = Scene.snapshot(
            local, view: Scene.view(leader: "pg-a", sync: SyncState(leader: "pg-a", voters: ["pg-b"])),
            settings: ["synchronous_mode": true], tags: ["zone": "b", "clonefrom": true])
        #expect(
            status(snapshot) == """
                {"state": "running", "postmaster_start_time": "2027-02-03 04:05:06.70809+00:00", "role": "replica", \
                "server_version": 170002, "xlog": {"received_location": 251658240, "replayed_location": 251658000, \
                "replayed_timestamp": "2027-02-03 09:00:01.5+00:00", "paused": false}, "sync_standby": true, \
                "timeline": 4, "replication_state": "streaming", "dcs_last_seen": 1801645201, \
                "tags": {"zone": "b", "clonefrom": true}, "database_system_identifier": "7400000000000000001", \
                "pending_restart": true, "pending_restart_reason": {"max_connections": {"old_value": "100", \
                "new_value": "150"}}, "patroni": {"version": "4.1.5", "scope": "orders", "name": "pg-b"}}
                """)
    }

    @Test func aStoppedNodeOfAPausedClusterAsInTheSpecification() async throws {
        var snapshot = Scene.snapshot(
            Scene.silent(.stopped), view: Scene.view(leader: nil), settings: ["pause": true])
        snapshot.storeLastSeen = 1_801_645_300
        let text = """
            {"state": "stopped", "role": "replica", "pause": true, "cluster_unlocked": true, \
            "dcs_last_seen": 1801645300, "database_system_identifier": "7400000000000000001", \
            "patroni": {"version": "4.1.5", "scope": "orders", "name": "pg-b"}}
            """
        let bench = Bench(snapshot)
        let health = try await bench.ask("GET", "/health")
        #expect(health.status == 503 && health.text == text)
        let known = try await bench.ask("GET", "/patroni")
        #expect(known.status == 200 && known.text == text)
        #expect(known.headers["Content-Type"] == "application/json")
    }

    /// Who answers still and is about to be away says so: nobody hands over to it.
    @Test(
        arguments: [(.reinitialize, "reinitialize"), (.restart, "restart"), (.follow, nil), (.promote, nil)]
            as [(Plan.Kind, String?)])
    func aNodeThatIsAway(_ kind: Plan.Kind, _ told: String?) {
        let snapshot = Scene.snapshot(running: RunningPlan(plan: Plan(kind, []), since: Scene.now))
        #expect(StatusDocument.object(snapshot, now: Scene.now)["operation"]?.string == told)
    }

    @Test func aPrimaryWithItsSenders() {
        var local = Scene.primary()
        local.facts?.walSenders = [
            .init(
                userName: "replicator", applicationName: "pg-b", clientAddress: "192.0.2.2", state: "streaming",
                syncState: "async", syncPriority: 0),
            .init(
                userName: "replicator", applicationName: "pg_basebackup", clientAddress: nil, state: "backup",
                syncState: "async", syncPriority: 0),
        ]
        let snapshot = Scene.snapshot(local, view: Scene.view(leader: "pg-b"), role: .primary, lease: Scene.held)
        #expect(
            status(snapshot) == """
                {"state": "running", "postmaster_start_time": "2027-02-03 04:05:06.70809+00:00", "role": "primary", \
                "server_version": 170002, "xlog": {"location": 251658240}, "timeline": 4, "replication": \
                [{"usename": "replicator", "application_name": "pg-b", "client_addr": "192.0.2.2", \
                "state": "streaming", "sync_state": "async", "sync_priority": 0}, {"usename": "replicator", \
                "application_name": "pg_basebackup", "client_addr": null, "state": "backup", "sync_state": "async", \
                "sync_priority": 0}], "dcs_last_seen": 1801645201, \
                "database_system_identifier": "7400000000000000001", \
                "patroni": {"version": "4.1.5", "scope": "orders", "name": "pg-b"}}
                """)
    }

    @Test func aServerThatShouldAnswerAndDoesNotIsUnknown() {
        #expect(status(Scene.snapshot(Scene.silent(.running))).hasPrefix(#"{"state": "unknown", "role": "replica", "#))
        #expect(status(Scene.snapshot(Scene.silent(.starting))).hasPrefix(#"{"state": "starting", "#))
    }

    @Test(arguments: PostgreSQLState.allCases.filter { $0 != .running })
    func statesAreToldAsTheyAre(_ state: PostgreSQLState) {
        #expect(
            StatusDocument.object(Scene.snapshot(Scene.silent(state)), now: Scene.now)["state"]
                == .string(state.rawValue))
    }

    @Test func nothingOfAViewThatIsTooOld() {
        let snapshot = Scene.snapshot(
            view: Scene.view(leader: "pg-a", sync: SyncState(leader: "pg-a", voters: ["pg-b"])),
            settings: ["synchronous_mode": true])
        let fresh = StatusDocument.object(snapshot, now: Scene.now + .seconds(29))
        #expect(fresh["sync_standby"] == true && fresh["cluster_unlocked"] == nil)
        let old = StatusDocument.object(snapshot, now: Scene.now + .seconds(30))
        #expect(old["sync_standby"] == nil && old["cluster_unlocked"] == true)
    }

    @Test func theStandbyLeaderSaysSo() {
        let settings: JSONObject = ["standby_cluster": ["host": "192.0.2.9"]]
        let leader = Scene.snapshot(view: Scene.view(leader: "pg-b"), lease: Scene.held, settings: settings)
        #expect(StatusDocument.object(leader, now: Scene.now)["role"] == "standby_leader")
        #expect(StatusDocument.object(Scene.snapshot(settings: settings), now: Scene.now)["role"] == "replica")
    }

    @Test func noIdentifierWhileBootstrapping() {
        let snapshot = Scene.snapshot(running: RunningPlan(plan: Plan(.bootstrap, []), since: Scene.now))
        #expect(StatusDocument.object(snapshot, now: Scene.now)["database_system_identifier"] == nil)
    }

    // MARK: /cluster

    @Test func noPasswordOfAURL() {
        let view = Scene.view(
            leader: "pg-a", members: [Scene.member("pg-a", ["api_url": "http://u:secret@192.0.2.1:8008/patroni"])])
        let text = JSON.text(ClusterDocument.object(view, DynamicConfiguration(), scope: "demo"))
        #expect(text.contains("http://***@192.0.2.1:8008/patroni") && !text.contains("secret"))
    }

    @Test func theClusterAsInTheSpecification() {
        let view = Scene.view(
            leader: "pg-a",
            members: [
                Scene.member("pg-a", ["role": "primary", "timeline": 4]),
                Scene.member(
                    "pg-b",
                    [
                        "replication_state": "streaming", "timeline": 4, "tags": ["zone": "b"],
                        "receive_lsn": 251_658_240, "replay_lsn": 251_658_000, "xlog_location": 251_658_240,
                    ]), Scene.member("pg-c", ["state": "stopped"]),
            ],
            failover: FailoverRequest(
                leader: "pg-a", candidate: "pg-b", scheduledAt: "2027-02-04T03:00:00+01:00"),
            sync: SyncState(leader: "pg-a", voters: ["pg-b"]))
        let settings = DynamicConfiguration(document: ["synchronous_mode": true]) ?? DynamicConfiguration()
        // Patroni's order of lag and lsn differs between what is known and what is not (rest-api.md §9).
        #expect(
            JSON.text(ClusterDocument.object(view, settings, scope: "orders")) == """
                {"members": [{"name": "pg-a", "role": "leader", "state": "running", \
                "api_url": "https://192.0.2.1:8008/patroni", "host": "192.0.2.1", "port": 5432, "timeline": 4}, \
                {"name": "pg-b", "role": "sync_standby", "state": "streaming", \
                "api_url": "https://192.0.2.2:8008/patroni", "host": "192.0.2.2", "port": 5432, "timeline": 4, \
                "tags": {"zone": "b"}, "receive_lag": 0, "receive_lsn": "0/F000000", "replay_lag": 240, \
                "replay_lsn": "0/EFFFF10", "lag": 0, "lsn": "0/F000000"}, \
                {"name": "pg-c", "role": "replica", "state": "stopped", \
                "api_url": "https://192.0.2.3:8008/patroni", "host": "192.0.2.3", "port": 5432, \
                "receive_lsn": "unknown", "receive_lag": "unknown", "replay_lsn": "unknown", \
                "replay_lag": "unknown", "lsn": "unknown", "lag": "unknown"}], \
                "scheduled_switchover": {"at": "2027-02-04T03:00:00+01:00", "from": "pg-a", "to": "pg-b"}, \
                "scope": "orders"}
                """)
    }

    @Test func aPausedStandbyClusterAndAMemberThatSaysLittle() {
        let view = Scene.view(
            leader: "pg-a",
            members: [
                Scene.member("pg-a", ["state": "running", "replication_state": "in archive recovery"]),
                Member(name: "pg-b", data: JSONObject()),
            ])
        let settings =
            DynamicConfiguration(document: ["pause": true, "standby_cluster": ["port": 1]]) ?? DynamicConfiguration()
        #expect(
            JSON.text(ClusterDocument.object(view, settings, scope: "orders")) == """
                {"members": [{"name": "pg-a", "role": "standby_leader", "state": "in archive recovery", \
                "api_url": "https://192.0.2.1:8008/patroni", "host": "192.0.2.1", "port": 5432}, \
                {"name": "pg-b", "role": "replica", "state": "", "api_url": null, "receive_lsn": "unknown", \
                "receive_lag": "unknown", "replay_lsn": "unknown", "replay_lag": "unknown", "lsn": "unknown", \
                "lag": "unknown"}], "pause": true, "scope": "orders"}
                """)
    }

    @Test func slotsThatHoldBackWALAndZonesThatAreSharedAreTold() {
        let members = [
            Scene.member("pg-a", ["role": "primary", "tags": ["zone": "a"], "slots_beyond_warning": ["reporting"]]),
            Scene.member("pg-b", ["tags": ["zone": "a"]]), Scene.member("pg-c", ["tags": ["zone": "b"]]),
            Scene.member("pg-d"),
        ]
        func cluster(_ voters: [String], _ settings: JSONObject) -> JSONObject {
            ClusterDocument.object(
                Scene.view(leader: "pg-a", members: members, sync: SyncState(leader: "pg-a", voters: voters)),
                DynamicConfiguration(document: settings) ?? DynamicConfiguration(), scope: "orders")
        }
        let distinct: JSONObject = ["synchronous_mode": true, "synchronous_zones": "distinct"]
        let shared = cluster(["pg-b"], distinct)
        #expect(shared["members"]?.array?.first?["slots_beyond_warning"] == ["reporting"])
        #expect(shared["synchronous_zones_shared"] == ["a"])
        #expect(cluster(["pg-c"], distinct)["synchronous_zones_shared"] == nil)
        #expect(cluster(["pg-b"], ["synchronous_mode": true])["synchronous_zones_shared"] == nil)
        // Who says nothing of its zone is not known to be in another one.
        let quorum: JSONObject = ["synchronous_mode": "quorum", "synchronous_zones": "distinct"]
        #expect(cluster(["pg-d"], distinct)["synchronous_zones_shared"] == ["a"])
        #expect(cluster(["pg-c", "pg-d"], quorum)["synchronous_zones_shared"] == ["a"])
    }

    @Test func membersThatWriteFasterThanTheStatusHaveNoLag() {
        let member = Scene.member("pg-c", ["xlog_location": 300, "replay_lsn": 0])
        let object = ClusterDocument.object(
            Scene.view(leader: "pg-a", members: [member], optime: 200), DynamicConfiguration(), scope: "orders")
        let first = object["members"]?.array?.first
        #expect(first?["lag"] == 0 && first?["lsn"] == "0/12C" && first?["replay_lag"] == "unknown")
    }
}
