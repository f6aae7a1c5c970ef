import ClusterModel
import HTTPClient

/// A rolling restart as the members carry it out: how it is asked for, and how it goes.
struct RollingRestartRun {
    private let cluster: Cluster
    private let session: Session

    init(_ cluster: Cluster, _ session: Session) {
        self.cluster = cluster
        self.session = session
    }

    private static let patience = Duration.seconds(30)
    private static let interval = Duration.milliseconds(500)

    func begin(_ body: JSONObject, _ picture: ClusterPicture, isDetached: Bool) async throws {
        let answer = try await ask("POST", body, picture)
        guard answer.status == 202 else { throw Self.refusal(answer) }
        if isDetached { return session.terminal.write("Success: rolling restart begun\n") }
        try await follow()
    }

    func show(_ picture: ClusterPicture) async throws {
        if picture.view.rollingRestart == nil { throw CtlError.refused("No rolling restart was asked for") }
        try await follow()
    }

    func callOff(_ picture: ClusterPicture) async throws {
        let answer = try await ask("DELETE", nil, picture)
        guard answer.status == 200 else { throw Self.refusal(answer) }
        session.terminal.write("Success: rolling restart called off\n")
    }

    private static func refusal(_ answer: MemberClient.Answer) -> CtlError {
        // Patroni knows nothing of it.
        if answer.status == 501 { return .refused("the members run Patroni, which has no rolling restart") }
        return .refused("rolling restart failed, status code=\(answer.status), (\(answer.body))")
    }

    private func ask(
        _ method: String, _ body: JSONObject?, _ picture: ClusterPicture
    ) async throws -> MemberClient.Answer {
        session.terminal.setInterruptionNote(
            "A member may have been asked already, and goes on then: \(Program.name) rolling-restart --show shows it.")
        let client = try MemberClient(session)
        // One of ours first: any of them takes it.
        let members = picture.leaderFirst
        for member in members.filter({ $0.ownVersion != nil }) + members.filter({ $0.ownVersion == nil }) {
            do throws(HTTPClientError) {
                return try await client.send(method, "rolling-restart", to: member, body: body, within: Self.patience)
            } catch {
                session.warn("Member \(member.name) is not accessible: \(error)")
            }
        }
        throw CtlError.refused("Can not find accessible cluster member")
    }

    /// Tells every step until the end. What is under way goes on without whoever looks.
    private func follow() async throws {
        var progress = RollingProgress()
        while true {
            let view = try await cluster.load().view
            guard let rolling = view.rollingRestart else { throw CtlError.refused("The rolling restart is gone") }
            session.terminal.setInterruptionNote(progress.note(rolling))
            for line in progress.news(rolling, view) {
                session.terminal.write("\(LocalTime.seconds(session.wallTime)) \(line)\n")
            }
            switch rolling.state {
            case .running: await session.pause(Self.interval)
            case .done: return session.terminal.write("Success: every member was restarted\n")
            case .failed, .calledOff: throw CtlError.refused(RollingProgress.end(rolling))
            }
        }
    }
}

/// What is told of a rolling restart, each thing once; pure.
struct RollingProgress: Sendable {
    private var told: [String] = []

    /// The lines that are new.
    mutating func news(_ rolling: RollingRestart, _ view: ClusterView) -> [String] {
        var lines: [String] = []
        let turn = rolling.state == .running ? rolling.turn : nil
        for entry in rolling.entries where entry.isDone { lines.append("\(entry.name): restarted, and well again") }
        if let turn {
            lines.append(
                turn.candidate.map { "\(turn.member): hands over to \($0), and restarts as a replica" }
                    ?? "\(turn.member): restarts")
            if let member = view.member(turn.member),
                let entry = rolling.entries.first(where: { $0.name == turn.member }),
                let start = member.postmasterStartTime, !isSameStart(start, entry.startedAt)
            {
                lines.append("\(turn.member): runs again, and catches up")
            }
        }
        let fresh = lines.filter { !told.contains($0) }
        told += fresh
        let count = rolling.entries.count
        let done = rolling.entries.count { $0.isDone }
        return fresh.map { "[\(done)/\(count)] \($0)".printable }
    }

    /// In what state Ctrl-C leaves things.
    func note(_ rolling: RollingRestart) -> String? {
        guard rolling.state == .running else { return nil }
        let done = rolling.entries.count { $0.isDone }
        let turn = rolling.turn.map { ", it is the turn of \($0.member.printable)" } ?? ""
        return
            "The rolling restart goes on in the cluster: \(done) of \(rolling.entries.count) members are done\(turn). "
            + "\(Program.name) rolling-restart --show shows it, --call-off ends it."
    }

    static func end(_ rolling: RollingRestart) -> String {
        let left = rolling.entries.filter { !$0.isDone }.map(\.name).joined(separator: ", ")
        let rest = left.isEmpty ? "" : "; not restarted: \(left)"
        guard rolling.state == .failed else { return "the rolling restart was called off\(rest)".printable }
        let why = rolling.failure?["sentence"]?.string ?? "nobody says why"
        return "the rolling restart was stopped: \(why)\(rest) (--resume has it go on)".printable
    }
}
