import ArgumentParser
import Configuration
import Glibc
import Ports
import Posix

/// `matriarchctl` as a function: words in, exit code out. Called as `patronictl` it says so.
public enum Program {
    static let ownName = "matriarchctl"
    static let patroniName = "patronictl"

    /// How the program was called, for what it says of itself.
    @TaskLocal static var name = Program.ownName

    /// Runs one command to its end.
    ///
    /// - Parameters:
    ///   - words: the command line, the program's own path first.
    ///   - environment: the variables of the process.
    public static func run(
        _ words: [String], environment: [String: String], terminal: any Terminal
    ) async -> Int32 {
        let called = words.first.map(lastComponent) == patroniName ? patroniName : ownName
        return await $name.withValue(called) {
            await run(CommandLineWords(words.dropFirst()), environment, terminal)
        }
    }

    private static func run(
        _ words: CommandLineWords, _ environment: [String: String], _ terminal: any Terminal
    ) async -> Int32 {
        var type: any ParsableCommand.Type = Matriarchctl.self
        let width = helpWidth(terminal, environment)
        do {
            if words.command == nil, words.global.contains(where: { $0 == "--help" || $0 == "-h" }) {
                terminal.write(Matriarchctl.helpMessage(columns: width) + "\n")
                return 0
            }
            let global = try GlobalOptions.parse(words.global)
            guard let name = words.command else {
                terminal.complain(Matriarchctl.helpMessage(columns: width) + "\n")
                return 2
            }
            if name == "help" {
                let about = words.rest.first.flatMap(Matriarchctl.command) ?? Matriarchctl.self
                terminal.write(about.helpMessage(columns: width) + "\n")
                return 0
            }
            guard let found = Matriarchctl.command(name) else { throw CtlError.usage(Self.unknown(name)) }
            type = found
            let isSpaced = found == EditConfigCommand.self || found == PlanCommand.self
            var parsed = try found.parseAsRoot(isSpaced ? EditConfigCommand.spaced(words.rest) : words.rest)
            guard let command = parsed as? any CtlCommand else {
                // One of ArgumentParser's own: it ends with the text that was asked for.
                try parsed.run()
                return 0
            }
            let session = try await Session.open(global, environment, terminal)
            try await command.run(session)
            return isToldWhole(terminal) ? 0 : 1
        } catch {
            return end(error, type, terminal, width)
        }
    }

    /// Whoever reads our output must not take a part of it for the whole. Who has closed it knows.
    private static func isToldWhole(_ terminal: any Terminal) -> Bool {
        guard let code = terminal.outputFailure else { return true }
        if code != EPIPE {
            terminal.complain("Error: \(SystemError(call: "write", subject: "standard output", code: code))\n")
        }
        return false
    }

    /// How wide help may be: as wide as the terminal, or as `COLUMNS` says; not so narrow that words have no place.
    private static func helpWidth(_ terminal: any Terminal, _ environment: [String: String]) -> Int {
        max(40, terminal.columns ?? environment["COLUMNS"].flatMap { Int($0) } ?? 80)
    }

    private static func unknown(_ name: String) -> String {
        let names = Matriarchctl.configuration.subcommands.map { $0._commandName }
        let near = names.first { !name.isEmpty && $0.hasPrefix(name) } ?? EditDistance.nearest(name, among: Set(names))
        return "No such command '\(name)'." + (near.map { " Did you mean '\($0)'?" } ?? "")
    }

    private static func end(
        _ error: any Error, _ type: any ParsableCommand.Type, _ terminal: any Terminal, _ width: Int
    ) -> Int32 {
        if let error = error as? CtlError { return end(error, type, terminal) }
        if error is ConfigurationError || error is DCSError || error is SystemError {
            terminal.complain("Error: \(error)\n")
            return 1
        }
        // ArgumentParser's: a request for help is one that ends well.
        if type.exitCode(for: error).isSuccess {
            terminal.write(type.fullMessage(for: error, columns: width) + "\n")
            return 0
        }
        return complain(type.message(for: error), type, terminal)
    }

    private static func end(
        _ error: CtlError, _ type: any ParsableCommand.Type, _ terminal: any Terminal
    ) -> Int32 {
        switch error {
        case .refused(let message):
            terminal.complain("Error: \(message)\n")
            return 1
        case .aborted:
            terminal.complain("Aborted!\n")
            return 1
        case .usage(let message): return complain(message, type, terminal)
        case .ended(let code): return code
        }
    }

    private static func complain(
        _ message: String, _ type: any ParsableCommand.Type, _ terminal: any Terminal
    ) -> Int32 {
        let words = type == Matriarchctl.self ? name : "\(name) \(type._commandName)"
        terminal.complain("Usage: \(type.usageString())\nTry '\(words) --help' for help.\n\nError: \(message)\n")
        return 2
    }
}
