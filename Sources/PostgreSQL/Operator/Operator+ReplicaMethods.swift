import ClusterModel
import Glibc
import Logging
import Ports
import Posix

/// Copies that commands of the operator's make (postgresql.md §19).
extension Operator {
    /// Runs the command of a method, and looks at what it has made. One that is told where to put it fills a draft, as
    /// pg_basebackup does; one that knows the data directory by itself (`no_params`), or goes on with what stands there
    /// (`keep_data`), fills that.
    func copy(
        by method: LocalPostgreSQLConfiguration.ReplicaMethod, from source: Upstream?, _ replacement: inout Replacement
    ) async throws(PostgreSQLError) {
        let identity = try source.map { source throws(PostgreSQLError) in try identityOfAnswering(source) }
        let tablespaces = method.keepsData ? [] : source.flatMap { sourceTablespaces($0) }
        try refuseOccupied(replacement)
        let isDraft = !method.keepsData && !method.takesNoParameters
        // It is told where to put it, so that what stands there need not go for it.
        if isDraft, let source, let identity, let standing = try keptUntilComplete(&replacement, source, tablespaces) {
            try await copyBeside(standing, source, of: identity.systemIdentifier, by: method)
            refusesBoth = nil
            return log.info("replica method \(method.name): the copy is complete")
        }
        let mark = try beginCopy(method, tablespaces ?? [], version: identity?.version ?? 0)
        // What stood there has gone; what comes to stand there is somebody else's.
        if !method.keepsData { replacement.isAllowed = false }
        forgetCluster()
        do throws(PostgreSQLError) {
            try await runCommand(of: method, source, into: isDraft ? directory.draft : directory.path)
            try await finishCopy(mark, isDraft: isDraft, of: identity?.systemIdentifier)
        } catch {
            if error == .cancelled || Task.isCancelled { throw .cancelled }
            // What it has left is half of something; where it is to be gone on with, it stays.
            if !method.keepsData { freeSpace() }
            throw error
        }
        log.info("replica method \(method.name): the copy is complete")
    }

    private func beginCopy(
        _ method: LocalPostgreSQLConfiguration.ReplicaMethod, _ tablespaces: [UnfinishedMark.Tablespace], version: Int
    ) throws(PostgreSQLError) -> UnfinishedMark {
        var mark: UnfinishedMark?
        if !method.keepsData {
            let emptied = try directory.beginFilling(.copy)
            let places = Set((tablespaces + emptied.tablespaces).map(\.path))
            mark = try directory.beginDraft(emptied, places: places.sorted(), sourceVersion: version / 10000)
        }
        do throws(SystemError) {
            if let mark, !method.takesNoParameters {
                try directory.handOverDraft(mark)
                return mark
            }
            if mark == nil { try directory.makeDirectory() }
            let content: UnfinishedMark
            if let mark { content = mark } else { content = try directory.newMark(.copy) }
            try directory.handOver(content)
            return content
        } catch {
            throw .failed("cannot prepare the data directory: \(error)")
        }
    }

    func runCommand(
        of method: LocalPostgreSQLConfiguration.ReplicaMethod, _ source: Upstream?, into target: String
    ) async throws(PostgreSQLError) {
        var arguments = method.arguments
        if !method.takesNoParameters {
            let origin = source.map {
                ToolArguments.source(
                    configuration.replication, $0.address, [("dbname", configuration.database)], forScript: true)
            }
            arguments += [
                "--scope=\(configuration.scope)", "--role=replica", "--datadir=\(target)",
                "--connstring=\(origin ?? "")",
            ]
        }
        let status = try await UserCommand.run(
            method.name, method.command ?? [], arguments, environment: ["PGPASSFILE": configuration.passwordFile],
            with: instance.tools, deadline: BootClock.now() + Self.copyLimit, log: log)
        guard status == 0 else { throw .failed("its command ended with status \(status)") }
    }

    /// What the command has made is a cluster, the right one, and on the disk: then it is ours.
    private func finishCopy(
        _ mark: UnfinishedMark, isDraft: Bool, of identifier: String?
    ) async throws(PostgreSQLError) {
        let target = isDraft ? directory.draft : directory.path
        try await takeOver(target, ofCluster: identifier)
        if isDraft { try install(mark) }
        try endCopy(isUnproven: true)
    }

    /// The copy stands there, whole.
    func endCopy(isUnproven: Bool) throws(PostgreSQLError) {
        do throws(SystemError) {
            try directory.note(isUnproven: isUnproven)
            try directory.removeMark()
        } catch {
            throw .failed("cannot write or remove a mark of the data directory: \(error)")
        }
    }

    /// Looks at what a command has put into `target`, and sees that it stays there; `isBeside` what stood there before.
    func takeOver(
        _ target: String, ofCluster identifier: String?, isBeside: Bool = false
    ) async throws(PostgreSQLError) {
        let control = target + "/global/pg_control"
        let isThere = Files.kind(followingLinks: control) == .file
        // Where it has done both, somebody else has put what stands there.
        if target != directory.path, !isBeside, !isThere, Files.exists(directory.controlFile) {
            throw .failed("its command has filled \(directory.path), and not the --datadir that it was told")
        }
        guard isThere else {
            throw .failed("its command has left no cluster in \(target)")
        }
        let found = DataDirectory.systemIdentifier(control).map { "\($0)" }
        if let identifier, let found, found != identifier {
            throw .failed("its command has brought the cluster \(found), and not \(identifier)")
        }
        // Of a server that ran elsewhere, and of one that was asked to promote itself.
        for name in ["postmaster.pid", "promote"] { unlink("\(target)/\(name)") }
        try await synchronize(target)
    }

    /// Where the operator's options keep a tool from doing it: the mark goes only when all that was made is durable.
    func synchronizeDraft(after options: [String]) async throws(PostgreSQLError) {
        if ToolArguments.leaveOutSync(options) { try await synchronize(directory.draft) }
    }

    private func synchronize(_ target: String) async throws(PostgreSQLError) {
        try await instance.tools.succeed(
            .init(
                program: instance.program("initdb"), arguments: ["--sync-only", "-D", target],
                deadline: BootClock.now() + .seconds(3600)))
    }
}
