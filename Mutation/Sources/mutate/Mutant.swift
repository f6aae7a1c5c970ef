/// One place of the code that can be switched to something else when the program runs.
struct Mutant {
    var number: Int
    /// From the root of the tree.
    var file: String
    var line: Int
    var kind: Kind
    /// What stands there, on one line.
    var text: String

    enum Kind: String {
        /// A condition is taken for its opposite, the smaller of two for the larger.
        case flipped
        /// A decision becomes "wait", an optional one nil, a list empty.
        case dropped
        /// A statement is left out.
        case skipped
        /// Of two lists that are put together the second goes first.
        case order
    }

    /// As a line of tab-separated values.
    var row: String { "\(number)\t\(file)\t\(line)\t\(kind.rawValue)\t\(text)" }
}

/// Hands out the numbers.
final class Register {
    private(set) var mutants: [Mutant] = []
    var file = ""

    func add(_ kind: Mutant.Kind, line: Int, text: String) -> Int {
        let number = mutants.count + 1
        let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        mutants.append(Mutant(number: number, file: file, line: line, kind: kind, text: String(words.prefix(120))))
        return number
    }
}
