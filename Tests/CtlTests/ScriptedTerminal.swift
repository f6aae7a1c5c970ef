import Ctl
import Synchronization

/// A terminal at which a script sits: its lines are the answers, in their order.
final class ScriptedTerminal: Terminal {
    private struct State {
        var output = ""
        var errors = ""
        var answers: [String]
        var interruption: (@Sendable () -> String)?
    }

    private let state: Mutex<State>
    let isTerminal: Bool

    init(_ answers: [String] = [], isTerminal: Bool = false) {
        state = Mutex(State(answers: answers))
        self.isTerminal = isTerminal
    }

    var output: String { state.withLock { $0.output } }
    var errors: String { state.withLock { $0.errors } }
    var note: String? { state.withLock { $0.interruption }?() }
    /// What nobody has asked for.
    var answersLeft: Int { state.withLock { $0.answers.count } }
    var isOutputLost: Bool { false }
    var outputFailure: Int32? { nil }
    var columns: Int? { nil }
    var lines: Int? { nil }

    func write(_ text: String) { state.withLock { $0.output += text } }
    func complain(_ text: String) { state.withLock { $0.errors += text } }
    func holdScreen(_ isHeld: Bool) {}
    func readKey(within patience: Duration) async -> UInt8? { UInt8(ascii: "q") }
    func lend(_ isLent: Bool) {}
    func onInterruption(_ tell: (@Sendable () -> String)?) { state.withLock { $0.interruption = tell } }

    func readLine() async throws -> String? {
        state.withLock { $0.answers.isEmpty ? nil : $0.answers.removeFirst() }
    }

    func readSecret() async throws -> String? { try await readLine() }

    func readAll() async throws -> [UInt8] {
        state.withLock { state in
            defer { state.answers = [] }
            return Array(state.answers.map { $0 + "\n" }.joined().utf8)
        }
    }
}
