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
        return parsed(request) { $0.isEmpty ? "the object is empty" : nil }
    }

    /// For handlers that do without: missing and empty are `{}`, malformed is refused.
    static func optional(_ request: HTTPRequest) -> RequestBody {
        if request.body.isEmpty { return .object(JSONObject()) }
        return parsed(request) { _ in nil }
    }

    private static let valuesMax = DynamicDocumentRules.valuesMax

    private static func parsed(_ request: HTTPRequest, objection: (JSONObject) -> String?) -> RequestBody {
        do throws(JSON.SyntaxError) {
            let value = try JSON.parse(bytes: request.body)
            var left = valuesMax
            guard let object = value.object else { return refused("the body is a JSON object") }
            if !count(value, &left) { return refused("the body holds at most \(valuesMax) values") }
            return objection(object).map(refused) ?? .object(object)
        } catch {
            return refused("\(error)")
        }
    }

    private static func refused(_ why: String) -> RequestBody {
        .refused(.stockError(400, explanation: why))
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
