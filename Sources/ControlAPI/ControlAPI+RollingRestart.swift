import ClusterModel
import HTTPServer
import HighAvailability
import Ports

/// `/rolling-restart` (docs/rest.md): any node takes the request, whoever leads carries it out.
extension ControlAPI {
    /// Where it stands, as the store has it.
    func rollingRestart() async -> HTTPResponse {
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view):
            guard let rolling = view.rollingRestart else { return .text(404, "no rolling restart was asked for") }
            return Self.json(.object(rolling.json))
        }
    }

    func beginRollingRestart(_ request: HTTPRequest) async -> HTTPResponse {
        switch RequestBody.optional(request) {
        case .refused(let response): return response
        case .object(let body):
            switch await freshView() {
            case .failure(let unavailable): return unavailable.response
            case .success(let view): return await beginRollingRestart(body, view)
            }
        }
    }

    private func beginRollingRestart(_ body: JSONObject, _ view: ClusterView) async -> HTTPResponse {
        let rolling: RollingRestart
        do throws(RollingRestartRequest.Refusal) {
            let now = Timestamp(nanosecondsSinceEpoch: clock.wallTime()).text
            rolling = try RollingRestartRequest(body: body).rollingRestart(view, settings(of: view), now: now)
        } catch {
            return .refused(error)
        }
        // What was there when it was judged must be there still: two requests at once do not both begin.
        switch await write(.rollingRestart, rolling.json, .asSeen(view.rollingRestartRevision)) {
        case .failure(let unavailable): return unavailable.response
        case .success(.refused): return .stockError(409)
        case .success(.written):
            await node.wake("a rolling restart")
            return Self.json(.object(rolling.json), status: 202)
        }
    }

    /// A member that is being restarted comes up again, and nobody else has a turn.
    func callOffRollingRestart() async -> HTTPResponse {
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view):
            guard var rolling = view.rollingRestart, rolling.state == .running else {
                return .text(404, "no rolling restart is under way")
            }
            rolling.state = .calledOff
            rolling.turn = nil
            switch await write(.rollingRestart, rolling.json, .unchanged(since: rolling.revision)) {
            case .failure(let unavailable): return unavailable.response
            case .success(.refused): return .stockError(409)
            case .success(.written): return .text(200, "rolling restart called off")
            }
        }
    }
}
