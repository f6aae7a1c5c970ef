/// Who sits before the program: a person at a terminal, or another program at the ends of pipes.
public protocol Terminal: Sendable {
    /// To standard output.
    func write(_ text: String)
    /// To standard error.
    func complain(_ text: String)
    /// The next line of standard input without its end; nil where there is none.
    func readLine() async throws -> String?
    /// A line that is not shown while it is typed.
    func readSecret() async throws -> String?
    /// All that is left of standard input.
    func readAll() async throws -> [UInt8]
    /// Whether what is written is seen by a person.
    var isTerminal: Bool { get }
    /// Whether nobody reads standard output any more: the other end of a pipe was closed.
    var isOutputLost: Bool { get }
    /// Why standard output did not take all that was written; nil where it did.
    var outputFailure: Int32? { get }
    /// How wide a line may be; nil where nobody says.
    var columns: Int? { get }
    /// How many lines fit; nil where nobody says.
    var lines: Int? { get }
    /// Done when Ctrl-C ends the program: what it gives is said, in what state things are left. Nil for nothing.
    func onInterruption(_ tell: (@Sendable () -> String)?)
    /// Another program has the terminal, until it is given back: Ctrl-C is that one's affair.
    func lend(_ isLent: Bool)
    /// Takes the whole screen, without a cursor and without showing what is typed, or gives it back as it was.
    func holdScreen(_ isHeld: Bool)
    /// The next key that is pressed; nil where none is in time.
    func readKey(within patience: Duration) async -> UInt8?
}

extension Terminal {
    /// Said when Ctrl-C ends the program. Nil for nothing.
    func setInterruptionNote(_ note: String?) {
        guard let note else { return onInterruption(nil) }
        onInterruption { note }
    }
}
