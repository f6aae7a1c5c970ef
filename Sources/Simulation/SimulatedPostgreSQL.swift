import ClusterModel

/// One PostgreSQL: its process, its log, whom it follows. Time and neighbours are the world's.
///
/// The log is what is flushed: no rule looks at WAL that is written only (postgresql.md, status query), no commit is
/// acknowledged before it is flushed, and a crash loses the rest.
struct SimulatedPostgreSQL {
    enum Process: Hashable {
        case down
        case starting
        case running
        /// A fast stop: sessions are ended, WAL is still sent.
        case stopping
    }

    /// Bytes of WAL that a record counts for.
    static let recordBytes = 1000
    static let systemIdentifier = "7400000000000000001"

    var isInitialized = false
    var process = Process.down
    /// `standby.signal` stands in the data directory.
    var isStandby = false
    /// `pg_promote` was called and has not finished.
    var isPromoting = false
    var log = WriteAheadLog()
    /// The node that `primary_conninfo` names.
    var upstream: Int?
    var control = ControlData.ClusterState.shutDown
    /// Physical slots, by the record that their reader needs next.
    var slots: [String: Int] = [:]
    /// The standby that `synchronous_standby_names` names: no commit is acknowledged before it has it.
    var synchronousStandby: Int?
    var pid: Int32 = 0
    /// Grows with every end of the process, so that what was begun before does nothing after.
    var era = 0
    /// Until when commits have been made.
    var wroteUntil = BootInstant(nanoseconds: 0)
    /// When a standby's log last grew.
    var grewAt = BootInstant(nanoseconds: 0)
    /// Since when it has accepted connections.
    var cameUpAt = BootInstant(nanoseconds: 0)

    var position: WALPosition { Self.position(log.count) }
    /// Lets sessions commit.
    var acceptsWrites: Bool { process == .running && !isStandby }

    static func position(_ records: Int) -> WALPosition { WALPosition(UInt64(records * recordBytes)) }
    static func records(_ position: WALPosition) -> Int { Int(clamping: position - .zero) / recordBytes }

    mutating func initialize(branch: Int) {
        isInitialized = true
        log = WriteAheadLog()
        log.begin(branch: branch, timeline: 1)
        log.append(10)
        isStandby = false
    }

    /// A base backup or pg_rewind: the source's log, a standby's control file.
    mutating func copy(_ source: SimulatedPostgreSQL) {
        isInitialized = true
        log = source.log
        isStandby = true
        control = .shutDownInRecovery
        slots = [:]
        synchronousStandby = nil
    }

    mutating func crash() {
        era += 1
        process = .down
        isPromoting = false
        control = isStandby ? .inArchiveRecovery : .inProduction
    }

    /// The last record of a primary that is shut down is its checkpoint.
    mutating func endCleanly() {
        era += 1
        process = .down
        isPromoting = false
        control = isStandby ? .shutDownInRecovery : .shutDown
    }

    mutating func promote(branch: Int, _ now: BootInstant) {
        log.begin(branch: branch, timeline: log.timeline + 1)
        // The record that ends recovery.
        log.append(1)
        isStandby = false
        isPromoting = false
        upstream = nil
        synchronousStandby = nil
        wroteUntil = now
    }

    /// A shut down primary tells where its last record, the checkpoint, begins and ends.
    func divergence(from source: SimulatedPostgreSQL) -> DivergenceFacts {
        let inRecovery = isStandby || process != .down
        let history = source.log.switchPoints.map {
            DivergenceFacts.SwitchPoint(timeline: $0.timeline, position: Self.position($0.end))
        }
        return DivergenceFacts(
            localTimeline: log.timeline, localPosition: inRecovery ? position : Self.position(max(0, log.count - 1)),
            localInRecovery: inRecovery, checkpointEnd: inRecovery ? nil : position,
            sourceTimeline: source.log.timeline, sourceInRecovery: source.isStandby, sourceHistory: history)
    }

    /// `answers` is false for a server that hangs: its process is there, and no SQL comes back.
    func status(now: BootInstant, _ streams: Streams, answers: Bool) -> PostgreSQLStatus {
        guard isInitialized else {
            return PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: now)
        }
        var status = PostgreSQLStatus(
            dataDirectory: .initialized, state: state, systemIdentifier: Self.systemIdentifier,
            hasStandbySignal: isStandby, canRewind: true, observedAt: now)
        status.mayRemove = .init(onRewindFailure: true, onDivergedTimelines: true)
        switch process {
        case .down:
            status.control = ControlData(
                state: control, systemIdentifier: Self.systemIdentifier, checkpoint: position,
                checkpointTimeline: log.timeline)
        case .starting, .stopping:
            status.postmaster = pid
            status.readiness = .rejecting
        case .running:
            status.postmaster = pid
            status.readiness = answers ? .accepting : .rejecting
            if answers { status.facts = facts(streams) }
        }
        return status
    }

    private var state: PostgreSQLState {
        switch process {
        case .down: control == .inProduction ? .crashed : .stopped
        case .starting: .starting
        case .stopping: .stopping
        case .running: .running
        }
    }

    /// What flows to and from a server at present.
    struct Streams {
        var isStreaming: Bool
        /// The slots that somebody reads.
        var active: Set<String>
        /// Records received and not replayed.
        var unreplayed: Int
    }

    private func facts(_ streams: Streams) -> PostgreSQLStatus.Facts {
        PostgreSQLStatus.Facts(
            inRecovery: isStandby, timeline: log.timeline, writePosition: isStandby ? .zero : position,
            receivedPosition: isStandby ? position : .zero,
            replayedPosition: isStandby ? Self.position(max(0, log.count - streams.unreplayed)) : .zero,
            receiver: isStandby && upstream != nil ? .init(isStreaming: streams.isStreaming) : nil,
            slots: slots.keys.sorted().map {
                .init(
                    name: $0, isLogical: false, isActive: streams.active.contains($0),
                    restartPosition: Self.position(slots[$0] ?? 0))
            })
    }
}
