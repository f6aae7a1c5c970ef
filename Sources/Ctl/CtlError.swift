/// How a command ends when it does not end well (ctl.md §1.4).
enum CtlError: Error, Sendable, Hashable {
    /// `Error: …` on standard error, exit code 1.
    case refused(String)
    /// A prompt that got no answer, or Ctrl-C: `Aborted!`, exit code 1.
    case aborted
    /// The command line is wrong: usage, hint and `Error: …`, exit code 2.
    case usage(String)
    /// Everything is said; the exit code alone is left.
    case ended(Int32)
}
