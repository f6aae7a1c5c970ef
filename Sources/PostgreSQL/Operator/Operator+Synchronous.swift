import ClusterModel
import Ports
import Posix

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
        return .done
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
