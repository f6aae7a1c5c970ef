/// A difference as it is shown: plain in a pipe, in colours at a terminal, in a pager where it is longer than that.
enum DiffView {
    static func show(_ before: String, _ after: String, _ session: Session) async throws {
        let lines = UnifiedDiff(before, after).lines
        guard session.terminal.isTerminal else {
            return session.terminal.write(lines.map { $0 + "\n" }.joined())
        }
        let text = lines.map { coloured($0) + "\n" }.joined()
        let fits = lines.count < session.terminal.lines ?? 24
        if fits { return session.terminal.write(text) }
        try await Pager.show(text, session)
    }

    private static func coloured(_ line: String) -> String {
        let colour: Int? =
            switch line.utf8.first {
            case UInt8(ascii: "+"): 32
            case UInt8(ascii: "-"): 31
            case UInt8(ascii: "@"): 36
            default: nil
            }
        return colour.map { "\u{1B}[\($0)m\(line)\u{1B}[0m" } ?? line
    }
}
