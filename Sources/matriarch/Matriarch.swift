import ClusterAccess
import Configuration
import Glibc
import Posix

/// The daemon. The main thread is left to the kernel: nothing runs there.
@main
enum Matriarch {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        Task.detached { exit(await Matriarch.run(arguments)) }
        while true { pause() }
    }

    private static func run(_ arguments: [String]) async -> Int32 {
        let command: Arguments
        do throws(Arguments.Invalid) {
            command = try Arguments(arguments)
        } catch {
            Terminal.error("matriarch: \(error.message)\n\(Arguments.usage)")
            return 2
        }
        switch command.mode {
        case .help:
            Terminal.output(Arguments.usage)
            return 0
        case .version:
            Terminal.output("matriarch \(Version.own) (peer of Patroni \(Version.patroni))")
            return 0
        case .reference:
            Terminal.output(SettingReference.page)
            return 0
        case .validate: return await Validation.run(command)
        case .sample: return await Generation.sample(command.configuration)
        case .generate: return await Generation.running(command.configuration, connection: command.connection)
        case .run: return await Daemon.run(command.configuration)
        }
    }
}

/// The terminal, for what is said before there is a log.
enum Terminal {
    static func output(_ text: String) { write(text, to: 1) }
    static func error(_ text: String) { write(text, to: 2) }

    private static func write(_ text: String, to number: Int32) {
        let bytes = Array((text + "\n").utf8)
        // Nobody is left to tell when this fails.
        _ = retryingInterrupts { Glibc.write(number, bytes, bytes.count) }
    }
}
