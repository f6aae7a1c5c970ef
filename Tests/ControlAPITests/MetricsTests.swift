import ClusterModel
import HTTPServer
import HighAvailability
import Testing

@testable import ControlAPI

/// `GET /metrics` (rest-api.md §17).
@Suite struct MetricsTests {
    /// The series without HELP and TYPE, the labels cut off.
    private func values(_ snapshot: NodeSnapshot) -> [String] {
        MetricsDocument(snapshot, now: Scene.now).text.split(separator: "\n").filter { $0.hasPrefix("patroni_") }.map {
            String($0).replacing("{scope=\"orders\",name=\"pg-b\"}", with: "")
        }
    }

    @Test func theGuardianHasSeriesWhereThereIsOne() {
        var snapshot = Scene.snapshot()
        let without = MetricsDocument(snapshot, now: Scene.now).text
        #expect(without.contains("matriarch_ttl_seconds{") && !without.contains("guardian"))
        snapshot.guarding = Guarding(
            status: GuardianStatus(
                pid: 7, postmaster: 8, isParent: true, lastStop: .init(at: Scene.now - .seconds(3), wasKilled: true)),
            acknowledged: Lease(since: Scene.now - .seconds(10), ttl: .seconds(30)))
        let text = MetricsDocument(snapshot, now: Scene.now).text.split(separator: "\n").compactMap { line in
            line.hasPrefix("matriarch_guardian") ? "\(line.prefix { $0 != "{" }) \(line.split(separator: " ")[1])" : nil
        }
        #expect(
            text == [
                "matriarch_guardian_up 1", "matriarch_guardian_parent 1", "matriarch_guardian_armed 1",
                "matriarch_guardian_lease_remaining_seconds 20.0", "matriarch_guardian_last_stop_age_seconds 3.0",
            ])
    }

    @Test func slotsThatHoldBackWALAndZonesThatAreSharedAreCounted() {
        var snapshot = Scene.leading([
            "synchronous_mode": true, "synchronous_zones": "distinct", "slot_wal_warning": "1kB",
        ])
        snapshot.local.facts?.slots = [
            .init(name: "reporting", isLogical: false, isActive: false, restartPosition: WALPosition(251_657_000))
        ]
        snapshot.view = Scene.view(
            leader: "pg-b",
            members: [Scene.member("pg-b", ["tags": ["zone": "a"]]), Scene.member("pg-c", ["tags": ["zone": "a"]])],
            sync: SyncState(leader: "pg-b", voters: ["pg-c"]))
        let labels = #"{scope="orders",name="pg-b"}"#
        let lines = MetricsDocument(snapshot, now: Scene.now).text.split(separator: "\n")
        #expect(lines.contains { $0 == "matriarch_synchronous_zones_shared\(labels) 1" })
        #expect(lines.contains { $0 == "matriarch_slots_beyond_warning\(labels) 1" })
        #expect(lines.contains { $0 == "matriarch_slot_held_back_bytes\(labels) 1240" })
    }

    @Test func everySeriesOfAReplicaInThePeersOrder() {
        #expect(
            values(Scene.snapshot()) == [
                "patroni_version 040105", "patroni_postgres_running 1",
                "patroni_postmaster_start_time 1801627506.708090", "patroni_primary 0", "patroni_xlog_location 0",
                "patroni_standby_leader 0", "patroni_replica 1", "patroni_sync_standby 0",
                "patroni_quorum_standby 0", "patroni_xlog_received_location 251658240",
                "patroni_xlog_replayed_location 251658000",
                "patroni_xlog_replayed_timestamp 1801645201.500000", "patroni_xlog_paused 0",
                "patroni_postgres_streaming 1", "patroni_postgres_in_archive_recovery 0",
                "patroni_postgres_server_version 170002", "patroni_cluster_unlocked 0",
                "patroni_failsafe_mode_is_active 0", "patroni_failsafe_mode_enabled 0", "patroni_failsafe_member 0",
                "patroni_postgres_timeline 4", "patroni_dcs_last_seen 1801645201", "patroni_pending_restart 0",
                "patroni_is_paused 0", "patroni_postgres_state 5", "patroni_failover_priority 1",
            ])
    }

    @Test func aPrimaryHasItsOwnPositionAlone() {
        let found = values(Scene.leading())
        #expect(found.contains("patroni_primary 1") && found.contains("patroni_replica 0"))
        #expect(found.contains("patroni_xlog_location 251658240"))
        #expect(found.contains("patroni_xlog_received_location 0"))
        #expect(found.contains("patroni_xlog_replayed_timestamp 0"))
    }

    @Test func aServerThatDoesNotAnswerLeavesOutWhatItAloneKnows() {
        let unknown = values(Scene.snapshot(Scene.silent(.running), view: nil, role: .primary))
        #expect(!unknown.contains { $0.hasPrefix("patroni_postgres_streaming") })
        #expect(!unknown.contains { $0.hasPrefix("patroni_postgres_in_archive_recovery") })
        for line in [
            "patroni_postgres_running 0", "patroni_postmaster_start_time 0", "patroni_primary 1",
            "patroni_postgres_server_version 0", "patroni_postgres_timeline 0", "patroni_postgres_state -1",
            "patroni_cluster_unlocked 1",
        ] {
            #expect(unknown.contains(line), "\(line)")
        }
        #expect(values(Scene.snapshot(Scene.silent(.crashed))).contains("patroni_postgres_state 14"))
    }

    @Test func togglesAndTags() {
        var snapshot = Scene.snapshot(
            view: Scene.view(
                leader: "pg-a", sync: SyncState(leader: "pg-a", voters: ["pg-b"]), failsafe: ["pg-b": "x"]),
            settings: ["pause": true, "failsafe_mode": true, "synchronous_mode": "quorum"], tags: ["nofailover": true])
        snapshot.local.pendingRestart = [.init(parameter: "a", oldValue: "1", newValue: "2")]
        let found = values(snapshot)
        for line in [
            "patroni_quorum_standby 1", "patroni_sync_standby 0", "patroni_failsafe_mode_enabled 1",
            "patroni_failsafe_member 1", "patroni_pending_restart 1", "patroni_is_paused 1",
            "patroni_failover_priority 0",
        ] {
            #expect(found.contains(line), "\(line)")
        }
    }

    @Test func theFormIsPrometheusOwn() async throws {
        var snapshot = Scene.snapshot()
        snapshot.scope = "a\"b\\c\nd"
        let answer = try await Bench(snapshot).ask("GET", "/metrics")
        #expect(answer.status == 200 && answer.headers["Content-Type"] == "text/plain")
        let lines = answer.text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.last == "" && lines.filter(\.isEmpty).count == 1)
        #expect(answer.text.contains(#"patroni_primary{scope="a\"b\\c\nd",name="pg-b"} 0"#))
        let index = try #require(lines.firstIndex { $0.hasPrefix("# HELP patroni_postgres_state ") })
        #expect(
            lines[index + 1] == """
                # Values: 0=initdb, 1=initdb_failed, 2=custom_bootstrap, 3=custom_bootstrap_failed, \
                4=creating_replica, 5=running, 6=starting, 7=bootstrap_starting, 8=start_failed, 9=restarting, \
                10=restart_failed, 11=stopping, 12=stopped, 13=stop_failed, 14=crashed
                """)
        #expect(lines[index + 2] == "# TYPE patroni_postgres_state gauge")
    }
}
