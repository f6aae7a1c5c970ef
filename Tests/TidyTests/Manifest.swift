import Posix

/// What `Package.swift` says of our targets, as far as the graph goes: read as text, because the tests are not to run a
/// build of their own.
struct Manifest {
    struct Target {
        /// Ours and system libraries; packages of others are left out.
        var dependencies: Set<String>
        var isSystem: Bool
        var isTest: Bool
    }

    private(set) var targets: [String: Target] = [:]

    static func read() throws -> Manifest { Manifest(try Files.readText("\(Package.root)/Package.swift")) }

    init(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let code = lines.filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n")
        for (word, isSystem, isTest) in [
            (" module(", false, false), (" tests(", false, true), (".target(", false, false),
            (".executableTarget(", false, false), (".systemLibrary(", true, false),
        ] {
            var rest = code[...]
            while let range = rest.firstRange(of: word) {
                let call = Self.upToItsEnd(rest[range.upperBound...])
                rest = rest[range.upperBound...]
                let texts = Self.texts(call)
                guard let name = texts.first else { continue }
                let list = isSystem ? "" : Self.list(call)
                targets[name] = Target(dependencies: Set(Self.texts(list)), isSystem: isSystem, isTest: isTest)
            }
        }
    }

    /// All that a target depends on, directly or not.
    func reached(from name: String) -> Set<String> {
        var reached: Set<String> = []
        var next = targets[name]?.dependencies ?? []
        while let one = next.popFirst() {
            guard reached.insert(one).inserted else { continue }
            next.formUnion(targets[one]?.dependencies ?? [])
        }
        return reached
    }

    /// The arguments of a call whose opening parenthesis stands before `text`.
    private static func upToItsEnd(_ text: Substring) -> Substring {
        var depth = 1
        for index in text.indices {
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" { depth -= 1 }
            if depth == 0 { return text[..<index] }
        }
        return text
    }

    /// What stands in the first pair of brackets.
    private static func list(_ text: Substring) -> Substring {
        guard let open = text.firstIndex(of: "[") else { return "" }
        let rest = text[text.index(after: open)...]
        // A list of resources or of settings is none of dependencies.
        let before = text[..<open]
        if before.contains("resources:") || before.contains("exclude:") || before.contains("Settings:") { return "" }
        return rest[..<(rest.firstIndex(of: "]") ?? rest.endIndex)]
    }

    /// The string literals.
    private static func texts(_ text: Substring) -> [String] {
        text.split(separator: "\"", omittingEmptySubsequences: false).enumerated().compactMap { index, part in
            index % 2 == 1 ? String(part) : nil
        }
    }
}
