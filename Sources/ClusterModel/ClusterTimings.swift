/// The three times from which all deadlines of the cluster derive (configuration.md §4).
public struct ClusterTimings: Sendable, Hashable {
    /// How long the leader's lease lives without renewal.
    public var ttl: Duration
    /// The longest pause between two cycles.
    public var loopWait: Duration
    /// How long a failing request to the DCS is repeated.
    public var retryTimeout: Duration

    public init(ttl: Duration = .seconds(30), loopWait: Duration = .seconds(10), retryTimeout: Duration = .seconds(10))
    {
        self.ttl = ttl
        self.loopWait = loopWait
        self.retryTimeout = retryTimeout
    }

    /// A time that is no whole number of seconds: it makes the whole document unfit (configuration.md §4.2).
    public struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        public let key: String
        public let found: JSONValue

        public var description: String { "\(key): found \(found.comparableText), allowed is a whole number of seconds" }
    }

    /// The times of a dynamic document, adjusted so that one load and one renewal of the lease fit into it
    /// (configuration.md §4.2), and what was adjusted in the peer's words. The document itself keeps its values.
    public static func adjusted(document: JSONObject) throws(Invalid) -> (timings: ClusterTimings, warnings: [String]) {
        var warnings: [String] = []
        func atLeast(_ minimum: Int64, _ key: String, _ otherwise: Int64) throws(Invalid) -> Int64 {
            let value = try seconds(document, key, otherwise)
            if value >= minimum { return value }
            warnings.append("\(key)=\(value) can't be smaller than \(minimum), adjusting...")
            return minimum
        }
        var loopWait = try atLeast(1, "loop_wait", 10)
        var retryTimeout = try atLeast(3, "retry_timeout", 10)
        let ttl = try atLeast(20, "ttl", 30)

        if 1 + 2 * retryTimeout > ttl {
            loopWait = 1
            retryTimeout = (ttl - 1) / 2
            warnings.append(
                "Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=\(ttl). "
                    + "Adjusting loop_wait to \(loopWait) and retry_timeout to \(retryTimeout)")
        } else if loopWait + 2 * retryTimeout > ttl {
            loopWait = ttl - 2 * retryTimeout
            warnings.append(
                "Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=\(ttl) and "
                    + "retry_timeout=\(retryTimeout). Adjusting loop_wait to \(loopWait)")
        }
        let timings = ClusterTimings(
            ttl: .seconds(ttl), loopWait: .seconds(loopWait), retryTimeout: .seconds(retryTimeout))
        return (timings, warnings)
    }

    /// More than a year is a slip of the pen, and sums of such times would overflow.
    private static let longest: Int64 = 366 * 86_400

    private static func seconds(_ document: JSONObject, _ key: String, _ otherwise: Int64) throws(Invalid) -> Int64 {
        guard let found = document[key] else { return otherwise }
        guard let value = whole(found), abs(value) <= longest else { throw Invalid(key: key, found: found) }
        return value
    }

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
