/// A command line cut at its command: what stands before it is for the program, what stands after it for the command.
/// `-c`, `-d` and `-f` mean other things on the other side (ctl.md §1).
struct CommandLineWords: Sendable, Hashable {
    let global: [String]
    /// Nil where there is none.
    let command: String?
    let rest: [String]

    private static let takingValues = ["-c", "--config-file", "-d", "--dcs-url", "--dcs"]

    /// `--candidate=` as scripts write it that have no value to give: an empty one, which the parser would miss.
    private static func withEmptyValue(_ word: String) -> [String] {
        let bytes = word.utf8
        let isSo =
            word.hasPrefix("--") && bytes.count > 3
            && bytes.firstIndex(of: UInt8(ascii: "=")) == bytes.index(before: bytes.endIndex)
        return isSo ? [String(word.dropLast()), ""] : [word]
    }

    /// `words` without the program's own.
    init(_ words: some Sequence<String>) {
        var left = words.flatMap(Self.withEmptyValue)[...]
        var global: [String] = []
        while let word = left.first, word.utf8.first == UInt8(ascii: "-"), word != "-" {
            left = left.dropFirst()
            if word == "--" { break }
            global.append(word)
            if Self.takingValues.contains(word), let value = left.popFirst() { global.append(value) }
        }
        self.global = global
        command = left.popFirst()
        rest = Array(left)
    }
}
