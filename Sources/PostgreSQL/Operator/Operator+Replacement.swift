import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// A cluster that is replaced stays where it is until its copy is complete: where that fails, it is what it was, and
/// may be mended another time.
extension Operator {
    /// What a copy may do with what stands in the directory.
    struct Replacement: Hashable {
        /// It may go.
        var isAllowed: Bool
        var staysUntilComplete: Bool
        /// As it was first seen: what has changed since then is somebody else's.
        var seen: StandingCluster?

        init(_ replaced: PostgreSQLOperation.Replaced) {
            isAllowed = replaced != .nothing
            staysUntilComplete = replaced == .last
        }
    }

    /// The cluster that stands there, where it can stay until its copy is complete. Nil where there is none, or where
    /// it must go first, which the log tells with the reason.
    func keptUntilComplete(
        _ replacement: inout Replacement, _ source: Upstream, _ tablespaces: [UnfinishedMark.Tablespace]?
    ) throws(PostgreSQLError) -> StandingCluster? {
        guard replacement.isAllowed, replacement.staysUntilComplete else { return nil }
        let found = directory.look()
        guard found.state == .initialized, found.unfinished?.isBootstrap != true,
            Files.exists(directory.controlFile)
        else { return nil }
        try forgetUnfinished()
        try directory.clearForDraft()
        let obstacle: String?
        do throws(SystemError) {
            let standing: StandingCluster
            if let seen = replacement.seen { standing = seen } else { standing = try directory.standing() }
            replacement.seen = standing
            obstacle = try room(for: standing, source, tablespaces).obstacle
            if obstacle == nil { return standing }
        } catch {
            if error.code == ECANCELED { throw .cancelled }
            obstacle = "it cannot be looked at: \(error)"
        }
        log.warning("what stands in \(directory.path) goes before the copy is made: \(obstacle ?? "")")
        return nil
    }

    private func room(
        for standing: StandingCluster, _ source: Upstream, _ tablespaces: [UnfinishedMark.Tablespace]?
    ) throws(SystemError) -> RoomForBoth {
        let mark = try directory.newMark(.copy)
        let places = ToolPlaces(options: configuration.baseBackupOptions, mark, tablespaces: tablespaces)
        return RoomForBoth(
            outside: places.filled + mark.tablespaces.map(\.path) + [mark.walDirectory].compactMap(\.self),
            mounts: standing.mounts, knowsTablespaces: tablespaces != nil, needed: size(of: source) ?? standing.bytes,
            available: Files.availableSpace(directory.path), refusal: refusesBoth)
    }

    /// Of all databases; nil where the user may not ask. What is copied besides is part of the reserve.
    private func size(of source: Upstream) -> Int64? {
        do throws(PostgreSQLError) {
            let statement = "SELECT sum(pg_database_size(oid))::bigint FROM pg_database"
            return try ask(source, statement, within: .seconds(30)).first?.first.flatMap { $0 }.flatMap { Int64($0) }
        } catch {
            log.warning("cannot ask \(source.name) for its size, the one that stands here tells: \(error)")
            return nil
        }
    }

    /// Until the copy is complete nothing but a draft is written, and nothing says that one is made: whoever finds it
    /// removes it, and has what stood there. Only a `method` of the operator's is not known to keep to its draft.
    func copyBeside(
        _ standing: StandingCluster, _ source: Upstream, of identifier: String,
        by method: LocalPostgreSQLConfiguration.ReplicaMethod? = nil
    ) async throws(PostgreSQLError) {
        log.info("what stands in \(directory.path) stays until its copy from \(source.name) is complete")
        do throws(PostgreSQLError) {
            if let method {
                try directory.handOverDraft(beside: standing)
                try await runCommand(of: method, source, into: directory.draft)
                try await takeOver(directory.draft, ofCluster: identifier, isBeside: true)
            } else {
                try await runBaseBackup(source, [])
                try await synchronizeDraft(after: configuration.baseBackupOptions)
            }
            try await lookAtDraft(ofCluster: identifier)
            try refuseWhileRunning()
            try directory.requireUnchanged(standing)
        } catch {
            if error == .cancelled || Task.isCancelled {
                // A task of its own: nobody has told that one to end.
                if method != nil { _ = await Task { keepUntouched() }.value }
                throw .cancelled
            }
            if hasFilledDisk(error, method) { refusesBoth = "an earlier copy beside it has filled the disk" }
            if method == nil { discardDraft() } else { keepUntouched() }
            throw error
        }
        do throws(PostgreSQLError) {
            let mark = try directory.setAside(standing)
            try install(mark)
        } catch {
            refusesBoth = "it could not be replaced by a complete copy: \(error)"
            if method != nil { keepUntouched() }
            if directory.look().unfinished != .copy { discardDraft() }
            throw error
        }
        try endReplacement(isUnproven: method != nil)
    }

