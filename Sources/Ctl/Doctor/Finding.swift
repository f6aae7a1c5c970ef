/// Something that goes wrong, or would, and what is to be done about it.
struct Finding: Sendable, Hashable {
    enum Severity: Int, Sendable, Hashable, Comparable {
        /// Will go wrong one day, or costs something.
        case notice
        /// Goes wrong as soon as something else does.
        case warning
        /// Is wrong now.
        case problem

        static func < (left: Severity, right: Severity) -> Bool { left.rawValue < right.rawValue }

        var word: String {
            switch self {
            case .notice: "notice"
            case .warning: "warning"
            case .problem: "PROBLEM"
            }
        }
    }

    let severity: Severity
    /// What is found, in one sentence.
    let what: String
    let remedy: String
}
