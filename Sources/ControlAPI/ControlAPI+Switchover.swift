import ClusterModel
import HTTPServer
import HighAvailability
import Ports
import Synchronization

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
                let asked = members + request.witnesses(view, settings)
                let answers = await peers.statuses(of: asked, deadline: clock.now() + .seconds(2))
                try request.check(answers: answers, of: members)
                try request.checkPrimary(answers, view, settings)
            }
            let asked = FailoverRequest(leader: request.leader, candidate: request.candidate, scheduledAt: schedule)
            let written: Revision
            switch await writeRequest(asked, view) {
            case .failure(let trouble):
                return .text(503, "failed to write failover key into DCS" + trouble.suffix)
            case .success(let revision): written = revision
            }
            await node.wake("a request in /failover")
            if schedule != nil { return .text(202, "Switchover scheduled") }
            return try await end(of: request, settings, formerLeader: view.leaderName, written: written)
        } catch {
            return .refused(error)
        }
    }

    /// Why a request could not be written.
    private struct WriteTrouble: Error {
        /// What to add to the refusal.
        var suffix = ""
    }

    /// The newest request counts: it replaces an older one. Each try is a compare-and-swap against what was read. Gives
    /// the revision in which it stands.
    private func writeRequest(
        _ request: FailoverRequest, _ view: ClusterView
    ) async -> Result<Revision, WriteTrouble> {
        var view = view
        var trouble = WriteTrouble()
        for _ in 0..<3 {
            switch await write(.failover, request.json, .asSeen(view.failoverRevision)) {
            case .success(.written(let revision)): return .success(revision)
            case .success(.refused): trouble = WriteTrouble()
            case .failure(let unavailable): trouble = WriteTrouble(suffix: unavailable.suffix)
            }
            switch await freshView() {
            case .failure(let unavailable): return .failure(WriteTrouble(suffix: unavailable.suffix))
            case .success(let fresh): view = fresh
            }
        }
        return .failure(trouble)
    }

    // MARK: Waiting for the end

    /// How long the end of a switchover is waited for: as long as Patroni does, which looks once a second.
    private static func patience(_ settings: DynamicConfiguration) -> Duration {
        max(.seconds(10), settings.timings.loopWait) * 2
    }

    /// What ended the wait for a switchover.
    private enum Ending: Sendable {
        /// Of a request that came to nothing: who had the key meanwhile.
        case decided(Result<String, SwitchoverRequest.Refusal>, taken: String?)
        case nodeEnds
        case outOfTime
    }

    /// Waits until the request is done with, however it ends. Nobody is asked: the node follows the store, and tells of
    /// every view that it sees.
    private func end(
        of request: SwitchoverRequest, _ settings: DynamicConfiguration, formerLeader: String?, written: Revision
    ) async throws(SwitchoverRequest.Refusal) -> HTTPResponse {
        let patience = Self.patience(settings)
        let limit = clock.now() + patience
        let (changes, clock) = (node.changes(), clock)
        let course = SharedCourse(SwitchoverCourse(request, formerLeader: formerLeader))
        let ending = await withTaskGroup(of: Ending.self) { group in
            group.addTask { await Self.ending(of: course, changes, written: written) }
            group.addTask {
                await clock.sleep(until: limit)
                return .outOfTime
            }
            defer { group.cancelAll() }
            return await group.next() ?? .outOfTime
        }
        let title = request.leader != nil ? "Switchover" : request.kind.title
        switch ending {
        case .decided(.success(let text), _): return .text(200, text)
        case .decided(.failure(let refusal), let taken):
            throw .init(refusal.kind, refusal.text + (await whyNotPromoted(taken)))
        case .nodeEnds:
            return .text(503, "\(title) status unknown: this node shuts down; operation may still be in progress")
        case .outOfTime:
            let seconds = patience.nanoseconds / 1_000_000_000
            let state = course.value.withLock { $0.state }
            let waiting =
                node.snapshot().local.waitingFor.map { ": the stop waits for \($0)" } ?? state.map { ": \($0)" } ?? ""
            return .text(
                503, "\(title) status unknown after \(seconds) seconds; operation may still be in progress\(waiting)")
        }
    }

    /// Looks at every view that the node tells of, until one says what became of the request. A view from before it was
    /// `written` shows no request either, and would be taken for one where it is done with.
    private static func ending(
        of course: SharedCourse, _ changes: AsyncStream<NodeSnapshot>, written: Revision
    ) async -> Ending {
        for await snapshot in changes {
            guard let view = snapshot.view, view.revision >= written else { continue }
            let leads = snapshot.role == .primary || snapshot.role == .standbyLeader ? snapshot.me.name : nil
            let found = course.value.withLock { course -> Ending? in
                do throws(SwitchoverRequest.Refusal) {
                    return try course.outcome(view, leads: leads).map { .decided(.success($0), taken: course.taken) }
                } catch {
                    return .decided(.failure(error), taken: course.taken)
                }
            }
            if let found { return found }
        }
        return .nodeEnds
    }

    /// In the words of who took the key; empty where it says nothing.
    private func whyNotPromoted(_ name: String?) async -> String {
        guard let member = node.snapshot().view.flatMap({ view in name.flatMap(view.member) }) else { return "" }
        let answers = await peers.statuses(of: [member], deadline: clock.now() + .seconds(2))
        guard case .status(let peer)? = answers[member.name], let why = peer.refusedPromotion else { return "" }
        return " (\(why))"
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

/// How a request goes on, for whoever looks at the views and for whoever has waited long enough.
private final class SharedCourse: Sendable {
    let value: Mutex<SwitchoverCourse>

    init(_ course: SwitchoverCourse) { value = Mutex(course) }
}
