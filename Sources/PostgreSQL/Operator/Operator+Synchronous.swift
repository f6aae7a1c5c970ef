import ClusterModel
import Glibc
import Ports
import Posix
import Processes

/// `synchronous_standby_names`: what commits of a primary wait for. What was set stays through restarts of the server
/// and of the daemon, because `/sync` rests on it; it is the file that remembers it.
extension Operator {
    /// What goes into the file for the server as it is to be now; nil for no such line.
    func synchronousNames(_ configuration: LocalPostgreSQLConfiguration) -> String? {
        let configured = configuration.parameters["synchronous_standby_names"]
        switch instance.remember({ $0.synchronous }) {
        case .configured?: return configured
        // Also an empty one: the base configuration may say something else.
        case .names(let names)?: return names.text
        case nil: break
        }
        let initial = configuration.isSynchronous ? nil : configured
        // A standby waits for nobody: what it is to go by is set before it is promoted. A server that an earlier daemon
        // has set up goes on as it was, until somebody who leads says more.
        return directory.hasStandbySignal ? initial : instance.writtenSynchronousNames() ?? initial
    }

    /// Beside a running plan nothing is set: whoever asks for it comes again.
    func nameSynchronousInTurn(_ setting: SynchronousSetting) async throws(PostgreSQLError) {
        guard !turns.isTaken else { throw .failed("another operation is under way") }
        turns.isTaken = true
        defer { passTurn() }
        _ = try await nameSynchronous(setting)
    }

    /// Writes the file, and has the server read it. A file that cannot be written leaves things as they were.
    func nameSynchronous(_ setting: SynchronousSetting) async throws(PostgreSQLError) -> OperationResult {
        guard instance.postmaster() != nil else { throw .failed("PostgreSQL is not running") }
        let before = instance.remember { memory in
            defer { memory.synchronous = setting }
            return memory.synchronous
        }
        let following = instance.remember { $0.upstream }
        do throws(PostgreSQLError) {
            let role: ConfigurationWriter.Role = directory.hasStandbySignal ? .standby(of: following) : .unchanged
            if try await writeOrAmend(role) { instance.remember { $0.owesReload = true } }
        } catch {
            instance.remember { $0.synchronous = before }
            throw error
        }
        if instance.remember({ $0.owesReload }), try await !reload() {
            throw .timedOut("the reading of synchronous_standby_names")
        }
        if directory.hasStandbySignal { try await waitForCheckpointer() }
        return .done
    }

    /// Before a promotion, until commits would wait: PostgreSQL's sessions look at the names only where the
    /// checkpointer has told them to, and one that waits for the disk in a restartpoint reads its files long after
    /// everybody else. That it has read them shows in that it sleeps, after a signal, where it reads before it sleeps.
    private func waitForCheckpointer() async throws(PostgreSQLError) {
        let deadline = BootClock.now() + .seconds(4)
        var signalled: Int32?
        var pause = Duration.milliseconds(1)
        let connection = try instance.connect(deadline: deadline)
        repeat {
            // The postmaster signals its children one by one: this one's turn may be yet to come.
            let sleeps = signalled.map(isAsleep) ?? false
            guard let found = try checkpointer(connection, deadline) else { return }
            if sleeps, found.pid == signalled, found.listens { return }
            if let pid = found.pid, pid != signalled, await instance.launcher.signal(SIGHUP, to: pid) {
                signalled = pid
            }
            if Task.isCancelled { throw .cancelled }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(50))
        } while BootClock.now() < deadline
        throw .timedOut("the checkpointer, which is to turn the waiting of commits on")
    }

    /// A signal wakes who sleeps before it returns to whoever sent it.
    private func isAsleep(_ pid: Int32) -> Bool { ProcessTable.stat(pid).map { $0.state == "S" } ?? false }

    /// Of a standby with names; nil where no commit is to wait, and on a primary, where a look tells. Without a pid it
    /// is being started.
    private func checkpointer(
        _ connection: PostgreSQLConnection, _ deadline: BootInstant
    ) throws(PostgreSQLError) -> (pid: Int32?, listens: Bool)? {
        let rows = try connection.query(StatusQuery.checkpointerOfStandby, deadline: deadline)
        return rows.first.map { ($0.first?.flatMap { Int32($0) }, $0.last == "t") }
    }
}

extension Instance {
    /// The value in the file that a reload or a restart brings into force; nil where it has none, or is not ours.
    func writtenSynchronousNames() -> String? {
        guard let text = try? Files.readText(configuration.configurationFile), ConfigurationText.isGenerated(text)
        else { return nil }
        return ConfigurationText.value(of: "synchronous_standby_names", in: text)
    }
}
