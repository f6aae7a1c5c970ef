import CPlatform
import Ctl
import Glibc
import Posix

/// `matriarchctl`, called also as `patronictl`. The main thread is left to the kernel: nothing runs there.
@main
enum Main {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
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
        Task.detached { exit(await Program.run(words, environment: environment, terminal: terminal)) }
        while true { pause() }
    }

    /// Ctrl-C at any moment: the terminal is as it was before, and it is said in what state things are left.
    private static func endOnSignals(_ terminal: ConsoleTerminal) throws(SystemError) {
        let end = ms_catch_signals([SIGINT, SIGTERM, SIGHUP], 3)
        guard end >= 0 else { throw SystemError(call: "pipe") }
        try NamedThread.start("signals") {
            var number: UInt8 = 0
            repeat {
                guard retryingInterrupts({ read(end, &number, 1) }) == 1 else { return }
            } while terminal.isWithAnother && Int32(number) == SIGINT
            terminal.restore()
            let note = terminal.interruptionNote.map { "\($0)\n" } ?? ""
            terminal.complain("\n\(note)Aborted!\n")
            exit(1)
        }
    }
}
