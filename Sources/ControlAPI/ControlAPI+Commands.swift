import ClusterModel
import HTTPServer
import HighAvailability
import Ports

/// What makes this node do something: `/restart`, `/reinitialize`, and the calls of peers (rest-api.md §13–§16).
extension ControlAPI {
    func restart(_ request: HTTPRequest) async -> HTTPResponse {
        switch RequestBody.optional(request) {
        case .refused(let response): return response
        case .object(let body):
            switch await freshView() {
            case .failure(let unavailable): return unavailable.response
            case .success(let view): return await restart(body, settings(of: view))
            }
        }
    }

    private func restart(_ body: JSONObject, _ settings: DynamicConfiguration) async -> HTTPResponse {
        let request: RestartRequest
        do throws(RestartRequest.Refusal) {
            request = try RestartRequest(body: body, settings, wallTime: clock.wallTime())
        } catch {
            return .refused(error)
        }
        let outcome = await node.carryOut(.restart(request))
        switch outcome {
        case .done:
            return request.schedule == nil ? .text(200, "restarted successfully") : .text(202, "Restart scheduled")
        case .conditionsNotMet: return .text(503, "restart conditions are not satisfied")
        case .busy(let action): return .text(503, "\(action) already in progress")
        case .stillStarting: return .text(503, "postgres is still starting")
        case .alreadyScheduled: return .text(409, "Another restart is already scheduled")
        case .failed, .nothingScheduled, .noLeader, .isLeader: return .text(503, "restart failed")
        }
    }

    func cancelRestart() async -> HTTPResponse {
        await node.carryOut(.cancelRestart) == .done
            ? .text(200, "scheduled restart deleted") : .text(404, "no restarts are scheduled")
    }

    func reinitialize(_ request: HTTPRequest) async -> HTTPResponse {
        let body: JSONObject
        switch RequestBody.optional(request) {
        case .refused(let response): return response
        case .object(let object): body = object
        }
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view):
            if view.isUnlocked { return Self.refusal(of: .noLeader) }
            if view.leaderName == node.snapshot().me.name { return Self.refusal(of: .isLeader) }
        }
        let command = NodeCommand.reinitialize(
            force: ValueParsing.bool(body["force"]) ?? false,
            fromLeader: ValueParsing.bool(body["from_leader"]) ?? false)
        return Self.refusal(of: await node.carryOut(command))
    }

    private static func refusal(of outcome: CommandOutcome) -> HTTPResponse {
        switch outcome {
        case .done: .text(200, "reinitialize started")
        case .noLeader: .text(503, "Cluster has no leader, can not reinitialize")
        case .isLeader: .text(503, "I am the leader, can not reinitialize")
        case .busy(let action): .text(503, "\(action) already in progress")
        case .failed, .conditionsNotMet, .stillStarting, .alreadyScheduled, .nothingScheduled:
            .text(503, "reinitialize failed: there is no member to copy from")
        }
    }

    // MARK: Calls of peers

    /// The members that a primary without the DCS would ask, as the last view had them.
    func failsafeMembers() -> HTTPResponse {
        guard let members = node.snapshot().view?.failsafe else { return .stockError(502) }
        let sorted = members.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string(Secrets.masked($0.value))) }
        return Self.json(.object(JSONObject(sorted)))
    }

    /// A primary that has lost the DCS asks whether it may go on: this node's word, which it keeps (rest-api.md §15).
    func promise(_ request: HTTPRequest) async -> HTTPResponse {
        // Patroni's answer. Whatever else is in the way the node itself judges, by what it is about to do, too.
        guard node.snapshot().settings.failsafeMode else { return .stockError(502) }
        switch RequestBody.required(request) {
        case .refused(let response): return response
        case .object(let body):
            guard let ping = FailsafePing(json: body) else {
                return .stockError(400, explanation: "name, conn_url and api_url are texts, and none is missing")
            }
            switch await node.promise(ping) {
            case .accepted(let position):
                var response = HTTPResponse.text(200, FailsafeAnswer.acceptance)
                if let position { response.headers.append("lsn", "\(position.bytes)") }
                return response
            case .refused(let why), .unreachable(let why): return .text(500, why)
            }
        }
    }

    /// `/mpp` and `/citus` (rest-api.md §16): a node that coordinates nothing takes note of nothing and says `OK`. The
    /// peer lets everybody call `/mpp`; here both are guarded.
    func ignoredEvent(_ request: HTTPRequest) -> HTTPResponse {
        switch RequestBody.required(request) {
        case .refused(let response): response
        case .object: .text(200, "OK")
        }
    }
}
