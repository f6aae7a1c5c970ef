import CPlatform
import Ctl
import Glibc
import Posix

/// `matriarchctl`, called also as `patronictl`. The main thread is left to the kernel: nothing runs there.
@main
enum Main {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        // The next file that is opened would take the place of a standard stream that is closed. There is nothing to
        // be read there, and what is written is refused.
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 { _ = open("/dev/null", O_RDONLY) }
        let words = CommandLine.arguments
        let terminal = ConsoleTerminal()
        do throws(SystemError) {
            try endOnSignals(terminal)
        } catch {
            terminal.complain("\(error)\n")
            exit(1)
        }
        let environment = ProcessEnvironment.variables
        ToolLog.start(environment, terminal)
        Task.detached {
            let code = await Program.run(words, environment: environment, terminal: terminal)
            // Ctrl-C has the last word, also where it ended what was waited for.
            if !terminal.isEnding { exit(code) }
        }
        while true { pause() }
    }

    /// Ctrl-C at any moment: the terminal is as it was before, and it is said in what state things are left.
    private static func endOnSignals(_ terminal: ConsoleTerminal) throws(SystemError) {
        let end = ms_catch_signals([SIGINT, SIGQUIT, SIGTERM, SIGHUP], 4)
        guard end >= 0 else { throw SystemError(call: "pipe") }
        try NamedThread.start("signals") {
            var number: UInt8 = 0
            repeat {
                guard retryingInterrupts({ read(end, &number, 1) }) == 1 else { return }
            } while terminal.isWithAnother && [SIGINT, SIGQUIT].contains(Int32(number))
            terminal.restore()
            let note = terminal.interrupt().map { "\($0)\n" } ?? ""
            terminal.complain("\n\(note)Aborted!\n")
            exit(1)
        }
    }
}
