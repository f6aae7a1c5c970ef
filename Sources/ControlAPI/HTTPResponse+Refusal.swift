import HTTPServer
import HighAvailability

extension HTTPResponse {
    /// How a request that the rules refuse is answered.
    static func refused(_ refusal: SwitchoverRequest.Refusal) -> HTTPResponse {
        .text(refusal.kind.status, refusal.text)
    }
}

extension SwitchoverRequest.Refusal.Kind {
    /// The status that Patroni's clients expect (rest-api.md §12, §13).
    var status: Int {
        switch self {
        case .malformed: 400
        case .precondition: 412
        case .unprocessable: 422
        case .paused: 500
        case .unavailable: 503
        }
    }
}
