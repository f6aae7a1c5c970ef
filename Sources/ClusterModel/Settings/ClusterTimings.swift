/// The three times from which all deadlines of the cluster derive (configuration.md §4), and one that is within them.
public struct ClusterTimings: Sendable, Hashable {
    /// How long the leader's lease lives without renewal.
    public var ttl: Duration
    /// The longest pause between two cycles.
    public var loopWait: Duration
    /// How long a failing request to the DCS is repeated.
    public var retryTimeout: Duration
    /// `failsafe_timeout`, ours: how long the answers of the others are waited for; nil for what follows from the ttl.
    public var failsafeTimeout: Duration?

    public init(
        ttl: Duration = .seconds(30), loopWait: Duration = .seconds(10), retryTimeout: Duration = .seconds(10),
        failsafeTimeout: Duration? = nil
    ) {
        self.ttl = ttl
        self.loopWait = loopWait
        self.retryTimeout = retryTimeout
        self.failsafeTimeout = failsafeTimeout
    }

    /// A time that is no whole number of seconds: it makes the whole document unfit (configuration.md §4.2).
    public struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        public let key: String
        public let found: JSONValue

        public var description: String { "\(key): found \(found.comparableText), allowed is a whole number of seconds" }
    }

    /// The least ttl of a cluster with a member that is Patroni's: it goes by no shorter one (configuration.md §4.2).
    public static let sharedMinimum = Duration.seconds(20)
    /// The least ttl where all members are ours: below it the margins that end writes in time would leave less than
    /// half of a lease for renewals.
    public static let ownMinimum = Duration.seconds(3)

    /// The times of a dynamic document, adjusted so that one load and one renewal of the lease fit into it
    /// (configuration.md §4.2), and what was adjusted in Patroni's words. The document itself keeps its values.
    ///
    /// `isShared`: a member of the cluster is Patroni's. From a ttl of 20 s on the outcome is the same either way.
    /// Below it `loop_wait` and `retry_timeout` are often left at their defaults, which do not fit: then they become
    /// 1 s and half of what is left, in milliseconds.
    public static func adjusted(
        document: JSONObject, isShared: Bool = false
    ) throws(Invalid) -> (timings: ClusterTimings, warnings: [String]) {
        var found = try adjustedByPeersRule(document, isShared)
        let (timeout, warning) = failsafeTimeout(document, ttl: found.timings.ttl)
        found.timings.failsafeTimeout = timeout
        if let warning { found.warnings.append(warning) }
        return found
    }

    private static func adjustedByPeersRule(
        _ document: JSONObject, _ isShared: Bool
    ) throws(Invalid) -> (timings: ClusterTimings, warnings: [String]) {
        var warnings: [String] = []
        func atLeast(_ minimum: Int64, _ key: String, _ otherwise: Int64) throws(Invalid) -> Int64 {
            let value = try seconds(document, key, otherwise)
            if value >= minimum { return value }
            warnings.append("\(key)=\(value) can't be smaller than \(minimum), adjusting...")
            return minimum
        }
        var loopWait = try atLeast(1, "loop_wait", 10)
        let ttl = try atLeast((isShared ? sharedMinimum : ownMinimum).components.seconds, "ttl", 30)
        let isShort = ttl < sharedMinimum.components.seconds
        let retryTimeout = try atLeast(isShort ? 1 : 3, "retry_timeout", 10)

        if 1 + 2 * retryTimeout > ttl {
            let fitting = isShort ? Duration.milliseconds((ttl - 1) * 500) : .seconds((ttl - 1) / 2)
            warnings.append(
                "Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=\(ttl). "
                    + "Adjusting loop_wait to 1 and retry_timeout to \(inSeconds(fitting))")
            return (ClusterTimings(ttl: .seconds(ttl), loopWait: .seconds(1), retryTimeout: fitting), warnings)
        }
        if loopWait + 2 * retryTimeout > ttl {
            loopWait = ttl - 2 * retryTimeout
            warnings.append(
                "Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=\(ttl) and "
                    + "retry_timeout=\(retryTimeout). Adjusting loop_wait to \(loopWait)")
        }
        let timings = ClusterTimings(
            ttl: .seconds(ttl), loopWait: .seconds(loopWait), retryTimeout: .seconds(retryTimeout))
        return (timings, warnings)
    }

    /// `2`, or `1.5`.
    private static func inSeconds(_ duration: Duration) -> String {
        let milliseconds = duration.nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)" : "\(Double(milliseconds) / 1000)"
    }

    /// More than a year is a slip of the pen, and sums of such times would overflow.
    private static let longest: Int64 = 366 * 86_400

    private static func seconds(_ document: JSONObject, _ key: String, _ otherwise: Int64) throws(Invalid) -> Int64 {
        guard let found = document[key] else { return otherwise }
        guard let value = whole(found), abs(value) <= longest else { throw Invalid(key: key, found: found) }
        return value
    }

    /// Whether a value may stand for one of the times.
    public static func isSeconds(_ value: JSONValue) -> Bool { whole(value).map { abs($0) <= longest } ?? false }

    /// Reals are cut, texts must be whole numbers.
    private static func whole(_ value: JSONValue) -> Int64? {
        switch value {
        case .int(let value): value == .min ? nil : value
        case .double(let value): value.magnitude < 1e15 ? Int64(value) : nil
        case .bool(let value): value ? 1 : 0
        case .string(let text): Int64(Substring(text).trimmed)
        case .null, .array, .object: nil
        }
    }
}
