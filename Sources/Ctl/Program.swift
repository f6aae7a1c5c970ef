import ArgumentParser
import Configuration
import Ports
import Posix

/// `matriarchctl` as a function: words in, exit code out. Called as `patronictl` it says so.
public enum Program {
    static let ownName = "matriarchctl"
    static let peerName = "patronictl"

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
        let called = words.first.map(lastComponent) == peerName ? peerName : ownName
        return await $name.withValue(called) {
            await run(CommandLineWords(words.dropFirst()), environment, terminal)
        }
    }

    private static func run(
        _ words: CommandLineWords, _ environment: [String: String], _ terminal: any Terminal
    ) async -> Int32 {
        var type: any ParsableCommand.Type = Matriarchctl.self
        do {
            if words.command == nil, words.global.contains(where: { $0 == "--help" || $0 == "-h" }) {
                terminal.write(Matriarchctl.helpMessage(columns: terminal.columns) + "\n")
                return 0
            }
            let global = try GlobalOptions.parse(words.global)
            guard let name = words.command else {
                terminal.complain(Matriarchctl.helpMessage(columns: terminal.columns) + "\n")
                return 2
            }
            if name == "help" {
                let about = words.rest.first.flatMap(Matriarchctl.command) ?? Matriarchctl.self
                terminal.write(about.helpMessage(columns: terminal.columns) + "\n")
                return 0
            }
            guard let found = Matriarchctl.command(name) else { throw CtlError.usage("No such command '\(name)'.") }
            type = found
            var parsed = try found.parseAsRoot(words.rest)
            guard let command = parsed as? any CtlCommand else {
                // One of ArgumentParser's own: it ends with the text that was asked for.
                try parsed.run()
                return 0
            }
            let session = try await Session.open(global, environment, terminal)
            try await command.run(session)
            return 0
        } catch {
            return end(error, type, terminal)
        }
    }

    private static func end(
        _ error: any Error, _ type: any ParsableCommand.Type, _ terminal: any Terminal
    ) -> Int32 {
        switch error {
        case CtlError.refused(let message):
            terminal.complain("Error: \(message)\n")
            return 1
        case CtlError.aborted:
            terminal.complain("Aborted!\n")
            return 1
        case CtlError.usage(let message): return complain(message, type, terminal)
        case CtlError.ended(let code): return code
        case let error as ConfigurationError:
            terminal.complain("Error: \(error)\n")
            return 1
        case let error as DCSError:
            terminal.complain("Error: \(error)\n")
            return 1
        case let error as SystemError:
            terminal.complain("Error: \(error)\n")
            return 1
        default:
            // ArgumentParser's: a request for help is one that ends well.
            if type.exitCode(for: error).isSuccess {
                terminal.write(type.fullMessage(for: error, columns: terminal.columns) + "\n")
                return 0
            }
            return complain(type.message(for: error), type, terminal)
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
