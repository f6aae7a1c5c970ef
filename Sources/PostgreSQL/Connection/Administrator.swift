import ClusterModel
import Logging
import Ports
import Posix

/// Asks and changes what lives inside the server and at its upstream, on a thread of its own.
actor Administrator {
    let instance: Instance
    private let executor: ThreadExecutor
    private(set) var connection: PostgreSQLConnection?

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ instance: Instance, thread name: String) throws(SystemError) {
        self.instance = instance
        executor = try ThreadExecutor(name: name)
    }

    func checkpoint(timeout: Duration) throws(PostgreSQLError) {
        let deadline = BootClock.now() + timeout
        try instance.connect(statementTimeout: timeout, deadline: deadline).query("CHECKPOINT", deadline: deadline)
    }

    /// Whether a running standby has the settings of `upstream`. What cannot be asked counts as unchanged: the question
    /// comes again in the next cycle.
    func isFollowing(_ upstream: Upstream?) -> Bool {
        let configuration = instance.configuration
        guard instance.dataDirectory.hasStandbySignal else { return false }
        let version = instance.dataDirectory.version
        let wanted = RecoveryParameters.forStandby(of: upstream, configuration, serverVersion: version)
        let deadline = BootClock.now() + .seconds(2)
        guard let rows = try? query(RecoveryDrift.statement, [RecoveryDrift.names], deadline) else { return true }
        let actual = ParameterMap(rows.compactMap { row in row[0].map { ($0, row[1] ?? "") } })
        if let upstream, upstream.hasAddress, !hasPasswords(for: upstream, configuration) { return false }
        return FollowRule.isFollowing(wanted: wanted, actual: actual)
    }

    private func hasPasswords(for upstream: Upstream, _ configuration: LocalPostgreSQLConfiguration) -> Bool {
        let writer = ConfigurationWriter(configuration: configuration)
        guard let wanted = writer.passwords(configuration.replication, to: upstream.address) else { return true }
        return (try? Files.readText(configuration.passwordFile)) == wanted
    }

    /// The history file of `timeline`, and when it was written.
    func timelineHistory(_ timeline: TimelineID) -> (lines: [TimelineHistory.Line], writtenAt: String)? {
        let path = instance.configuration.dataDirectory + "/pg_wal/" + TimelineHistoryFile.name(timeline)
        guard let text = try? Files.readText(path), let time = Files.modificationTime(path) else { return nil }
        return (TimelineHistoryFile.parse(text), ISO8601.text(nanosecondsSinceEpoch: time))
    }

    /// One statement on the connection that is kept; a lost one is opened again once.
    @discardableResult
    func query(_ statement: String, _ parameters: [String?], _ deadline: BootInstant) throws(PostgreSQLError)
        -> [[String?]]
    {
        if let connection, connection.isUsable {
            do throws(PostgreSQLError) {
                return try connection.query(statement, parameters, deadline: deadline)
            } catch {
                if connection.isUsable || error.isTimeout { throw error }
            }
        }
        let fresh = try instance.connect(deadline: deadline)
        connection = fresh
        return try fresh.query(statement, parameters, deadline: deadline)
    }
}

// MARK: - Comparing with a source

extension Administrator {
    /// What decides whether we have parted from `source` (postgresql.md §21.4).
    func compareTimelines(with source: Upstream, deadline: BootInstant) async throws(PostgreSQLError)
        -> DivergenceFacts
    {
        var (facts, received) = try await localFacts(deadline)
        let target = instance.rewindTarget(source.address, timeout: .seconds(2))
        let replication = instance.replicationTarget(source.address).ofPrimary(source.address)
        let connection = try PostgreSQLConnection.connect(to: target, deadline: deadline)
        let recovery = try connection.query("SELECT pg_is_in_recovery()", deadline: deadline)
        facts.sourceInRecovery = recovery.first?.first != "f"
        let session = try ReplicationSession(replication, deadline: deadline)
        let identity = try session.identify(deadline: deadline)
        if source.remote != nil, let own = instance.remember({ $0.systemIdentifier }),
            own != identity.systemIdentifier
        {
            throw .failed("\(source.name) is of another cluster (\(identity.systemIdentifier), here \(own))")
        }
        facts.sourceTimeline = identity.timeline
        facts.sourcePosition = identity.position
        if facts.sourceTimeline > 1 {
            facts.sourceHistory = try session.history(of: facts.sourceTimeline, deadline: deadline).map {
                .init(timeline: $0.timeline, position: $0.position)
            }
        }
        if facts.localInRecovery, instance.postmaster() != nil {
            // What cannot be asked is not lacking.
            facts.lacking = try? lacking(facts, after: received, connection, end: identity.position, deadline)
        }
        if facts.localInRecovery, facts.localTimeline <= facts.sourceTimeline, !facts.sourceInRecovery {
            facts.contentDiffers = (try? await contentDiffers(facts, connection, deadline)) ?? false
            if !facts.contentDiffers, facts.localTimeline == facts.sourceTimeline {
                facts.unreplayed = try? await unreplayed(facts, deadline)
            }
        }
        return facts
    }