    /// What a command has to say of it is not known; what it has left on the disk is.
    private func hasFilledDisk(
        _ error: PostgreSQLError, _ method: LocalPostgreSQLConfiguration.ReplicaMethod?
    ) -> Bool {
        guard method == nil else { return Files.availableSpace(directory.path).map { $0 < RoomForBoth.least } ?? false }
        guard case .tool(_, _, let output) = error else { return false }
        return RoomForBoth.isFilled(by: output)
    }

    /// What a command that has failed, or was broken off, was to replace: where nothing has happened to it, it is what
    /// it was, and true is returned. Else it stays marked as half of something.
    @discardableResult
    func keepUntouched() -> Bool {
        do throws(SystemError) {
            guard try directory.keepUntouched() else { return false }
            log.warning(
                "the copy that was to replace what stands in \(directory.path) has failed: that one is untouched")
            return true
        } catch {
            log.warning("it cannot be told whether what stands in \(directory.path) is what it was: \(error)")
            return false
        }
    }

    /// What was broken off between an old cluster and a new one that is whole. True where the new one stands there now.
    func finishReplacement() throws(PostgreSQLError) -> Bool {
        let found: UnfinishedMark?
        do throws(SystemError) {
            found = try directory.brokenOffReplacement()
        } catch {
            throw .failed("cannot look at the data directory: \(error)")
        }
        guard let mark = found else { return false }
        try refuseWhileRunning()
        log.warning("a complete copy was about to take the place of what stood in \(directory.path): it does so now")
        try directory.goOn(mark)
        try install(mark)
        // An earlier daemon has made it, by whatever it went by.
        try endReplacement(isUnproven: true)
        return true
    }

    var hasBrokenOffReplacement: Bool {
        do throws(SystemError) { return try directory.brokenOffReplacement() != nil } catch { return false }
    }

    private func endReplacement(isUnproven: Bool) throws(PostgreSQLError) {
        forgetCluster()
        try endCopy(isUnproven: isUnproven)
        removeOld()
    }

    /// Where it fails the next start tries once more.
    func removeOld() {
        do throws(SystemError) {
            try directory.removeOld()
        } catch {
            log.warning("what was replaced is still there: \(error)")
        }
    }

    /// A copy that is taken for whole is the right cluster's.
    private func lookAtDraft(ofCluster identifier: String) async throws(PostgreSQLError) {
        let draft = DataDirectory(path: directory.draft)
        let text = try await instance.tools.succeed(
            .init(
                program: instance.program("pg_controldata"), arguments: [draft.path],
                environment: Instance.plainLocale, deadline: BootClock.now() + .seconds(60)))
        let output = ControlDataOutput(text)
        guard output.isWhole, let found = output.controlData, draft.version > 0 else {
            throw .failed("what the copy has brought is no whole cluster")
        }
        if found.systemIdentifier != identifier {
            throw .failed("the copy has brought the cluster \(found.systemIdentifier), and not \(identifier)")
        }
    }

    private func discardDraft() {
        do throws(PostgreSQLError) {
            try forgetUnfinished()
            try directory.clearForDraft()
        } catch {
            log.warning("what the copy has left is still there: \(error)")
        }
    }
}
