import ClusterModel
import Testing

@testable import Configuration

/// The table of keys against the facts of Patroni, against itself, and against those that have the same fact.
@Suite struct SettingTableTests {
    @Test func everyLineIsARow() {
        let text = [
            SettingTable.node, SettingTable.postgreSQL, SettingTable.postgreSQLSeries, SettingTable.dynamic,
            SettingTable.stores,
        ].joined(separator: "\n")
        for line in text.split(separator: "\n") where SettingKey(row: line) == nil { Issue.record("no row: \(line)") }
        #expect(SettingTable.keys.count == text.split(separator: "\n").count)
        #expect(SettingTable.byPath.count == SettingTable.keys.count, "a path stands once")
    }

    @Test func theTableIsThePeersListAndOurs() {
        let facts = SpecifiedKeys.facts
        #expect(facts.count > 270)
        let specified = Set(facts.map(\.path))
        let known = Set(SettingTable.keys.map(\.path))
        #expect(specified.subtracting(known).sorted() == [], "keys that the table lacks")
        #expect(known.subtracting(specified).subtracting(SpecifiedKeys.others).sorted() == [], "keys from nowhere")
        for fact in facts {
            guard let key = SettingTable.byPath[fact.path] else { continue }
            let source = [SettingKey.Level.local: "L", .dynamic: "D", .both: "B"][key.level]
            #expect(source == fact.source, "\(fact.path): level")
            let reload = [SettingKey.Application.now: "Y", .server: "P", .daemon: "R", .create: "N"][key.application]
            #expect(
                reload == fact.reload || SpecifiedKeys.differences[fact.path] != nil, "\(fact.path): \(reload ?? "")")
            if fact.standard != "-" {
                let standard = try? YAML.parse(fact.standard).value
                #expect(key.standard == standard, "\(fact.path): default")
            }
        }
    }

    /// A default that its own key would not take is none; a sentence ends as one.
    @Test func everyRowIsSound() {
        for key in SettingTable.keys {
            if let standard = key.standard { #expect(key.kind.takes(standard), "\(key.path): \(standard)") }
            #expect(key.sentence.hasSuffix("."), "\(key.path)")
            let parent = SettingPath(Array(SettingPath(dotted: key.path).elements.dropLast())).description
            if !parent.isEmpty, !parent.hasSuffix(">") {
                #expect(SettingTable.byPath[parent]?.kind == .section, "\(key.path) is in no section")
            }
        }
    }

    /// What the rules go by where nobody says anything is what the table tells.
    @Test func theDefaultsAreThoseOfTheRules() {
        let settings = DynamicConfiguration()
        func standard(_ path: String) -> JSONValue? { SettingTable.byPath[path]?.standard }
        func seconds(_ duration: Duration) -> JSONValue { .int(duration.components.seconds) }
        #expect(standard("ttl") == seconds(settings.timings.ttl))
        #expect(standard("loop_wait") == seconds(settings.timings.loopWait))
        #expect(standard("retry_timeout") == seconds(settings.timings.retryTimeout))
        #expect(standard("maximum_lag_on_failover") == .int(settings.maximumLagOnFailover))
        #expect(standard("maximum_lag_on_syncnode") == -1 && settings.maximumLagOnSyncnode == nil)
        #expect(standard("max_timelines_history") == .int(Int64(settings.maxTimelinesHistory)))
        #expect(standard("primary_start_timeout") == seconds(settings.primaryStartTimeout))
        #expect(standard("member_slots_ttl") == seconds(settings.memberSlotsTTL))
        #expect(standard("synchronous_node_count") == .int(Int64(settings.synchronousNodeCount)))
        #expect(standard("postgresql.use_slots") == .bool(settings.useSlots))
        #expect(standard("synchronous_mode") == false && settings.synchronousMode == .off)
        for (path, isOn) in [
            ("pause", settings.isPaused), ("check_timeline", settings.checkTimeline),
            ("failsafe_mode", settings.failsafeMode), ("synchronous_mode_strict", settings.isStrictlySynchronous),
        ] { #expect(standard(path) == .bool(isOn), "\(path)") }
    }

    @Test(arguments: [
        ("bootstrap: {dcs: {synchronus_mode: on}}", "bootstrap.dcs.synchronus_mode: unknown key; did you mean"),
        ("bootstrap: {dcs: {synchronous_zones: distinct, slot_wal_warning: 1GB}}", ""),
        (
            "bootstrap: {dcs: {postgresql: {listen: 'a:1'}}}",
            "bootstrap.dcs.postgresql.listen: has no effect here: each node reads it from its own configuration"
        ),
        ("bootstrap: {dcs: {restapi: {}}}", "bootstrap.dcs.restapi: has no effect here"),
        ("failsafe_mode: on", "failsafe_mode: has no effect here: it is read from the DCS"),
        ("postgresql: {create_replica_methods: 'a, b', a: {}, b: {}}", ""),
    ])
    func remark(changes: String, expected: String) throws {
        let warnings = try Example.effective(changes).warnings
        #expect(
            expected.isEmpty ? warnings == [] : warnings.count == 1 && warnings[0].contains(expected), "\(warnings)")
    }
}
