/// What a daemon may ask of its guardian. Each request is answered by one `GuardianReply`, in order.
public enum GuardianRequest: Sendable, Hashable {
    /// Nothing changes; the answer tells how things stand.
    case status
    /// Starts a postmaster as the guardian's child. Refused while one runs.
    case launch(Launch)
    /// PostgreSQL may accept writes until the end of this lease and no longer. `postmaster` is watched where it runs
    /// and is no child of the guardian's; 0 for none.
    /// The watchdog is petted as long as that lasts.
    case enforce(GuardedLease, postmaster: Int32, watchdog: GuardedWatchdog? = nil)
    /// Nothing is enforced any more: PostgreSQL is down or a standby, or the cluster is paused.
    case disarm
    /// How the daemon is to be started again if it dies.
    case keepAlive(Launch)
    /// A daemon begins that somebody else has started: one that the guardian has started, or is about to, gives way.
    case takeOver
    /// The daemon ends in order: it is not started again, and without a postmaster the guardian ends too.
    case goodbye

    /// A program, and how it is started.
    public struct Launch: Sendable, Hashable {
        public var executable: String
        /// With the program's own name.
        public var arguments: [String]
        /// `NAME=value`.
        public var environment: [String]
        public var workingDirectory: String
        /// Never accepts writes as it is started: an earlier lease ends here.
        public var isStandby: Bool

        public init(
            executable: String, arguments: [String], environment: [String], workingDirectory: String,
            isStandby: Bool = false
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.workingDirectory = workingDirectory
            self.isStandby = isStandby
        }
    }

    public var message: GuardianMessage {
        switch self {
        case .status: return GuardianMessage("status")
        case .launch(let launch): return Self.message("launch", launch)
        case .keepAlive(let launch): return Self.message("keepalive", launch)
        case .disarm: return GuardianMessage("disarm")
        case .takeOver: return GuardianMessage("takeover")
        case .goodbye: return GuardianMessage("goodbye")
        case .enforce(let lease, let postmaster, let watchdog):
            var message = GuardianMessage("enforce")
            watchdog?.add(to: &message)
            lease.add(to: &message)
            message.add("postmaster", Int64(postmaster))
            return message
        }
    }

    public init(_ message: GuardianMessage) throws(GuardianMessage.Malformed) {
        switch message.verb {
        case "status": self = .status
        case "launch": self = .launch(try Self.launch(message))
        case "keepalive": self = .keepAlive(try Self.launch(message))
        case "disarm": self = .disarm
        case "takeover": self = .takeOver
        case "goodbye": self = .goodbye
        case "enforce":
            guard let lease = try GuardedLease(message), let pid = Int32(exactly: try message.number("postmaster")),
                pid >= 0
            else { throw .init("enforce without a lease or with a pid that is none") }
            self = .enforce(lease, postmaster: pid, watchdog: try GuardedWatchdog(message))
        default: throw .init("no such request: \(message.verb.prefix(40))")
        }
    }

    private static func message(_ verb: String, _ launch: Launch) -> GuardianMessage {
        var message = GuardianMessage(verb)
        message.add("executable", launch.executable)
        message.add("directory", launch.workingDirectory)
        message.add("standby", launch.isStandby ? 1 : 0)
        for argument in launch.arguments { message.add("argument", argument) }
        for entry in launch.environment { message.add("environment", entry) }
        return message
    }

    private static func launch(_ message: GuardianMessage) throws(GuardianMessage.Malformed) -> Launch {
        Launch(
            executable: try message.text("executable"), arguments: message.texts("argument"),
            environment: message.texts("environment"), workingDirectory: try message.text("directory"),
            isStandby: try message.number("standby") != 0)
    }
}

/// A lease as the guardian keeps it: CLOCK_BOOTTIME, in nanoseconds. Another node may lead from `since + ttl` on.
public struct GuardedLease: Sendable, Hashable {
    /// Before the request that won or renewed the lease was sent.
    public var since: Int64
    public var ttl: Int64
    /// Kept free before the end for killing PostgreSQL.
    public var margin: Int64
    /// The store's name for the session.
    public var session: String

    public init(since: Int64, ttl: Int64, margin: Int64, session: String) {
        self.since = since
        self.ttl = ttl
        self.margin = margin
        self.session = session
    }

    /// From here on another node may lead.
    public var deadline: Int64 { since + ttl }

    func add(to message: inout GuardianMessage) {
        message.add("since", since)
        message.add("ttl", ttl)
        message.add("margin", margin)
        message.add("session", session)
    }

    /// Nil where the message carries none; times that no lease can have are malformed.
    init?(_ message: GuardianMessage) throws(GuardianMessage.Malformed) {
        guard message.has("since") else { return nil }
        since = try message.number("since")
        ttl = try message.number("ttl")
        margin = try message.number("margin")
        session = try message.text("session")
        // A year: sums of larger numbers might overflow.
        let longest: Int64 = 366 * 86_400 * 1_000_000_000
        guard since >= 0, since < longest * 100, (1...longest).contains(ttl), (0...ttl).contains(margin) else {
            throw .init("a lease of \(ttl) ns with a margin of \(margin) ns since \(since)")
        }
    }
}
