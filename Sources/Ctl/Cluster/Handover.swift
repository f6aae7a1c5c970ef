import ClusterModel
import HTTPClient
import HighAvailability
import Ports

/// The steps of `switchover` and `failover` (ctl.md §6).
struct Handover {
    enum Action: String {
        case switchover, failover

        var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
    }

    let action: Action
    var leader: String?
    var candidate: String?
    var scheduled: String?
    let isForced: Bool

    func run(_ name: String, group: Int?, _ session: Session) async throws {
        var cluster = try Cluster(name, group: group, session)
        var picture = try await cluster.load()
        session.terminal.write("Current cluster topology\n" + MemberListing(picture, .format(.pretty)).text)
        if cluster.isCitus, group == nil {
            if isForced { throw CtlError.refused("For Citus clusters the --group must me specified") }
            cluster = try Cluster(name, group: try await session.askNumber("Citus group"), session)
            picture = try await cluster.load()
        }
        let request = try await settle(picture, session)
        try await send(request, cluster, picture, session)
    }

    // MARK: What is asked for

    /// A request as it was agreed on.
    private struct Request {
        /// Of a switchover.
        var leader: String?
        var candidate: String?
        var scheduledAt: Timestamp?

        var body: JSONObject {
            var body: JSONObject = ["candidate": candidate.map { .string($0) } ?? .null]
            body["leader"] = leader.map { .string($0) }
            body["scheduled_at"] = scheduledAt.map { .string($0.text) }
            return body
        }
    }

    private func settle(_ picture: ClusterPicture, _ session: Session) async throws -> Request {
        let view = picture.view
        var request = Request()
        if action == .switchover { request.leader = try await settleLeader(picture, session) }
        request.candidate = try await settleCandidate(picture, session)
        if action == .failover, let candidate = request.candidate {
            try await confirmAsynchronous(candidate, picture, session)
        }
        if action == .switchover {
            request.scheduledAt = try await settleTime(session)
            if request.scheduledAt != nil, picture.settings.isPaused {
                throw CtlError.refused("Can't schedule switchover in the paused state")
            }
        }
        if !isForced {
            try await confirm(request, picture.name, view.leaderName, session)
            try await refuseWhatCannotWork(request, picture, session)
        }
        return request
    }

    /// What the members would refuse is not asked for: a reason that is told here costs nobody a cycle. What is to
    /// happen later may come to work until then.
    private func refuseWhatCannotWork(
        _ request: Request, _ picture: ClusterPicture, _ session: Session
    ) async throws {
        guard action == .switchover, request.scheduledAt == nil else { return }
        for round in 1... {
            let succession = try await Succession.asked(picture, .switchover, session)
            guard let obstacle = succession.obstacle(to: request.candidate) else { return }
            // A standby that has just changed its upstream receives WAL again within moments.
            if round == Self.rounds { throw CtlError.refused("\(obstacle) (--force asks all the same)") }
            await session.pause(.seconds(1))
        }
    }

    private static let rounds = 3

    private func settleLeader(_ picture: ClusterPicture, _ session: Session) async throws -> String {
        guard let current = picture.view.leaderName else { throw CtlError.refused("This cluster has no leader") }
        var named = leader ?? current
        if leader == nil, !isForced {
            let question = picture.settings.isStandbyCluster ? "Standby Leader" : "Primary"
            named = try await session.ask(question, default: current)
        }
        guard named == current else {
            throw CtlError.refused("Member \(named) is not the leader of cluster \(picture.name)")
        }
        return named
    }

    private func settleCandidate(_ picture: ClusterPicture, _ session: Session) async throws -> String? {
        let view = picture.view
        let candidates = Eligibility(view, picture.settings).nameable(except: [view.leaderName]).map(\.name).sorted()
        if candidates.isEmpty { throw CtlError.refused("No candidates found to \(action.rawValue) to") }
        var named = candidate ?? ""
        if candidate == nil, !isForced {
            named = try await session.ask("Candidate \(PythonText.list(candidates))", default: "")
        }
        if named.isEmpty {
            if action == .switchover { return nil }
            throw CtlError.refused("Failover could be performed only to a specific candidate")
        }
        if candidates.contains(named) { return named }
        if named == view.leaderName {
            throw CtlError.refused("Member \(named) is already the leader of cluster \(picture.name)")
        }
        throw CtlError.refused("Member \(named) does not exist in cluster \(picture.name) or is tagged as nofailover")
    }

