import ClusterAccess
import ClusterModel
import Configuration
import Ports

/// What one run of the program goes by: who sits before it, and where the clusters are.
struct Session: Sendable {
    let terminal: any Terminal
    let environment: [String: String]
    let configuration: ToolConfiguration
    /// Certificates are not checked: the configuration says so, or the command line.
    let isInsecure: Bool
    /// What takes warnings in place of standard error.
    private var warnings: (@Sendable (String) -> Void)?
    private let clock: any Ports.Clock = SystemClock()

    static func open(
        _ global: GlobalOptions, _ environment: [String: String], _ terminal: any Terminal
    ) async throws -> Session {
        let path = global.configurationFile ?? environment["PATRONICTL_CONFIG_FILE"]
        let storeURL = global.storeURL ?? environment["DCS_URL"]
        let configuration = try await offPool {
            try ToolConfiguration.load(path: path, storeURL: storeURL, environment: environment)
        }
        return Session(
            terminal: terminal, environment: environment, configuration: configuration,
            isInsecure: configuration.ctl.isInsecure || global.isInsecure)
    }

    private init(
        terminal: any Terminal, environment: [String: String], configuration: ToolConfiguration, isInsecure: Bool
    ) {
        self.terminal = terminal
        self.environment = environment
        self.configuration = configuration
        self.isInsecure = isInsecure
    }

    /// The cluster of the configuration.
    var scope: String? { configuration.scope }

    /// The Citus group of the configuration.
    var group: Int? { configuration.citus?.group }

    // MARK: Time

    var now: BootInstant { clock.now() }

    /// Nanoseconds since the epoch.
    var wallTime: Int64 { clock.wallTime() }

    func pause(_ length: Duration) async { await clock.sleep(until: now + length) }

    /// The cluster that is named, or the one of the configuration.
    func clusterName(_ given: String?) throws(CtlError) -> String {
        if let given { return given }
        if let scope = configuration.scope { return scope }
        throw .usage("Missing argument 'CLUSTER_NAME', and the configuration has no scope.")
    }

    /// A line of a log, as Patroni's tool writes it to standard error.
    func warn(_ message: String) {
        let line = "\(LocalTime.milliseconds(wallTime)) - WARNING - \(message)"
        if let warnings { return warnings(line) }
        terminal.complain("\(line)\n")
    }

    /// The same with `take` for its warnings, line by line.
    func warning(_ take: @escaping @Sendable (String) -> Void) -> Session {
        var session = self
        session.warnings = take
        return session
    }

    // MARK: Questions

    /// Asks for a text; with a default an empty answer is that.
    func ask(_ question: String, default standard: String? = nil) async throws -> String {
        while true {
            terminal.write(standard.map { "\(question) [\($0)]: " } ?? "\(question): ")
            guard let answer = try await terminal.readLine() else { throw CtlError.aborted }
            if !answer.isEmpty { return answer }
            if let standard { return standard }
        }
    }

    /// Asks for a whole number.
    func askNumber(_ question: String) async throws -> Int {
        while true {
            let answer = try await ask(question)
            if let number = Int(answer) { return number }
            terminal.write("Error: '\(answer)' is not a valid integer.\n")
        }
    }

    /// Asks for yes or no; no is what an empty answer means.
    func confirms(_ question: String) async throws -> Bool {
        while true {
            terminal.write("\(question) [y/N]: ")
            guard let answer = try await terminal.readLine() else { throw CtlError.aborted }
            switch answer.lowercased() {
            case "y", "yes": return true
            case "", "n", "no": return false
            default: terminal.write("Error: invalid input\n")
            }
        }
    }

    /// Ends what would go on for ever for nobody: whoever read our output has closed it.
    func stopWithoutReader() throws(CtlError) {
        if terminal.isOutputLost { throw .ended(1) }
    }

    /// Runs `body` once, or again and again on a cleared screen.
    func repeating(_ options: WatchOptions, clears: Bool = true, _ body: () async throws -> Void) async throws {
        guard let interval = options.interval else { return try await body() }
        while true {
            let begin = now
            if clears, terminal.isTerminal { terminal.write("\u{1B}[2J\u{1B}[1;1H") }
            try await body()
            try stopWithoutReader()
            await clock.sleep(until: begin + interval)
        }
    }
}
