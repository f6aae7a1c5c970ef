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
    /// A copy into the directory was begun and has not come to its end: its mark says so.
    var isHalfMade = false
    /// What else was begun in the directory and has not come to its end, by its mark: a rewind, or a bootstrap.
    var unfinished: PostgreSQLStatus.UnfinishedWork?
    /// It was restored from a backup, and its mark says so.
    var isUnproven = false
    /// Each bootstrap makes another one.
    var systemIdentifier = Self.systemIdentifier
    /// Until when its control file shows the timeline before its promotion.
    var owesCheckpointUntil: BootInstant?
    /// Of a server whose directory has gone: sessions that are there still answer.
    var sessionsGoOn = false
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
    /// `synchronous_standby_names`: as it stands in the file, as sessions see it, and as senders and whoever commits go
    /// by it.
    var written = SynchronousNames.nobody
    var inForce = SynchronousNames.nobody
    var acting = SynchronousNames.nobody
    var checkpointerListens = true
    /// Where it does nothing.
    var checkpointer: Pulse.Checkpointer?
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
        isHalfMade = false
        isUnproven = false
        if branch > 1 { systemIdentifier = "\(Self.systemIdentifier.dropLast(2))\(branch + 10)" }
        log = WriteAheadLog()
        log.begin(branch: branch, timeline: 1)
        log.append(10)
        isStandby = false
    }

    /// A base backup or pg_rewind: the source's log, a standby's control file.
    mutating func copy(_ source: SimulatedPostgreSQL) {
        isInitialized = true
        isHalfMade = false
        unfinished = nil
        isUnproven = false
        systemIdentifier = source.systemIdentifier
        log = source.log
        isStandby = true
        control = .shutDownInRecovery
        slots = [:]
        written = .nobody
    }

    /// What a start does, and a reload in the end.
    mutating func readNames() {
        inForce = written
        acting = written
        checkpointerListens = true
    }

    mutating func crash() {
        forgetLostDirectory()
        checkpointer = nil
        owesCheckpointUntil = nil
        era += 1
        process = .down
        isPromoting = false
        control = isStandby ? .inArchiveRecovery : .inProduction
    }

    /// The directory as it looks to whom its mark says nothing.
    var withoutMark: SimulatedPostgreSQL {
        var server = self
        server.unfinished = nil
        guard isHalfMade, process == .down else { return server }
        server.isHalfMade = false
        server.isInitialized = true
        server.isStandby = true
        server.control = .shutDownInRecovery
        return server
    }

    /// The last record of a primary that is shut down is its checkpoint.
    mutating func endCleanly() {
        forgetLostDirectory()
        checkpointer = nil
        owesCheckpointUntil = nil
        era += 1
        process = .down
        isPromoting = false
        control = isStandby ? .shutDownInRecovery : .shutDown
    }

    /// With its last process the last of a removed directory goes.
    private mutating func forgetLostDirectory() {
        guard !isInitialized else { return }
        log = WriteAheadLog()
        isStandby = false
        upstream = nil
        slots = [:]
        written = .nobody
    }

    mutating func promote(branch: Int, _ now: BootInstant) {
        log.begin(branch: branch, timeline: log.timeline + 1)
        // The record that ends recovery.
        log.append(1)
        isStandby = false
        isPromoting = false
        upstream = nil
        wroteUntil = now
    }

    /// A shut down primary tells where its last record, the checkpoint, begins and ends.
    func divergence(from source: SimulatedPostgreSQL) -> DivergenceFacts {
        let inRecovery = isStandby || process != .down
        let history = source.log.switchPoints.map {
            DivergenceFacts.SwitchPoint(timeline: $0.timeline, position: Self.position($0.end))
        }
        var facts = DivergenceFacts(
            localTimeline: log.timeline, localPosition: inRecovery ? position : Self.position(max(0, log.count - 1)),
            localInRecovery: inRecovery, checkpointEnd: inRecovery ? nil : position,
            sourceTimeline: source.log.timeline, sourceInRecovery: source.isStandby, sourceHistory: history)
        facts.sourcePosition = source.position
        facts.localEnd = facts.localPosition
        let theirs = source.log.end(ofTimeline: log.timeline) ?? 0
        facts.contentDiffers = inRecovery && log.count <= theirs && !log.isBeginning(of: source.log)
        return facts
    }

    /// `answers` is false for a server that hangs: its process is there, and no SQL comes back.
    func status(now: BootInstant, _ streams: Streams, answers: Bool) -> PostgreSQLStatus {
        guard isInitialized else {
            var status = PostgreSQLStatus(
                dataDirectory: .empty, unfinished: isHalfMade ? .copy : unfinished,
                state: process == .down ? .stopped : .running, observedAt: now)
            if process != .down {
                status.postmaster = pid
                status.readiness = .rejecting
                if process == .running, sessionsGoOn, answers { status.facts = facts(streams) }
            }
            return status
        }
        var status = PostgreSQLStatus(
            dataDirectory: .initialized, unfinished: unfinished, state: state, systemIdentifier: systemIdentifier,
            hasStandbySignal: isStandby, canRewind: true, observedAt: now)
        status.mayRemove = .init(onRewindFailure: true, onDivergedTimelines: true)
        status.isUnproven = isUnproven
        switch process {
        case .down:
            status.control = ControlData(
                state: control, systemIdentifier: systemIdentifier, checkpoint: position,
                checkpointTimeline: log.timeline)
            status.walEnd = position
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
        /// Of a standby: from whom, and how far that one has told to be.
        var receiver: PostgreSQLStatus.WALReceiver
        /// The slots that somebody reads.
        var active: Set<String>
        /// Records received and not replayed.
        var unreplayed: Int
        /// Who receives from here, and how many records it has.
        var receivers: [(name: String, records: Int)]
    }

    private func facts(_ streams: Streams) -> PostgreSQLStatus.Facts {
        var facts = PostgreSQLStatus.Facts(
            inRecovery: isStandby, timeline: log.timeline, writePosition: isStandby ? .zero : position,
            receivedPosition: isStandby ? position : .zero,
            replayedPosition: isStandby ? Self.position(max(0, log.count - streams.unreplayed)) : .zero,
            receiver: isStandby && upstream != nil ? streams.receiver : nil,
            slots: slots.keys.sorted().map {
                .init(
                    name: $0, isLogical: false, isActive: streams.active.contains($0),
                    restartPosition: Self.position(slots[$0] ?? 0))
            }, walSenders: streams.receivers.map(sender))
        facts.postmasterStartTime = "start \(pid)"
        if !isStandby {
            facts.synchronous = PostgreSQLStatus.Synchronous(
                inForce: inForce.text, written: written.text, checkpointerListens: checkpointerListens)
        }
        return facts
    }

    private func sender(_ receiver: (name: String, records: Int)) -> PostgreSQLStatus.WALSender {
        let isNamed = inForce.names.contains(receiver.name)
        var sender = PostgreSQLStatus.WALSender(
            userName: "replicator", applicationName: receiver.name, clientAddress: nil, state: "streaming",
            syncState: isNamed ? inForce.method == .quorum ? "quorum" : "sync" : "async",
            syncPriority: acting.names.contains(receiver.name) ? 1 : 0)
        sender.written = Self.position(receiver.records)
        sender.flushed = sender.written
        sender.replayed = sender.written
        return sender
    }
}
