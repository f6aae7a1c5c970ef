import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// Carries out operations, one at a time, on a thread of its own: what blocks there (files, SQL) keeps nobody else
/// waiting.
actor Operator {
    let instance: Instance
    private let executor: ThreadExecutor
    var turns = Turns()
    /// A configuration came while an operation was under way; it is applied afterwards.
    var hasPostponedConfiguration = false
    /// Why a cluster that is to be replaced does not stay until its copy is complete: an earlier attempt has shown it.
    var refusesBoth: String?

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    var configuration: LocalPostgreSQLConfiguration { instance.configuration }
    var writer: ConfigurationWriter { writer(of: configuration) }
    var directory: DataDirectory { instance.dataDirectory }
    var log: Logger { instance.log }

    init(_ instance: Instance) throws(SystemError) {
        self.instance = instance
        executor = try ThreadExecutor(name: "pg-operator")
    }

    func perform(_ operation: PostgreSQLOperation) async throws(PostgreSQLError) -> OperationResult {
        try await takeTurn()
        // It was broken off while it waited: whoever broke it off has gone on, and it must not come after that.
        if Task.isCancelled {
            passTurn()
            throw .cancelled
        }
        instance.remember { $0.operation = operation.name }
        let halts = instance.remember { $0.halts }
        let outcome: Result<OperationResult, PostgreSQLError>
        do throws(PostgreSQLError) {
            outcome = .success(try await carryOut(operation, halts: halts))
        } catch {
            outcome = .failure(Task.isCancelled ? .cancelled : error)
        }
        instance.remember { $0.operation = nil }
        if hasPostponedConfiguration, turns.waiting.isEmpty { await applyPostponedConfiguration() }
        passTurn()
        return try outcome.get()
    }

    private func carryOut(_ operation: PostgreSQLOperation, halts: Int) async throws(PostgreSQLError) -> OperationResult
    {
        try instance.refuseTenant()
        try await lockDirectory(for: operation)
        instance.remember { $0.stamp = nil }
        switch operation {
        case .bootstrap: try await makeCluster(halts: halts)
        case .clone(let source, let replaced, let onlyByBaseBackup):
            try await clone(from: source, Replacement(replaced), onlyByBaseBackup: onlyByBaseBackup)
        case .restore: try await clone(from: nil, Replacement(.nothing))
        case .finishBootstrap: try finishBootstrap()
        case .startPrimary(let timeout, let stamp):
            try refuseUnfinished()
            instance.remember { $0.stamp = stamp }
            return try await start(.primary, timeout: timeout, halts: halts)
        case .startStandby(let upstream, let timeout):
            try refuseUnfinished()
            return try await start(.standby(of: .known(upstream)), timeout: timeout, halts: halts)
        case .follow(let upstream): return try await follow(upstream, halts: halts)
        case .archiveLastSegment: await archiveLastSegment()
        case .resumeReplay: try resumeReplay()
        case .nameSynchronous(let setting): return try await nameSynchronous(setting)
        case .prePromote: try await prePromote()
        case .promote: try await promote()
        case .stop(let mode, let timeout, let heirs): return try await stop(mode, timeout: timeout, heirs: heirs)
        case .stopToRestart(let timeout):
            try refuseUnfinished()
            try await stopToRestart(timeout: timeout, halts: halts)
        case .rewind(let source): try await rewind(from: source)
        case .copyLogicalSlots(let slots, let source, let timeout):
            try await copyLogicalSlots(slots, from: source, stopTimeout: timeout)
        case .recoverSingleUser:
            try refuseUnfinished()
            try await recoverSingleUser()
        case .setAsideDataDirectory: try await setAside()
        }
        return .done
    }

    /// S12: nothing is touched while a helper of an earlier daemon works there. What only ends a server, or lets it
    /// lead, waits for nobody.
    private func lockDirectory(for operation: PostgreSQLOperation) async throws(PostgreSQLError) {
        switch operation {
        case .stop, .prePromote, .promote, .follow, .resumeReplay, .nameSynchronous: return
        case .bootstrap, .clone, .restore:
            do throws(SystemError) {
                try directory.makeDirectory()
            } catch {
                throw .failed("cannot make the data directory: \(error)")
            }
        case .finishBootstrap, .startPrimary, .startStandby, .stopToRestart, .rewind, .recoverSingleUser,
            .setAsideDataDirectory, .copyLogicalSlots, .archiveLastSegment:
            break
        }
        try await instance.lock.acquire(directory.path, deadline: BootClock.now() + .seconds(10))
    }

    /// Of a bootstrap that failed, and of its server. It may have been refused because somebody has restored a cluster
    /// there meanwhile, or has started one: that bears no mark of ours, and stays as it is.
    private func setAside() async throws(PostgreSQLError) {
        try await stopBootstrapped(timeout: .seconds(10))
        let found = directory.look()
        guard found.unfinished?.isBootstrap == true else {
            if found.state == .empty, instance.postmaster() == nil { return try directory.setAside() }
            throw .failed("\(directory.path) holds what no bootstrap of ours has left there: it stays")
        }
        try directory.refuseForeign()
        if instance.postmaster() != nil { _ = try await stop(.immediate, timeout: .seconds(10)) }
        try refuseWhileRunning()
        try directory.setAside()
        forgetCluster()
    }

    /// What an earlier daemon has left at work in the directory ends.
    func claimDirectory(deadline: BootInstant) async throws(PostgreSQLError) {
        do throws(PostgreSQLError) {
            try await instance.lock.acquire(directory.path, deadline: deadline)
        } catch {
            // Who stands still has not gone.
            let before = instance.remember { $0.tenant?.name }
            instance.note(tenant: instance.lock.tenant(of: directory.path) ?? before)
            throw error
        }
        instance.note(tenant: nil)
        if instance.postmaster() == nil, try !finishReplacement() { keepUntouched() }
        // What runs there may go on for long without a start of ours.
        if directory.look() == (.initialized, nil) { try forgetUnfinished() }
    }

    /// Why this node has no data directory for now. Where who was there has ended, all is done that a daemon does as it
    /// begins: that one may have been killed half-way, or have left somebody at work.
    func lookForTenant() async -> String? {
        guard let known = instance.remember({ $0.tenant }) else { return nil }
        if BootClock.now() >= known.nextLook {
            if let name = instance.lock.tenant(of: directory.path) {
                instance.note(tenant: name)
            } else {
                do throws(PostgreSQLError) {
                    try await claimDirectory(deadline: BootClock.now() + .seconds(2))
                } catch {
                    log.error("\(error)")
                }
            }
        }
        return instance.remember { $0.tenant }.map { instance.keptOut(by: $0.name) }
    }

    func refuseWhileRunning() throws(PostgreSQLError) {
        if let postmaster = instance.postmaster() {
            throw .failed("PostgreSQL is running (postmaster \(postmaster.pid)); it must be stopped first")
        }
    }

    /// S11, whatever the rules say: what was broken off is not started. A mark that no longer says anything goes.
    func refuseUnfinished() throws(PostgreSQLError) {
        if let work = directory.look().unfinished {
            throw .failed("\(directory.path) holds what \(work.name) has left by halves: it is not started")
        }
        try forgetUnfinished()
    }

    /// What a bootstrap or a copy has left where a whole cluster stands: a password for initdb, a draft, or what a
    /// draft has replaced, which may be as large as the cluster.
    func forgetUnfinished() throws(PostgreSQLError) {
        for own in directory.leavings where Files.kind(own) != .missing {
            log.warning("\(own) is what something has left that was broken off: it is removed")
            do throws(SystemError) {
                try Files.removeTree(own, while: { !Task.isCancelled })
            } catch {
                if error.code == ECANCELED { throw .cancelled }
                log.warning("it stays, and is in nobody's way: \(error)")
            }
        }
        do throws(SystemError) {
            guard try directory.readMark() != nil else { return }
            log.warning("a whole cluster stands in \(directory.path) now: the mark of an unfinished one is removed")
            try directory.removeMark()
        } catch {
            throw .failed("cannot remove the mark in the data directory: \(error)")
        }
    }

    /// After the data directory went: nothing that was known of it holds.
    func forgetCluster() {
        instance.take(role: nil)
        instance.remember { memory in
            memory.systemIdentifier = nil
            memory.control = nil
            memory.pendingRestart = []
            memory.held = []
            memory.upstream = .unknown
            memory.synchronous = nil
            memory.called.isMakingCluster = false
        }
    }
}

// MARK: - Taking turns

extension Operator {
    /// Who waits for the operation under way to end. Its length is bounded by the callers, who wait for their answers.
    struct Turns {
        var isTaken = false
        var next: UInt64 = 0
        var waiting: [(id: UInt64, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    private func takeTurn() async throws(PostgreSQLError) {
        if !turns.isTaken {
            turns.isTaken = true
            return
        }
        turns.next += 1
        let id = turns.next
        let granted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume(returning: false)
                } else {
                    turns.waiting.append((id, continuation))
                }
            }
        } onCancel: {
            Task { await self.giveUpTurn(id) }
        }
        if !granted { throw .cancelled }
    }

    private func giveUpTurn(_ id: UInt64) {
        guard let index = turns.waiting.firstIndex(where: { $0.id == id }) else { return }
        turns.waiting.remove(at: index).continuation.resume(returning: false)
    }

    func passTurn() {
        if turns.waiting.isEmpty {
            turns.isTaken = false
        } else {
            turns.waiting.removeFirst().continuation.resume(returning: true)
        }
    }
}
