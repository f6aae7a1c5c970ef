import ClusterModel
import Ports
import Posix

/// What the control file tells.
extension Instance {
    /// Environment of every program whose output is read.
    static let plainLocale: [String: String?] = ["LANG": "C", "LC_ALL": "C"]

    /// pg_controldata, read again only where the control file has changed; nil without a readable one.
    ///
    /// The files are looked at on the caller's thread, which may hang with the disk.
    func control(deadline: BootInstant, isolation: isolated (any Actor)? = #isolation) async -> ControlDataOutput? {
        do throws(ControlFailure) {
            let output = try await readControl(deadline)
            remember { $0.controlTrouble = nil }
            return output
        } catch {
            remember { $0.controlTrouble = error.trouble }
            return nil
        }
    }

    /// Whether a primary has written a checkpoint since its promotion. Once it has, it is not asked any more.
    func addCheckpoint(_ status: inout PostgreSQLStatus, _ deadline: BootInstant) async {
        guard let facts = status.facts, !facts.inRecovery, let timeline = facts.timeline, timeline > 1,
            let postmaster = status.postmaster, remember({ $0.settled.map { $0 == (postmaster, timeline) } }) != true,
            let written = await control(deadline: deadline)?.controlData?.checkpointTimeline
        else { return }
        if written == timeline { remember { $0.settled = (postmaster, timeline) } }
        // The timeline was asked for before: a file of a later one is no former one's.
        status.facts?.owesCheckpoint = written < timeline
    }

    /// A rewind was broken off, and its control file is none: it will not be read later either.
    var isHalfRewound: Bool {
        dataDirectory.hasRewindMark && postmaster() == nil && remember { $0.controlTrouble?.isOfContent ?? false }
    }

    private struct ControlFailure: Error {
        let trouble: PostgreSQLStatus.ControlTrouble

        init(_ trouble: PostgreSQLStatus.ControlTrouble) { self.trouble = trouble }
    }

    private func readControl(_ deadline: BootInstant, isolation: isolated (any Actor)? = #isolation)
        async
        throws(ControlFailure) -> ControlDataOutput
    {
        let directory = dataDirectory
        let stamp = try stampOfControl(directory)
        if let cached = remember({ $0.control }), cached.stamp == stamp { return cached.output }
        let invocation = ToolRunner.Invocation(
            program: program("pg_controldata"), arguments: [directory.path], environment: Self.plainLocale,
            deadline: deadline)
        let text: String
        do throws(PostgreSQLError) {
            text = try await tools.succeed(invocation)
        } catch {
            throw ControlFailure(isCut(directory) ?? .init(error))
        }
        let output = ControlDataOutput(text)
        guard output.isWhole else {
            throw ControlFailure(.damaged("\(directory.controlFile): its checksum is wrong"))
        }
        guard let data = output.controlData else {
            throw ControlFailure(.damaged("\(directory.controlFile): there is no cluster in it"))
        }
        // A file that was just written may be written again within the same tick of the file system's clock.
        let isSettled = stamp < WallClock.nanosecondsSinceEpoch() - 100_000_000
        remember { memory in
            memory.control = CachedControl(stamp: isSettled ? stamp : -1, output: output)
            memory.systemIdentifier = data.systemIdentifier
        }
        return output
    }

    /// A file that is too short for what a control file of any version holds.
    private func isCut(_ directory: DataDirectory) -> PostgreSQLStatus.ControlTrouble? {
        guard let size = Files.size(directory.controlFile), size < 256 else { return nil }
        return .damaged("\(directory.controlFile): it has \(size) bytes")
    }

    private func stampOfControl(_ directory: DataDirectory) throws(ControlFailure) -> Int64 {
        let kind: Files.Kind
        do throws(SystemError) {
            kind = try Files.look(directory.controlFile, followingLinks: true)
        } catch {
            throw ControlFailure(.unreadable("\(error)"))
        }
        guard kind != .missing, let stamp = Files.modificationTime(directory.controlFile) else {
            throw ControlFailure(.missing(directory.controlFile))
        }
        return stamp
    }

    /// Reads the WAL records from `position` on.
    func dumpWAL(timeline: TimelineID, from position: WALPosition, count: Int, deadline: BootInstant) async
        -> WALDumpOutput?
    {
        let directory = dataDirectory
        let invocation = ToolRunner.Invocation(
            program: program("pg_waldump"),
            arguments: [
                "-p", directory.path + "/pg_wal", "-t", String(timeline), "-s", position.description, "-n",
                String(count),
            ],
            environment: Self.plainLocale, deadline: deadline)
        // A bad status only says that the WAL ends there.
        guard let output = try? await tools.run(invocation) else { return nil }
        return WALDumpOutput(output.text)
    }

    /// Where a cleanly stopped server ended (postgresql.md §8); nil unless its state is `shut down`.
    func shutdownPositions(deadline: BootInstant) async -> ShutdownPositions? {
        guard let control = await control(deadline: deadline)?.controlData, control.state == .shutDown else {
            return nil
        }
        let (checkpoint, timeline) = (control.checkpoint, control.checkpointTimeline)
        let plain = ShutdownPositions(checkpoint: checkpoint, required: checkpoint, timeline: timeline)
        let records = await dumpWAL(timeline: timeline, from: checkpoint, count: 1, deadline: deadline)?.records
        guard let record = records?.first, record.isShutdownCheckpoint, record.previous != .zero else { return plain }
        let before = await dumpWAL(timeline: timeline, from: record.previous, count: 1, deadline: deadline)?.records
        guard let switched = before?.first, switched.isSwitch else { return plain }
        return ShutdownPositions(checkpoint: checkpoint, required: switched.position, timeline: timeline)
    }
}

extension PostgreSQLStatus.ControlTrouble {
    /// What kept pg_controldata from telling.
    init(_ error: PostgreSQLError) {
        switch error {
        // From 126 on it was the shell's word, or a signal's.
        case .tool(_, let status, let output) where status < 126:
            let line = output.split(separator: "\n").last.map { String($0) } ?? "pg_controldata gives up on it"
            self = .unreadable(line)
        case .tool, .query, .rewindRefused, .timedOut, .cancelled, .failed: self = .notAsked("\(error)")
        }
    }
}
