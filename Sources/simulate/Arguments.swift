import Glibc
import Posix
import Simulation

/// The command line.
struct Arguments {
    var first: UInt64 = 1
    var seeds: UInt64 = 1000
    var nodes: Int?
    /// Nil: every profile in turn.
    var profile: FaultProfile? = .mixed
    var bug: PlantedBug?
    var jobs: Int?
    var traces = false
    var keepsGoing = false
    var needsCoverage = false
    var findsBugs = false
    var states: Int?
    /// Visits every state of the resolvers of synchronous mode, up to so many nodes.
    var resolvers: Int?
    /// Runs for so long instead of for so many seeds.
    var duration: Duration?
    var needsHelp = false

    struct Mistake: Error {
        var text: String
    }

    static let help = """
        usage: scripts/simulate [--seeds N] [--first SEED] [--seed SEED [--trace]] [--nodes 2...7] [--profile NAME]
                                [--bug NAME] [--jobs N] [--keep-going] [--require-coverage]
               scripts/simulate --bugs [--seeds N]
               scripts/simulate --states DEPTH [--bug NAME]
               scripts/simulate --resolvers NODES
               scripts/simulate --hours H [--first SEED] [--profile NAME]

        Runs deterministic worlds: the production rules and the production cycle against a simulated store, simulated
        PostgreSQL servers and whatever can go wrong. The same seed is the same world, to the byte.

          --seeds N       how many worlds (default 1000), from --first on (default 1)
          --seed SEED     one world; with --trace its story: who saw what, decided what, and why
          --nodes N       2 to 7; without it the seed decides
          --profile NAME  \(FaultProfile.allCases.map(\.rawValue).joined(separator: ", ")),
                          or all: one after the other (default mixed)
          --bug NAME      plants a bug, to see how it is found; --bugs names them
          --bugs          plants every bug there is; each must be found within so many seeds (default 20000); each
                          search begins where it was found last, unless --first says otherwise
          --jobs N        threads (default: one for each core)
          --keep-going    runs all worlds, also after a violation
          --require-coverage  fails where a state was never reached that this many worlds should reach
          --hours H       runs for so long (also 0.5) over all profiles, also after a violation, from a seed that the
                          date gives unless --first does, and sums up by profile: what a night is for
          --resolvers NODES  visits every state that the resolvers of synchronous mode can come to, with 2 nodes and
                          more, up to that many, and asserts in each that whoever may win has what was acknowledged
          --states DEPTH  checks small worlds exhaustively instead: every order of that many steps of 2 and 3 nodes

        A violation is shrunk (fewer faults, fewer nodes) and its story shown; the exit status is then 1.
        """

    init(_ words: [String]) throws(Mistake) {
        var rest = words[...]
        while let word = rest.popFirst() {
            switch word {
            case "--trace": traces = true
            case "--keep-going": keepsGoing = true
            case "--require-coverage": needsCoverage = true
            case "--bugs":
                findsBugs = true
                seeds = 20_000
            case "-h", "--help": needsHelp = true
            case "--seed":
                first = try Self.number(word, rest.popFirst(), 0...UInt64.max)
                seeds = 1
            case "--first": first = try Self.number(word, rest.popFirst(), 0...UInt64.max)
            case "--seeds": seeds = try Self.number(word, rest.popFirst(), 1...1_000_000_000)
            case "--nodes": nodes = Int(try Self.number(word, rest.popFirst(), 2...7))
            case "--jobs": jobs = Int(try Self.number(word, rest.popFirst(), 1...256))
            case "--hours": try readHours(rest.popFirst())
            case "--resolvers": resolvers = Int(try Self.number(word, rest.popFirst(), 2...6))
            case "--states": states = Int(try Self.number(word, rest.popFirst(), 1...64))
            case "--profile":
                let text = rest.popFirst()
                profile = text == "all" ? nil : try Self.name(word, text)
            case "--bug": bug = try Self.name(word, rest.popFirst())
            default: throw Mistake(text: "unknown argument '\(word)'; --help lists what is allowed")
            }
        }
    }

    /// A night's run goes on after a violation, and begins where no night before did.
    private mutating func readHours(_ text: String?) throws(Mistake) {
        guard let text, let hours = Double(text), hours > 0, hours <= 1000 else {
            throw Mistake(
                text: "--hours: found \(text.map { "'\($0)'" } ?? "nothing"), allowed is a number above 0, at most 1000"
            )
        }
        duration = .milliseconds(Int64(hours * 3_600_000))
        seeds = 1_000_000_000
        keepsGoing = true
        if profile == .mixed { profile = nil }
        if first == 1 { first = UInt64(max(0, WallClock.nanosecondsSinceEpoch() / 1_000_000_000)) * 1000 }
    }

    private static func number(_ option: String, _ text: String?, _ range: ClosedRange<UInt64>) throws(Mistake)
        -> UInt64
    {
        guard let text, let number = UInt64(text), range.contains(number) else {
            let found = text.map { "'\($0)'" } ?? "nothing"
            throw Mistake(
                text: "\(option): found \(found), allowed is a number in \(range.lowerBound)...\(range.upperBound)")
        }
        return number
    }

    private static func name<Name: RawRepresentable & CaseIterable>(
        _ option: String, _ text: String?
    ) throws(Mistake) -> Name where Name.RawValue == String {
        guard let text, let name = Name(rawValue: text) else {
            let allowed = Name.allCases.map(\.rawValue).joined(separator: ", ")
            throw Mistake(text: "\(option): found \(text.map { "'\($0)'" } ?? "nothing"), allowed are \(allowed)")
        }
        return name
    }
}
