import ClusterAccess
import ClusterModel
import Glibc
import Posix
import Synchronization

/// The process's own standard streams.
public final class ConsoleTerminal: Terminal {
    private let isOutputTerminal: Bool
    /// What was read and not yet asked for.
    private let buffer = Mutex<[UInt8]>([])
    private let interruption = Mutex<(@Sendable () -> String)?>(nil)
    private let ending = Mutex(false)
    private let isLent = Mutex(false)
    private let holdsScreen = Mutex(false)
    /// The terminal's settings while typed text is hidden.
    private let shown = Mutex<termios?>(nil)

    private let failure = Mutex<Int32?>(nil)

    public init() { isOutputTerminal = isatty(1) == 1 }

    public var isTerminal: Bool { isOutputTerminal }

    public var isOutputLost: Bool {
        var output = pollfd(fd: 1, events: 0, revents: 0)
        return poll(&output, 1, 0) == 1 && output.revents & Int16(POLLERR | POLLHUP) != 0
    }

    public var columns: Int? { size.map { Int($0.ws_col) } }

    public var lines: Int? { size.map { Int($0.ws_row) } }

    private var size: winsize? {
        var size = winsize()
        guard isOutputTerminal, ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return size
    }

    public var outputFailure: Int32? { failure.withLock { $0 } }

    public func write(_ text: String) {
        if isEnding { return }
        guard let code = put(text, to: 1) else { return }
        failure.withLock { $0 = $0 ?? code }
    }

    /// Nobody is left to tell when this fails.
    public func complain(_ text: String) { _ = put(text, to: 2) }

    /// Nil, or why it was not all written.
    private func put(_ text: String, to number: Int32) -> Int32? {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { buffer in
                retryingInterrupts { Glibc.write(number, buffer.baseAddress, buffer.count) }
            }
            if count <= 0 { return count < 0 ? errno : EIO }
            bytes = bytes.dropFirst(count)
        }
        return nil
    }

    public func onInterruption(_ tell: (@Sendable () -> String)?) { interruption.withLock { $0 = tell } }

    public func lend(_ isLent: Bool) { self.isLent.withLock { $0 = isLent } }

    /// Whether another program has the terminal now.
    public var isWithAnother: Bool { isLent.withLock { $0 } }

    /// Does what is to be done when Ctrl-C ends the program; what there is to say.
    public func interrupt() -> String? {
        ending.withLock { $0 = true }
        return interruption.withLock { $0 }?()
    }

    /// Whether Ctrl-C ends the program: what comes of its work now is nobody's any more.
    public var isEnding: Bool { ending.withLock { $0 } }

    public func readLine() async throws -> String? { try await offPool { [self] in try nextLine() } }

    public func readSecret() async throws -> String? {
        try await offPool { [self] in
            hide()
            defer {
                restore()
                complain("\n")
            }
            return try nextLine()
        }
    }

    public func readAll() async throws -> [UInt8] {
        try await offPool { [self] in
            while try fill() {}
            return buffer.withLock { rest in
                defer { rest = [] }
                return rest
            }
        }
    }

    // MARK: The screen

    private static let hold = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J"
    private static let release = "\u{1B}[?25h\u{1B}[?1049l"

    public func holdScreen(_ isHeld: Bool) {
        if !isHeld { return restore() }
        holdsScreen.withLock { $0 = true }
        // Stopped in the middle it would leave the shell on a screen that is ours; q ends it.
        hide(~tcflag_t(ECHO | ICANON), staysInFront: true)
        write(Self.hold)
    }

    public func readKey(within patience: Duration) async -> UInt8? {
        let end = BootClock.now() + patience
        return try? await offPool {
            var wanted = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
            while true {
                let left = (end - BootClock.now()).nanoseconds / 1_000_000
                // A screen that changes its size interrupts: then there is no key, and all is drawn anew.
                guard left > 0, poll(&wanted, 1, Int32(clamping: left)) == 1 else { return nil }
                var key: UInt8 = 0
                let count = Glibc.read(0, &key, 1)
                if count == 1 { return key }
                // Nobody types: the time is waited out.
                if count == 0 { wanted.fd = -1 }
            }
        }
    }

    /// What a person types is shown again; also for whoever ends the program in the middle of it.
    public func restore() {
        if holdsScreen.withLock({ held in
            defer { held = false }
            return held
        }) {
            write(Self.release)
        }
        shown.withLock { settings in
            guard var known = settings else { return }
            tcsetattr(0, TCSANOW, &known)
            settings = nil
        }
    }

    private func hide(_ mask: tcflag_t = ~tcflag_t(ECHO), staysInFront: Bool = false) {
        var settings = termios()
        guard isatty(0) == 1, tcgetattr(0, &settings) == 0 else { return }
        shown.withLock { $0 = settings }
        settings.c_lflag &= mask
        // The place of VSUSP, which stands for no key with zero.
        if staysInFront { settings.c_cc.10 = 0 }
        tcsetattr(0, TCSAFLUSH, &settings)
    }

    private func nextLine() throws -> String? {
        while true {
            let (line, isEmpty) = buffer.withLock { rest -> (String?, Bool) in
                guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return (nil, rest.isEmpty) }
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeFirst(end + 1)
                return (line, false)
            }
            if let line { return line }
            if try fill() { continue }
            if isEmpty { return nil }
            return buffer.withLock { rest in
                defer { rest = [] }
                return String(decoding: rest, as: UTF8.self)
            }
        }
    }

    /// The most that is taken from standard input.
    private static let inputMax = 16 << 20

    /// Reads more; false at the end of input.
    private func fill() throws -> Bool {
        var part = [UInt8](repeating: 0, count: 4096)
        let count = retryingInterrupts { Glibc.read(0, &part, part.count) }
        if count < 0 { throw SystemError(call: "read", subject: "standard input") }
        return try buffer.withLock { rest in
            rest += part[..<count]
            if rest.count > Self.inputMax { throw SystemError(call: "read", subject: "standard input", code: EFBIG) }
            return count > 0
        }
    }
}