    /// What an asynchronous standby has not received is lost.
    private func confirmAsynchronous(_ candidate: String, _ picture: ClusterPicture, _ session: Session) async throws {
        guard !isForced, !Eligibility(picture.view, picture.settings).hasEveryCommit(candidate) else { return }
        let question = "Are you sure you want to failover to the asynchronous node \(candidate)?"
        if try await !session.confirms(question) { throw CtlError.refused("Aborting failover") }
    }

    private func settleTime(_ session: Session) async throws -> Timestamp? {
        var text = scheduled ?? "now"
        if scheduled == nil, !isForced {
            let example = ScheduledTime.example(session)
            text = try await session.ask(
                "When should the switchover take place (e.g. \(example) ) ", default: "now")
        }
        return try ScheduledTime.parse(text, session)
    }

    private func confirm(_ request: Request, _ name: String, _ leader: String?, _ session: Session) async throws {
        let demotion = leader.map { ", demoting current leader \($0)" } ?? ""
        if let at = request.scheduledAt {
            let question = "Are you sure you want to schedule switchover of cluster \(name) at \(at.text)\(demotion)?"
            if try await !session.confirms(question) { throw CtlError.refused("Aborting scheduled switchover") }
        } else {
            let question = "Are you sure you want to \(action.rawValue) cluster \(name)\(demotion)?"
            if try await !session.confirms(question) { throw CtlError.refused("Aborting \(action.rawValue)") }
        }
    }

    // MARK: How it is done

    private func send(
        _ request: Request, _ cluster: Cluster, _ picture: ClusterPicture, _ session: Session
    ) async throws {
        let view = picture.view
        let target = view.leaderMember ?? request.candidate.flatMap(view.member)
        session.terminal.setInterruptionNote(
            "The \(action.rawValue) may have been asked for already, and goes on then: \(Program.name) list shows it.")
        guard let target else { return try await fallBack(request, cluster, picture, session) }
        do throws(HTTPClientError) {
            let answer = try await ask(target, request, session)
            try await report(answer, cluster, session)
        } catch {
            session.warn("Member \(target.name) is not accessible: \(error)")
            try await fallBack(request, cluster, picture, session)
        }
    }

    private func ask(
        _ target: Member, _ request: Request, _ session: Session
    ) async throws(HTTPClientError) -> MemberClient.Answer {
        let client: MemberClient
        do { client = try MemberClient(session) } catch { throw .failed("\(error)") }
        let answer = try await client.send("POST", action.rawValue, to: target, body: request.body)
        // Servers of old know one of the two only.
        let isUnknown = answer.status == 501 && answer.body.contains("Server does not support this operation")
        guard isUnknown, action == .switchover else { return answer }
        return try await client.send("POST", Action.failover.rawValue, to: target, body: request.body)
    }

    private func report(
        _ answer: MemberClient.Answer, _ cluster: Cluster, _ session: Session
    ) async throws(HTTPClientError) {
        guard answer.status == 200 || answer.status == 202 else {
            let isUnknown = answer.body.lowercased().contains("status unknown")
            let outcome = isUnknown ? "result unknown" : "failed"
            return session.terminal.write("\(action.title) \(outcome), details: \(answer.status), \(answer.body)\n")
        }
        // What was asked for is done, whether the store answers or not.
        let after = try? await cluster.load()
        session.terminal.write("\(LocalTime.event(session.wallTime)) \(answer.body)\n")
        if let after { session.terminal.write(MemberListing(after, .format(.pretty)).text) }
    }

    /// Nobody can be asked: the request is left in the store, where members look for it.
    private func fallBack(
        _ request: Request, _ cluster: Cluster, _ picture: ClusterPicture, _ session: Session
    ) async throws {
        session.terminal.write(
            "\(LocalTime.event(session.wallTime)) Could not \(action.rawValue) using Patroni api, falling back to DCS\n"
        )
        let value = FailoverRequest(
            leader: request.leader, candidate: request.candidate, scheduledAt: request.scheduledAt?.text)
        let isWritten = try await cluster.write(
            .failover, value.json, asSeen: picture.view.failoverRevision)
        if !isWritten { session.warn("somebody else asked for something in the meantime; nothing was written") }
        session.terminal.write(MemberListing(picture, .format(.pretty)).text)
    }
}
