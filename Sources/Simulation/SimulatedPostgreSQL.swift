import ClusterModel

/// One PostgreSQL as a log of records: timelines, crash, promotion, rewind, streaming. Positions are record counts.
struct SimulatedPostgreSQL {
    /// A record of the WAL: which commit, written on which timeline.
    struct Record: Hashable {
        var commit: Int
        var timeline: TimelineID
    }

    enum Process: Hashable {
        case down
        case starting
        case running
        /// A fast stop: sessions are ended, WAL is still sent.
        case stopping
    }

    var isInitialized = false
    var process = Process.down
    var isStandby = false
    var timeline: TimelineID = 0
    /// Where each earlier timeline was left.
    var history: [DivergenceFacts.SwitchPoint] = []
    var log: [Record] = []
    var upstream: String?
    var control = ControlData.ClusterState.shutDown
    var slots: Set<String> = []
    var parameters = JSONObject()
    var pid: Int32 = 0
    /// Grows with every start and stop, so that what was begun before does nothing after.
    var era = 0

    var position: WALPosition { WALPosition(UInt64(log.count)) }
    /// Accepts commits now.
    var acceptsWrites: Bool { process == .running && !isStandby }

    mutating func initialize() {
        isInitialized = true
        timeline = 1
        history = []
        log = [Record(commit: 0, timeline: 1)]
        isStandby = false
    }

    mutating func copy(_ source: SimulatedPostgreSQL) {
        isInitialized = true
        timeline = source.timeline
        history = source.history
        log = source.log
        isStandby = true
        control = .shutDownInRecovery
        slots = []
    }

    mutating func crash() {
        era += 1
        process = .down
        control = isStandby ? .inArchiveRecovery : .inProduction
    }

    mutating func endTimeline() {
        history.append(.init(timeline: timeline, position: position))
        timeline += 1
        isStandby = false
    }

    mutating func commit(_ number: Int) { log.append(Record(commit: number, timeline: timeline)) }

    /// How many leading records two logs share.
    func sharedRecords(_ other: SimulatedPostgreSQL) -> Int {
        var low = 0
        var high = min(log.count, other.log.count)
        // Logs that differ at one place differ at all later ones: each record carries its own commit and timeline.
        while low < high {
            let middle = (low + high + 1) / 2
            if log[middle - 1] == other.log[middle - 1] { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// Whether this standby can stream from `source`: all that it has is a part of the source's history.
    func canStream(from source: SimulatedPostgreSQL) -> Bool {
        log.count <= source.log.count && sharedRecords(source) == log.count
    }

    /// Takes at most `count` records from `source`, and its timeline once the whole of the own one is there.
    mutating func receive(from source: SimulatedPostgreSQL, _ count: Int) {
        let end = min(source.log.count, log.count + count)
        if log.count < end { log += source.log[log.count..<end] }
        if timeline < source.timeline, log.count == source.log.count || (log.last?.timeline ?? 0) > timeline {
            timeline = log.count == source.log.count ? source.timeline : log.last?.timeline ?? timeline
            history = source.history.filter { $0.timeline < timeline }
        }
    }

    /// pg_rewind: back to where the timelines part, then the source's WAL.
    mutating func rewind(to source: SimulatedPostgreSQL) {
        copy(source)
    }

    /// A shut down primary tells where its last record, the checkpoint, begins and ends.
    func divergence(from source: SimulatedPostgreSQL) -> DivergenceFacts {
        let inRecovery = isStandby || process != .down
        return DivergenceFacts(
            localTimeline: timeline, localPosition: inRecovery ? position : WALPosition(UInt64(max(0, log.count - 1))),
            localInRecovery: inRecovery, checkpointEnd: inRecovery ? nil : position, sourceTimeline: source.timeline,
            sourceInRecovery: source.isStandby, sourceHistory: source.history)
    }

    func status(_ node: String, now: BootInstant, isStreaming: Bool) -> PostgreSQLStatus {
        guard isInitialized else {
            return PostgreSQLStatus(dataDirectory: .empty, state: .stopped, observedAt: now)
        }
        let readiness: PostgreSQLStatus.Readiness =
            switch process {
            case .down: .down
            case .starting, .stopping: .rejecting
            case .running: .accepting
            }
        let state: PostgreSQLState =
            switch process {
            case .down: control == .inProduction ? .crashed : .stopped
            case .starting: .starting
            case .stopping: .stopping
            case .running: .running
            }
        return PostgreSQLStatus(
            dataDirectory: .initialized, state: state, postmaster: process == .down ? nil : pid, readiness: readiness,
            facts: process == .running ? facts(isStreaming) : nil,
            control: process == .down
                ? ControlData(
                    state: control, systemIdentifier: SimulatedPostgreSQL.systemIdentifier, checkpoint: position,
                    checkpointTimeline: timeline) : nil,
            systemIdentifier: SimulatedPostgreSQL.systemIdentifier, hasStandbySignal: isStandby, canRewind: true,
            observedAt: now)
    }

    static let systemIdentifier = "7400000000000000001"

    private func facts(_ isStreaming: Bool) -> PostgreSQLStatus.Facts {
        PostgreSQLStatus.Facts(
            inRecovery: isStandby, timeline: timeline, writePosition: isStandby ? .zero : position,
            receivedPosition: isStandby ? position : .zero, replayedPosition: isStandby ? position : .zero,
            receiver: isStandby && upstream != nil ? .init(isStreaming: isStreaming) : nil,
            slots: slots.sorted().map { .init(name: $0, isLogical: false, isActive: false, restartPosition: position) })
    }
}
