import ClusterModel
import HTTPServer
import HighAvailability
import Ports
import Synchronization

/// `GET /explain` (docs/rest.md): why this node did what it did, and who could lead now.
extension ControlAPI {
    private static let peerPatience = Duration.seconds(2)

    func explain(_ request: HTTPRequest) async -> HTTPResponse {
        let asked = request.queryValue("decisions").flatMap { Int($0) } ?? ExplainDocument.decisionsUsually
        let decisions = min(max(0, asked), DecisionLog.capacity)
        let snapshot = await node.freshSnapshot(Self.freshness)
        // The store is not asked: what is judged is what this node goes by.
        let view = snapshot.view
        let others =
            view.map {
                Eligibility($0, snapshot.settings)
                    .askable(except: [snapshot.me.name], former: snapshot.keptBack.gone($0))
            } ?? []
        let answers = await rounds.answers(of: others, within: Self.peerPatience)
        let now = clock.now()
        return Self.json(
            .object(
                ExplainDocument.object(
                    snapshot.withoutExpiredFacts(at: now), view, peers: answers, decisions: decisions, now: now,
                    wallTime: clock.wallTime())))
    }
}

/// What members say of themselves, asked for by whoever may read: many requests share one round of questions, so that
/// nobody makes this node ask the others without end.
final class PeerRounds: Sendable {
    /// How old answers may be.
    static let freshness = Duration.seconds(1)

    private struct State {
        var last: (answers: [String: PeerAnswer], askedAt: BootInstant)?
        var round: Task<[String: PeerAnswer], Never>?
    }

    private let peers: any PeerClient
    private let clock: any Clock
    private let state = Mutex(State())

    init(_ peers: any PeerClient, _ clock: any Clock) {
        self.peers = peers
        self.clock = clock
    }

    /// The answers of `members`, whoever asked for them first.
    func answers(of members: [Member], within patience: Duration) async -> [String: PeerAnswer] {
        let now = clock.now()
        let (known, round) = state.withLock { state -> ([String: PeerAnswer]?, Task<[String: PeerAnswer], Never>?) in
            if let last = state.last, now - last.askedAt <= Self.freshness { return (last.answers, nil) }
            let round =
                state.round
                ?? Task { [peers] in
                    let answers = await peers.statuses(of: members, deadline: now + patience)
                    self.state.withLock { $0 = State(last: (answers, now)) }
                    return answers
                }
            state.round = round
            return (nil, round)
        }
        if let known { return known }
        return await round?.value ?? [:]
    }
}
