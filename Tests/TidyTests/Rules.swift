import Glibc

/// The house rules that a reader of the text can hold (style.md §3.9), each with what to use instead.
enum Rules {
    struct Ban: Sendable {
        /// A word of code; it counts where no letter, digit, `_` or `.` stands before it.
        let word: String
        let instead: String
        /// Targets that may: the seam itself, or a program that talks to a terminal.
        var except: Set<String> = []
    }

    static let programs: Set<String> = ["matriarch", "matriarch-guardian", "matriarchctl", "simulate"]

    static let bans: [Ban] = [
        Ban(word: "fork(", instead: "ms_spawn_detached, or ToolRunner"),
        Ban(word: "vfork(", instead: "ms_spawn_detached, or ToolRunner"),
        Ban(word: "Process(", instead: "ms_spawn_detached, or ToolRunner"),
        Ban(word: "system(", instead: "ms_spawn_detached, or ToolRunner"),
        Ban(word: "popen(", instead: "ToolRunner"),
        Ban(word: "print(", instead: "a Logger", except: programs),
        Ban(word: "debugPrint(", instead: "a Logger"),
        Ban(word: "dump(", instead: "a Logger"),
        Ban(word: "fputs(", instead: "a Logger", except: programs),
        Ban(word: "DispatchSemaphore", instead: "Condition on a thread of ours, or a continuation"),
        Ban(word: "DispatchQueue", instead: "ThreadExecutor or NamedThread"),
        Ban(word: "usleep(", instead: "a deadline on what is waited for, or Task.sleep"),
        Ban(word: "sleep(", instead: "a deadline on what is waited for, or Task.sleep"),
        Ban(word: "nanosleep(", instead: "a deadline on what is waited for, or Task.sleep"),
        Ban(word: "Date()", instead: "WallClock"),
        Ban(word: "ContinuousClock", instead: "BootClock"),
        Ban(word: "SuspendingClock", instead: "BootClock: this one stops in suspend"),
        Ban(word: "time(", instead: "WallClock or BootClock"),
        Ban(word: "gettimeofday(", instead: "WallClock"),
        Ban(
            word: "clock_gettime(", instead: "WallClock or BootClock",
            except: ["Posix", "HTTPServer", "matriarch-guardian"]),
        Ban(word: "SystemRandomNumberGenerator", instead: "an injected generator"),
        Ban(word: "rand(", instead: "an injected generator"),
        Ban(word: "fatalError()", instead: "a typed error, or a message that names the state"),
        Ban(word: "preconditionFailure()", instead: "a typed error, or a message that names the state"),
        Ban(word: "try!", instead: "a typed error"),
        Ban(word: "as!", instead: "as? and a typed error"),
        Ban(word: "unsafeBitCast(", instead: "a conversion that checks"),
        Ban(
            word: "getenv(", instead: "the environment that main passes in",
            except: programs.union(["PostgreSQL", "GuardianClient"])),
        Ban(
            word: "exit(", instead: "a decision that main carries out", except: programs.union(["Node", "Simulation"])),
    ]

    /// Modules that the daemon and the core do without: they cost more memory than all of ours.
    static let bannedModules: Set<String> = [
        "Foundation", "FoundationEssentials", "FoundationNetworking", "Dispatch", "NIO", "NIOCore",
    ]

    static let linesMax = 370
    /// Those that were longer when the limit came, as long as they are now: to be split, never to grow.
    static let longFiles: [String: Int] = ["Tests/HTTPServerTests/ServerLoadTests.swift": 418]
    static let columnsMax = 120
    static let functionLinesMax = 50
    /// Longer when the limit came, as long as they are now; or tables, which nobody reads as a whole.
    static let longFunctions: [String: (lines: Int, why: String)] = [
        "Tests/PostgreSQLTests/ReplicationServerTests.swift cloneFollowPromote": (51, "one story"),
        "Sources/HighAvailability/Rules/LeaderRequestRule.swift explanation": (65, "a table of texts, one a reason"),
        "Sources/Simulation/Faults/PlantedBug.swift summary": (89, "a table of texts, one a bug"),
        "Sources/Simulation/Faults/FaultProfile.swift makers": (53, "a table of faults, one a profile"),
    ]

    /// Words of code that are banned in `file`.
    static func banned(in file: SourceFile) -> [String] {
        var found: [String] = []
        let all = file.code.joined(separator: "\n")
        // A search by the C library tells which words are worth a closer look.
        let present = bans.filter { ban in !ban.except.contains(file.target) && strstr(all, ban.word) != nil }
        for (index, line) in file.code.enumerated() {
            for ban in present where contains(line, word: ban.word) {
                found.append("\(file.path):\(index + 1): \(ban.word) is banned; use \(ban.instead)")
            }
            if hasForcedUnwrap(line) {
                found.append("\(file.path):\(index + 1): a forced unwrap is banned; use guard let and a typed error")
            }
        }
        return found
    }

