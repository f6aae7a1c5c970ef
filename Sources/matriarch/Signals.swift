import CPlatform
import Glibc
import Posix

/// SIGHUP, SIGTERM and SIGINT as a stream, by signalfd on a thread of their own; SIGPIPE is ignored.
enum Signals {
    /// Call before the first thread starts: a signal that some thread does not block would end the process.
    static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        var mask = waitedFor()
        pthread_sigmask(SIG_BLOCK, &mask, nil)
    }

    /// The signals as they come.
    static func stream() throws(SystemError) -> AsyncStream<Int32> {
        var mask = waitedFor()
        let number = signalfd(-1, &mask, Int32(SFD_CLOEXEC))
        guard number >= 0 else { throw SystemError(call: "signalfd") }
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(8))
        try NamedThread.start("signals") {
            var info = signalfd_siginfo()
            let size = MemoryLayout<signalfd_siginfo>.size
            while retryingInterrupts({ Glibc.read(number, &info, size) }) == size {
                continuation.yield(Int32(info.ssi_signo))
            }
            continuation.finish()
        }
        return stream
    }

    private static func waitedFor() -> sigset_t {
        var mask = sigset_t()
        sigemptyset(&mask)
        for signal in [SIGHUP, SIGTERM, SIGINT] { sigaddset(&mask, signal) }
        return mask
    }
}
