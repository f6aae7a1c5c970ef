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
        guard let object = try? JSON.parse(bytes: request.body).object, !object.isEmpty else {
            return .refused(.stockError(400))
        }
        return .object(object)
    }

    /// For handlers that do without: missing and empty are `{}`, malformed is refused.
    static func optional(_ request: HTTPRequest) -> RequestBody {
        if request.body.isEmpty { return .object(JSONObject()) }
        guard let object = try? JSON.parse(bytes: request.body).object else { return .refused(.stockError(400)) }
        return .object(object)
    }
}
