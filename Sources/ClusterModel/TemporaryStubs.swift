public struct ClusterTimings: Sendable, Hashable {
    public var ttl: Duration
    public var loopWait: Duration
    public var retryTimeout: Duration
    public init(ttl: Duration = .seconds(30), loopWait: Duration = .seconds(10), retryTimeout: Duration = .seconds(10))
    {
        self.ttl = ttl
        self.loopWait = loopWait
        self.retryTimeout = retryTimeout
    }
    static func adjusted(document: JSONObject) throws -> (timings: ClusterTimings, warnings: [String]) {
        (ClusterTimings(), [])
    }
}
public enum ValueParsing {
    enum U { case seconds }
    static func bool(_ v: JSONValue?) -> Bool? { v?.bool }
    static func integer(_ v: JSONValue?, unit: U?) -> Int64? { v?.int }
}
extension ValueParsing {
    public static func bytes(_ text: String) -> Int64? { Int64(text) }
}