    private static func contains(_ line: String, word: String) -> Bool {
        var rest = line[...]
        while let range = rest.firstRange(of: word) {
            let before = line[..<range.lowerBound]
            let isDeclaration = before.hasSuffix("func ") || before.hasSuffix("case ")
            let isPart = before.last.map { $0.isLetter || $0.isNumber || "_.`".contains($0) } ?? false
            // `Glibc.exit(` is the function that is meant; `logger.print(` is not.
            if !isDeclaration, !isPart || before.hasSuffix("Glibc.") { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }

    /// A name, a call or a subscript with `!` right behind it; `!=` is a comparison.
    private static func hasForcedUnwrap(_ line: String) -> Bool {
        guard line.utf8.contains(UInt8(ascii: "!")) else { return false }
        let characters = Array(line)
        for index in characters.indices.dropFirst() where characters[index] == "!" {
            let before = characters[index - 1]
            let after = index + 1 < characters.count ? characters[index + 1] : " "
            guard before.isLetter || before.isNumber || "_)]".contains(before), after != "=" else { continue }
            let word = String(characters[..<index].reversed().prefix { $0.isLetter }.reversed())
            // Those two have their own rows.
            if word != "try", word != "as" { return true }
        }
        return false
    }

    /// Promises to the compiler without a reason: a comment on the line above, on the line itself or on the next one.
    static func unexplained(in file: SourceFile) -> [String] {
        file.code.indices.compactMap { index in
            let words = ["@unchecked Sendable", "nonisolated(unsafe)"]
            guard let word = words.first(where: file.code[index].contains) else { return nil }
            let around = [index - 1, index, index + 1].filter(file.lines.indices.contains)
            // The comment of a documented declaration counts: it stands right above.
            let isExplained = around.contains { file.lines[$0].contains("//") }
            return isExplained ? nil : "\(file.path):\(index + 1): \(word) needs a comment that says why it is safe"
        }
    }

    static func tooLong(_ file: SourceFile) -> [String] {
        var found: [String] = []
        let count = file.lines.count - (file.lines.last == "" ? 1 : 0)
        if count > longFiles[file.path] ?? linesMax {
            found.append("\(file.path): \(count) lines, at most \(linesMax): split it by idea")
        }
        for (index, line) in file.lines.enumerated() where line.utf8.count > columnsMax && line.count > columnsMax {
            // A text that somebody may search for stays in one piece on a line of its own. And the formatter lets a
            // comma stand in the column after the last one.
            if line.drop(while: { $0 == " " }).first == "\"" || line.count == columnsMax + 1 && line.last == "," {
                continue
            }
            found.append("\(file.path):\(index + 1): \(line.count) columns, at most \(columnsMax)")
        }
        for function in Function.all(in: file)
        where function.lines > longFunctions["\(file.path) \(function.name)"]?.lines ?? functionLinesMax {
            found.append(
                "\(file.path):\(function.start): \(function.name) has \(function.lines) lines, at most "
                    + "\(functionLinesMax)")
        }
        return found
    }
}

/// A function, an initialiser or a property that is computed, with a body.
struct Function {
    let name: String
    /// The line of its name, from 1.
    let start: Int
    let lines: Int

    static func all(in file: SourceFile) -> [Function] {
        let code = file.code.map { Array($0.utf8) }
        return code.indices.flatMap { line -> [Function] in
            guard let name = declared(in: file.code[line]), let end = end(code, line) else { return [] }
            return [Function(name: name, start: line + 1, lines: end - line + 1)]
        }
    }

    /// The name of what a line declares; nil for a line that declares no function.
    private static func declared(in line: String) -> String? {
        if let name = accessor(in: line) { return name }
        guard line.contains("func ") || line.contains("init") else { return nil }
        let words = line.split(separator: " ").map(String.init)
        if let index = words.firstIndex(of: "func"), index + 1 < words.count {
            return String(words[index + 1].prefix { $0.isLetter || $0.isNumber || $0 == "_" })
        }
        let isInit = words.contains { $0.hasPrefix("init(") || $0.hasPrefix("init?(") || $0 == "deinit" }
        return isInit && !line.contains(".init") && !line.contains("self.init") ? "init" : nil
    }

    /// `var name: Type {`, `subscript(…) -> Type {`.
    private static func accessor(in line: String) -> String? {
        guard line.hasSuffix("{"), !line.contains("=") else { return nil }
        let words = line.split(separator: " ")
        if words.contains(where: { $0.hasPrefix("subscript(") }) { return "subscript" }
        guard let index = words.firstIndex(of: "var"), index + 1 < words.count, words[index + 1].last == ":" else {
            return nil
        }
        return String(words[index + 1].dropLast())
    }

    /// The line on which the body ends; nil where no body follows.
    private static func end(_ code: [[UInt8]], _ start: Int) -> Int? {
        var parentheses = 0
        var braces = 0
        for line in start..<code.count {
            // A requirement of a protocol: the next declaration comes before any body.
            if line > start, braces == 0, parentheses == 0,
                declared(in: String(decoding: code[line], as: UTF8.self)) != nil
            {
                return nil
            }
            for byte in code[line] {
                switch Character(Unicode.Scalar(byte)) {
                case "(", "[": parentheses += 1
                case ")", "]": parentheses -= 1
                case "{" where braces > 0 || parentheses == 0: braces += 1
                case "}" where braces > 0:
                    braces -= 1
                    if braces == 0 { return line }
                case "}" where parentheses == 0: return nil
                default: break
                }
            }
        }
        return nil
    }
}
