import Glibc

/// A system call that failed: which, upon what, and why.
public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The call, as in its manual page: `open`.
    public let call: String
    /// What it was called upon: a path, an address; empty where nothing has a name.
    public let subject: String
    /// The value of errno.
    public let code: Int32

    /// The failure of `call`; without a `code` that of errno at this moment.
    public init(call: String, subject: String = "", code: Int32? = nil) {
        let last = errno
        self.call = call
        self.subject = subject
        self.code = code ?? last
    }

    public var description: String {
        let reason = SystemError.message(code)
        return subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
    }

    /// The text of an errno value.
    public static func message(_ code: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress, strerror_r(code, base, buffer.count) == 0 else {
                return "error \(code)"
            }
            return String(cString: base)
        }
    }
}

/// Repeats a call that a signal interrupted; the one place where EINTR is handled.
@inline(__always)
public func retryingInterrupts<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}
