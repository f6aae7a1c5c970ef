import CPlatform
import Glibc

/// An open descriptor with one owner, closed when the owner lets go of it.
public struct FileDescriptor: ~Copyable, Sendable {
    /// The descriptor's number; valid as long as this value lives.
    public let number: Int32

    /// Takes over `number`, which must be open and owned by nobody else.
    public init(owning number: Int32) { self.number = number }

    deinit { Glibc.close(number) }

    /// Gives the number away without closing it.
    public consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    /// Opens a file, close-on-exec.
    public static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) -> FileDescriptor
    {
        let number = retryingInterrupts { ms_open(path, flags | O_CLOEXEC, mode) }
        guard number >= 0 else { throw SystemError(call: "open", subject: path) }
        return FileDescriptor(owning: number)
    }

    /// The two ends of a pipe, close-on-exec, for the caller to own: what is written into the second is read from the
    /// first.
    public static func pipe() throws(SystemError) -> (output: Int32, input: Int32) {
        var ends: [Int32] = [-1, -1]
        guard ms_pipe(&ends) == 0 else { throw SystemError(call: "pipe") }
        return (ends[0], ends[1])
    }

    /// Reads once, at most `count` bytes; empty at the end of the file.
    public func read(count: Int) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let got = retryingInterrupts { Glibc.read(number, buffer.baseAddress, count) }
            if got < 0 { failure = SystemError(call: "read") }
            initialized = max(0, got)
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes all of `bytes`; for files and pipes that block.
    public func write(_ bytes: some Sequence<UInt8>) throws(SystemError) {
        let bytes = Array(bytes)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
                return retryingInterrupts { Glibc.write(number, rest.baseAddress, rest.count) }
            }
            guard count >= 0 else { throw SystemError(call: "write") }
            written += count
        }
    }

    /// Makes what was written durable.
    public func synchronize() throws(SystemError) {
        guard retryingInterrupts({ fsync(number) }) == 0 else { throw SystemError(call: "fsync") }
    }
}
