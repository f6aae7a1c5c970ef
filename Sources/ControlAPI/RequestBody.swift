import ClusterModel
import HTTPServer
import JSON

/// The JSON object in a request's body, or the answer that refuses it (rest-api.md §12.1).
enum RequestBody {
    case object(JSONObject)
    case refused(HTTPResponse)

    /// For handlers that need a body: missing, empty, malformed and `{}` are all refused.
    static func required(_ request: HTTPRequest) -> RequestBody {
        if request.body.isEmpty && !request.headers.contains("Content-Length") { return .refused(.stockError(411)) }
        guard let object = parsed(request), !object.isEmpty else { return .refused(.stockError(400)) }
        return .object(object)
    }

    /// For handlers that do without: missing and empty are `{}`, malformed is refused.
    static func optional(_ request: HTTPRequest) -> RequestBody {
        if request.body.isEmpty { return .object(JSONObject()) }
        guard let object = parsed(request) else { return .refused(.stockError(400)) }
        return .object(object)
    }

    /// Merging and comparing look keys up one by one, which is quick for what people write.
    private static let valuesMax = 8192

    private static func parsed(_ request: HTTPRequest) -> JSONObject? {
        guard let value = try? JSON.parse(bytes: request.body) else { return nil }
        var left = valuesMax
        return count(value, &left) ? value.object : nil
    }

    /// Counts `left` down by every value within `value`; false when there are more.
    private static func count(_ value: JSONValue, _ left: inout Int) -> Bool {
        left -= 1
        if left < 0 { return false }
        switch value {
        case .null, .bool, .int, .double, .string: return true
        case .array(let values): return values.allSatisfy { count($0, &left) }
        case .object(let object): return object.members.allSatisfy { count($0.value, &left) }
        }
    }
}
