import CPlatform
import Glibc

/// The watchdog of the host: a device that resets it when nobody has written to it for a while (ha-loop.md §26).
/// Nothing here waits: the guardian has one thread.
public struct Watchdog: Sendable {
    /// Why it could not be opened or set; nil where it could.
    public private(set) var failure: String?
    /// How long it waits for the next pet, in seconds, by its own word; 0 while it is off.
    public private(set) var timeout: Int32 = 0
    private var descriptor: Int32 = -1
    private var wanted = Wanted(device: "", timeout: 0, minimum: 0, isTesting: false)
    private var canBeDisabled = false

    /// How it is wanted; times in seconds.
    public struct Wanted: Sendable, Hashable {
        public var device: String
        public var timeout: Int32
        /// One with a shorter timeout cannot be petted in time.
        public var minimum: Int32
        /// No device, but a file or pipe that is written to as one (observable-text.md §6).
        public var isTesting: Bool

        public init(device: String, timeout: Int32, minimum: Int32, isTesting: Bool) {
            self.device = device
            self.timeout = timeout
            self.minimum = minimum
            self.isTesting = isTesting
        }
    }

    public init() {}

    public var isOn: Bool { descriptor >= 0 }

    /// Opens it and sets its timeout, as far as that is not done already. What stands in the way is in `failure`.
    public mutating func activate(_ wanted: Wanted) {
        if isOn, wanted.device != self.wanted.device || wanted.isTesting != self.wanted.isTesting { disable() }
        if isOn, wanted == self.wanted { return }
        if !isOn {
            descriptor = ms_open(wanted.device, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0)
            guard isOn else { return failure = Self.reason("cannot open \(wanted.device)") }
        }
        self.wanted = wanted
        failure = nil
        setTimeout()
        guard timeout < wanted.minimum else { return }
        failure = "\(wanted.device) waits for \(timeout) s only, needed are \(wanted.minimum)"
        disable()
    }

    private mutating func setTimeout() {
        timeout = wanted.timeout
        if wanted.isTesting {
            canBeDisabled = true
            return write("Ctimeout=\(wanted.timeout)\n")
        }
        let options = ms_watchdog_options(descriptor)
        canBeDisabled = options & Self.magicClose != 0
        if options & Self.setsTimeout != 0 { _ = ms_watchdog_set_timeout(descriptor, min(wanted.timeout, 65_534)) }
        let actual = ms_watchdog_timeout(descriptor)
        if actual > 0 { timeout = actual }
    }

    /// Puts its reset off by `timeout` from now.
    public mutating func pet() { if isOn { write("1") } }

    /// Switches it off, where it can be; one that cannot resets the host when its timeout has passed.
    public mutating func disable() {
        guard isOn else { return }
        write(canBeDisabled ? "V" : "1")
        if isOn { close(descriptor) }
        descriptor = -1
        timeout = 0
    }

    /// Whether closing it switches it off.
    public var resetsAfterClosing: Bool { isOn && !canBeDisabled }

    private mutating func write(_ text: String) {
        let bytes = Array(text.utf8)
        if Glibc.write(descriptor, bytes, bytes.count) == bytes.count || errno == EAGAIN || errno == EINTR { return }
        // Opened again with the next renewal.
        failure = Self.reason("cannot write to \(wanted.device)")
        close(descriptor)
        descriptor = -1
        timeout = 0
    }

    private static func reason(_ what: String) -> String { "\(what): \(String(cString: strerror(errno)))" }

    private static let setsTimeout: UInt32 = 0x80
    private static let magicClose: UInt32 = 0x100
}
