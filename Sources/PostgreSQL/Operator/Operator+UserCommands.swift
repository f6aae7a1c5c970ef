import ClusterModel
import Logging
import Ports
import Posix

/// The operator's commands that an operation waits for.
extension Operator {
    /// Asks the operator's command whether this node may be promoted (postgresql.md §20.2). Throws where it says no, or
    /// nothing in time: then nobody is promoted.
    func prePromote() async throws(PostgreSQLError) {
        guard let words = configuration.prePromote else { return }
        let status = try await UserCommand.run(
            "pre_promote", words, with: instance.scripts, deadline: BootClock.now() + configuration.startTimeout,
            log: log)
        guard status == 0 else { throw .failed("it ended with status \(status)") }
    }

    /// The operator's command before a clean stop, which waits for it for half of its time at most, whatever it
    /// says (postgresql.md §6.3). What has to end at once waits for nobody.
    func runBeforeStop(_ timeout: Duration) async throws(PostgreSQLError) {
        guard let words = configuration.beforeStop else { return }
        let limit = min(timeout / 2, configuration.startTimeout)
        do throws(PostgreSQLError) {
            let status = try await UserCommand.run(
                "before_stop", words, with: instance.scripts, deadline: BootClock.now() + limit, endsAtOnce: true,
                log: log)
            log.info("before_stop ended with status \(status)")
        } catch {
            if error == .cancelled { throw error }
            log.warning("before_stop: \(error); PostgreSQL is stopped all the same")
        }
    }
}
