import ClusterModel
import HTTPServer
import HighAvailability
import Ports

/// `/switchover` and `/failover` (rest-api.md §12): any node takes the request, the leader carries it out.
extension ControlAPI {
    func switchover(_ request: HTTPRequest, _ kind: SwitchoverRequest.Kind) async -> HTTPResponse {
        switch RequestBody.required(request) {
        case .refused(let response): return response
        case .object(let body):
            switch await freshView() {
            case .failure(let unavailable): return unavailable.response
            case .success(let view): return await switchover(SwitchoverRequest(kind: kind, body: body), view)
            }
        }
    }

    private func switchover(_ request: SwitchoverRequest, _ view: ClusterView) async -> HTTPResponse {
        let settings = settings(of: view)
        do throws(SwitchoverRequest.Refusal) {
            let schedule = try request.check(settings, wallTime: clock.wallTime())
            if schedule == nil {
                let members = try request.candidates(view, settings)
                let answers = await peers.statuses(of: members, deadline: clock.now() + .seconds(2))
                try request.check(answers: answers, of: members)
            }
            let asked = FailoverRequest(leader: request.leader, candidate: request.candidate, scheduledAt: schedule)
            if let trouble = await writeRequest(asked, view) {
                return .text(503, "failed to write failover key into DCS" + trouble)
            }
            await node.wake("a request in /failover")
            if schedule != nil { return .text(202, "Switchover scheduled") }
            return try await poll(request, settings, formerLeader: view.leaderName)
        } catch {
            return .refused(error)
        }
    }

    /// The newest request counts: it replaces an older one. Each try is a compare-and-swap against what was read. Nil
    /// when it is written, else what to add to the refusal.
    private func writeRequest(_ request: FailoverRequest, _ view: ClusterView) async -> String? {
        var view = view
        var trouble = ""
        for _ in 0..<3 {
            switch await write(.failover, request.json, .asSeen(view.failoverRevision)) {
            case .success(.written): return nil
            case .success(.refused): trouble = ""
            case .failure(let unavailable): trouble = unavailable.suffix
            }
            switch await freshView() {
            case .failure(let unavailable): return unavailable.suffix
            case .success(let fresh): view = fresh
            }
        }
        return trouble
    }

    /// Watches the cluster until the request is done with. The peer looks once a second for as many seconds; we look
    /// more often and give up after the same time.
    private func poll(
        _ request: SwitchoverRequest, _ settings: DynamicConfiguration, formerLeader: String?
    ) async throws(SwitchoverRequest.Refusal) -> HTTPResponse {
        let limit = max(.seconds(10), settings.timings.loopWait) * 2
        let end = clock.now() + limit
        while clock.now() < end {
            await clock.sleep(until: clock.now() + .milliseconds(100))
            if Task.isCancelled { break }
            guard let view = try? await store.load(deadline: min(storeDeadline, end)) else { continue }
            if let done = try request.outcome(view, formerLeader: formerLeader) { return .text(200, done) }
        }
        let title = request.leader != nil ? "Switchover" : request.kind.title
        let seconds = limit.nanoseconds / 1_000_000_000
        let waiting = node.snapshot().local.waitingFor.map { ": the stop waits for \($0)" } ?? ""
        return .text(
            503, "\(title) status unknown after \(seconds) seconds; operation may still be in progress\(waiting)")
    }

    func cancelSwitchover() async -> HTTPResponse {
        switch await freshView() {
        case .failure(let unavailable): return unavailable.response
        case .success(let view):
            guard let request = view.failover, request.scheduledAt != nil else {
                return .text(404, "no switchover is scheduled")
            }
            switch await write(.failover, JSONObject(), .unchanged(since: request.revision)) {
            case .failure(let unavailable): return unavailable.response
            case .success(.refused): return .stockError(409)
            case .success(.written): return .text(200, "scheduled switchover deleted")
            }
        }
    }
}
