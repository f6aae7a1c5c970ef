import ClusterModel
import Logging
import Ports
import Posix
import Synchronization

/// What a callback is called for (ha-loop.md §25).
public enum CallbackEvent: String, Sendable, Hashable, CaseIterable {
    case start = "on_start"
    case stop = "on_stop"
    case restart = "on_restart"
    case reload = "on_reload"
    case roleChange = "on_role_change"
}

/// The role that a callback is told.
enum CallbackRole: String, Sendable, Hashable {
    case primary, replica, demoted
    case standbyLeader = "standby_leader"

    init(_ role: LocalPostgreSQLConfiguration.Role) {
        switch role {
        case .primary: self = .primary
        case .replica: self = .replica
        case .standbyLeader: self = .standbyLeader
        }
    }
}

/// Runs the operator's callbacks beside everything else: one at a time, the next one kills the one that runs, and of
/// those that wait the last one counts. What is called for a reload does not get into the others' way.
final class Callbacks: Sendable {
    struct Call: Sendable {
        var event: CallbackEvent
        var role: CallbackRole
        var scope: String
        var words: [String]
    }

    private let changes: Line
    private let reloads: Line

    init(_ tools: ToolRunner, _ log: Logger) {
        changes = Line(tools, log)
        reloads = Line(tools, log)
    }

    func run(_ call: Call) { (call.event == .reload ? reloads : changes).run(call) }

    /// Waits until none runs any more, or until `deadline`.
    func finish(deadline: BootInstant) async {
        while changes.isBusy || reloads.isBusy, BootClock.now() < deadline, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Callbacks of which one runs at a time.
    private final class Line: Sendable {
        private let tools: ToolRunner
        private let log: Logger
        private let state = Mutex(State())

        private struct State {
            var running: Task<Void, Never>?
            var next: Call?
            var isWorking = false
        }

        /// No callback is waited for, so none is late.
        private static let longest = Duration.seconds(366 * 86_400)

        init(_ tools: ToolRunner, _ log: Logger) {
            self.tools = tools
            self.log = log
        }

        var isBusy: Bool { state.withLock { $0.isWorking } }

        func run(_ call: Call) {
            let (running, begins) = state.withLock { state in
                state.next = call
                defer { state.isWorking = true }
                return (state.running, !state.isWorking)
            }
            running?.cancel()
            if begins { Task { await work() } }
        }

        private func work() async {
            while let running = takeNext() { await running.value }
        }

        private func takeNext() -> Task<Void, Never>? {
            state.withLock { state in
                guard let call = state.next else {
                    state.running = nil
                    state.isWorking = false
                    return nil
                }
                state.next = nil
                let running = Task { await carryOut(call) }
                state.running = running
                return running
            }
        }

        private func carryOut(_ call: Call) async {
            let name = call.event.rawValue
            do throws(PostgreSQLError) {
                let status = try await UserCommand.run(
                    name, call.words, [name, call.role.rawValue, call.scope], with: tools,
                    deadline: BootClock.now() + Self.longest, endsAtOnce: true, log: log)
                if status != 0 { log.warning("\(name) (\(call.role.rawValue)) ended with status \(status)") }
            } catch {
                if error == .cancelled {
                    log.warning("\(name) (\(call.role.rawValue)) was killed: another callback was called")
                } else {
                    log.error("\(name) (\(call.role.rawValue)): \(error)")
                }
            }
        }
    }
}

// MARK: - When they are called

extension Instance {
    /// What callbacks have been told, and what they are about to be.
    struct Called: Sendable, Hashable {
        /// The role that was told last; nil before the first call.
        var role: CallbackRole?
        /// What is called as soon as the server accepts connections.
        var pending: CallbackEvent?
        /// The postmaster whose end was told.
        var stopped: Int32?
        /// A new cluster is being made: nothing is told before it is there (ha-loop.md §6.3).
        var isMakingCluster = false
    }

    /// A server is about to be started. One that was a primary and comes up as a standby has changed its role, which is
    /// all that is told of it; so has one that comes up as the leader of a standby cluster and was none, or the other
    /// way round.
    func willStart(asStandby isStandby: Bool, leading: Bool = false) {
        remember { memory in
            let led = memory.called.role == .primary || memory.called.role == .demoted
            let isOtherStandby = memory.called.role == (leading ? .replica : .standbyLeader)
            memory.called.pending = isStandby && (led || isOtherStandby) ? .roleChange : .start
        }
    }

    func willRestart() { remember { $0.called.pending = .restart } }

    /// The server accepts connections: what was to be told then is told. One that was found running is told of, too.
    func isUp(inRecovery: Bool) {
        let (event, role): (CallbackEvent?, CallbackRole) = remember { memory in
            let role: CallbackRole = inRecovery ? memory.role == .standbyLeader ? .standbyLeader : .replica : .primary
            guard !memory.called.isMakingCluster else { return (nil, role) }
            defer { memory.called.pending = nil }
            return (memory.called.pending ?? (memory.called.role == nil ? .start : nil), role)
        }
        if let event { call(event, role) }
    }

    /// A server that was told to stop has ended, or accepts nothing any more.
    func hasStopped(_ pid: Int32) {
        let isNews = remember { memory in
            defer { memory.called.stopped = pid }
            memory.called.pending = nil
            return memory.called.stopped != pid
        }
        if isNews { call(.stop) }
    }

    /// The start of a server that led has failed.
    func couldNotLead() {
        if remember({ $0.called.role }) == .primary { call(.roleChange, .demoted) }
    }

    /// Calls what the operator has configured for `event`; nil for the role as it is.
    func call(_ event: CallbackEvent, _ role: CallbackRole? = nil) {
        let call = remember { memory -> Callbacks.Call? in
            let known = role ?? memory.role.map(CallbackRole.init) ?? memory.called.role ?? .replica
            if memory.called.isMakingCluster { return nil }
            memory.called.role = known
            guard let words = memory.configuration.callbacks[event] else { return nil }
            return Callbacks.Call(event: event, role: known, scope: memory.configuration.scope, words: words)
        }
        if let call { callbacks.run(call) }
    }
}
