import ClusterModel
import HTTPClient

/// A cluster that begins or ends to follow a primary elsewhere (ctl.md §18).
struct ClusterRoleChange {
    enum Kind: Sendable, Hashable {
        case demotion, promotion

        var verb: String { self == .demotion ? "demote" : "promote" }
        /// What the leader is afterwards.
        var role: NodeRole { self == .demotion ? .standbyLeader : .primary }
    }

    let kind: Kind
    /// The section `standby_cluster` that is merged in; null to remove it.
    let section: JSONValue
    let isForced: Bool

    private var noun: String { kind == .demotion ? "demotion" : "promotion" }

    func run(_ name: String, _ session: Session) async throws {
        let cluster = try Cluster(name, group: nil, session)
        let picture = try await cluster.load()
        guard let leader = picture.view.leaderMember else {
            throw CtlError.refused("Cluster has no leader, \(noun) is not possible")
        }
        if leader.role == kind.role { throw CtlError.refused("Cluster is already in the required state") }
        session.terminal.write("Current cluster topology\n" + MemberListing(picture, .format(.pretty)).text)
        if !isForced, try await !session.confirms("Are you sure you want to \(kind.verb) \(name) cluster?") {
            throw CtlError.refused("Aborted cluster \(noun)")
        }
        session.terminal.setInterruptionNote(
            "The \(noun) may have been asked for already, and goes on then: \(Program.name) list shows it.")
        try await request(name, leader, session)
        session.terminal.setInterruptionNote(
            "The \(noun) was accepted and goes on in the cluster; \(Program.name) list shows it.")
        let after = try await wait(cluster, leader, session)
        session.terminal.write(
            "\(LocalTime.seconds(session.wallTime)) cluster is successfully \(kind.verb)d\n"
                + MemberListing(after, .format(.pretty)).text)
    }

    private func request(_ name: String, _ leader: Member, _ session: Session) async throws {
        let failure: String
        do throws(HTTPClientError) {
            let client: MemberClient
            do { client = try MemberClient(session) } catch { throw .failed("\(error)") }
            let answer = try await client.send("PATCH", "config", to: leader, body: ["standby_cluster": section])
            if answer.status == 200 { return }
            failure = "/config PATCH status code=\(answer.status), (\(answer.body))"
        } catch {
            failure = error.description
        }
        throw CtlError.refused("Failed to \(kind.verb) \(name) cluster: \(failure)")
    }

    /// Until a leader of the wanted role runs; of a demotion, until the one before runs as well.
    private func wait(_ cluster: Cluster, _ previous: Member, _ session: Session) async throws -> ClusterPicture {
        while true {
            await session.pause(.seconds(1))
            let picture = try await cluster.load()
            let view = picture.view
            let leader = view.leaderName.flatMap(view.member)
            let before = view.member(previous.name)
            let isBack = kind == .promotion || before?.isRunning == true
            if let leader, leader.role == kind.role, leader.isRunning, isBack { return picture }
            let isUnlocked = view.isUnlocked ? "True" : "False"
            var line = "cluster is unlocked: \(isUnlocked), leader role: \(Self.shown(leader?.data["role"])), "
            line += "leader state: \(Self.shown(leader?.data["state"]))"
            if kind == .demotion, let before, before.name != leader?.name {
                line += ", previous leader state: '\(before.state ?? "")'"
            }
            session.terminal.write("\(LocalTime.seconds(session.wallTime)) \(line)\n")
        }
    }

    private static func shown(_ value: JSONValue?) -> String { PythonText.text(value ?? .null) }
}
