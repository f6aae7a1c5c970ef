import CPlatform
import Glibc
import Posix

/// SIGHUP, SIGUSR1, SIGTERM and SIGINT as a stream.
enum Signals {
    /// The signals as they come, from now on.
    static func stream() throws(SystemError) -> AsyncStream<Int32> {
        let number = ms_catch_signals([SIGHUP, SIGUSR1, SIGTERM, SIGINT], 4)
        guard number >= 0 else { throw SystemError(call: "sigaction") }
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(8))
        try NamedThread.start("signals") {
            let pipe = FileDescriptor(owning: number)
            while let signals = try? pipe.read(count: 16), !signals.isEmpty {
                for signal in signals { continuation.yield(Int32(signal)) }
            }
            continuation.finish()
        }
        return stream
    }
}
