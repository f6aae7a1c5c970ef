/// What `postmaster.pid` says (postgresql.md §4): pid, data directory, start time, port, socket directory, listen
/// address, shared memory key, status, each on a line of its own. A server that is just starting has written only the
/// first lines.
struct PostmasterPidFile: Sendable, Hashable {
    /// Positive.
    var pid: Int32
    /// A single-user server: it writes its pid negated, and we must not stop it.
    var isSingleUser: Bool
    var dataDirectory: String?
    /// Seconds since the epoch.
    var startTime: Int64?
    /// Where the server listens, which the configuration may no longer say: nil until it has got so far.
    var port: Int?
    var socketDirectory: String?
    /// `*`, or the first address.
    var listenAddress: String?
    /// The server says that it accepts connections.
    var isReady: Bool
    /// The server says that it does not yet.
    var isStarting: Bool

    /// The server says that it was told to stop.
    var isStopping: Bool

    /// Nil for a file that does not begin with a pid: empty, or cut short while it was written.
    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmed }
        guard let first = lines.first, let number = Int32(first), number != 0, number != .min else { return nil }
        pid = abs(number)
        isSingleUser = number < 0
        func line(_ index: Int) -> String? { lines.count > index && !lines[index].isEmpty ? lines[index] : nil }
        dataDirectory = line(1)
        startTime = line(2).flatMap { Int64($0) }
        port = line(3).flatMap { Int($0) }
        socketDirectory = line(4)
        listenAddress = line(5)
        isReady = line(7) == "ready"
        isStarting = line(7) == "starting"
        isStopping = line(7) == "stopping"
    }
}