    /// What a running standby needs next, and `source` does not have: nobody else tells but its log.
    private func lacking(
        _ facts: DivergenceFacts, after received: WALPosition, _ source: PostgreSQLConnection, end: WALPosition,
        _ deadline: BootInstant
    ) throws(PostgreSQLError) -> DivergenceFacts.Lacking? {
        let settings = try source.query(
            "SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'", deadline: deadline)
        let size = settings.first?.first.flatMap { $0 }.flatMap { UInt64($0) } ?? 0
        let names = try source.query("SELECT pg_ls_dir('pg_wal', true, false)", deadline: deadline)
            .compactMap { $0.first.flatMap { $0 } }
        // What recovery knows of timelines it takes from its own files first.
        let own = (try? Files.list(instance.configuration.dataDirectory + "/pg_wal")) ?? []
        return SourceWAL(names: Set(names), end: end, segmentSize: size).lacking(
            after: received, from: facts.localTimeline, to: facts.sourceTimeline, own: Set(own))
    }

    /// By what a standby has replayed: it may have received the beginning of a record that the source, when it was
    /// promoted, had not got whole either. That is behind the point where the source left the timeline, and no part of
    /// any history.
    private func runningFacts(
        _ deadline: BootInstant
    ) throws(PostgreSQLError) -> (DivergenceFacts, received: WALPosition) {
        // Asked before the timeline: replay may go on to the next one meanwhile.
        let rows = try query("SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()", [], deadline)
        let session = try ReplicationSession(local: instance, deadline: deadline)
        let identity = try session.identify(deadline: deadline)
        let isStandby = rows.first?.first == "t"
        let replayed = rows.first?.last.flatMap { $0 }.flatMap { WALPosition($0) }
        var facts = DivergenceFacts(
            localTimeline: identity.timeline,
            localPosition: isStandby ? replayed ?? identity.position : identity.position,
            localInRecovery: isStandby, sourceTimeline: 0, sourceInRecovery: false, sourceHistory: [])
        facts.localEnd = identity.position
        return (facts, identity.position)
    }

    private func localFacts(
        _ deadline: BootInstant
    ) async throws(PostgreSQLError) -> (DivergenceFacts, received: WALPosition) {
        if instance.postmaster() != nil {
            do throws(PostgreSQLError) {
                return try runningFacts(deadline)
            } catch {
                // A standby that does not let anybody in yet: its control file says how far it has come.
                instance.log.debug("comparing timelines by the control file: \(error)")
            }
        }
        guard let control = await instance.control(deadline: deadline)?.controlData else {
            guard instance.isHalfRewound else { throw .failed("the control file cannot be read") }
            // Of what pg_rewind has left nothing is to be known, and its source is asked all the same: whether a copy
            // of it may take this one's place.
            let nothing = DivergenceFacts(
                localTimeline: 0, localPosition: .zero, localInRecovery: false, sourceTimeline: 0,
                sourceInRecovery: false, sourceHistory: [])
            return (nothing, .zero)
        }
        guard var facts = DivergenceRule.facts(of: control) else {
            throw .failed("the control file says \"\(control.state.rawValue)\", not where the WAL ends")
        }
        if !facts.localInRecovery, !facts.isAtLeast {
            let dump = await instance.dumpWAL(
                timeline: facts.localTimeline, from: facts.localPosition, count: 2, deadline: deadline)
            facts.checkpointEnd = dump?.end(ofLastRecordAt: facts.localPosition)
        }
        return (facts, facts.localPosition)
    }
}

/// What the control file of a server that is down says about its end (postgresql.md §21.4). Pure.
enum DivergenceRule {
    static func facts(of control: ControlData) -> DivergenceFacts? {
        let isRecovery = control.state == .shutDownInRecovery || control.state == .inArchiveRecovery
        if isRecovery, control.minimumRecoveryEnd != .zero, control.minimumRecoveryTimeline != 0 {
            var facts = DivergenceFacts(
                localTimeline: control.minimumRecoveryTimeline, localPosition: control.minimumRecoveryEnd,
                localInRecovery: true, sourceTimeline: 0, sourceInRecovery: false, sourceHistory: [])
            facts.localEnd = control.minimumRecoveryEnd
            return facts
        }
        guard control.checkpointTimeline != 0, control.checkpoint != .zero else { return nil }
        var facts = DivergenceFacts(
            localTimeline: control.checkpointTimeline, localPosition: control.checkpoint, localInRecovery: false,
            sourceTimeline: 0, sourceInRecovery: false, sourceHistory: [])
        facts.isAtLeast = !isRecovery && control.state != .shutDown
        return facts
    }
}

/// Whether a standby's settings are those that are wanted (postgresql.md §15). Pure.
enum FollowRule {
    static func isFollowing(wanted: ParameterMap, actual: ParameterMap) -> Bool {
        differing(wanted: wanted, actual: actual).isEmpty
    }

    /// The names of those that are not.
    static func differing(wanted: ParameterMap, actual: ParameterMap) -> [String] {
        var names: [String] = []
        let wants = ConnectionString.parse(wanted["primary_conninfo"] ?? "")
        if let wants, let has = ConnectionString.parse(actual["primary_conninfo"] ?? ""), wants.isEmpty == has.isEmpty,
            RecoveryParameters.connectsTo(wanted: wants, actual: has)
        {
            if !wants.isEmpty, wanted["primary_slot_name"] ?? "" != actual["primary_slot_name"] ?? "" {
                names.append("primary_slot_name")
            }
        } else {
            names.append("primary_conninfo")
        }
        let compared = ["restore_command", "archive_cleanup_command", "recovery_end_command"]
        return names + compared.filter { wanted[$0] != nil && wanted[$0] != actual[$0] }
    }
}
