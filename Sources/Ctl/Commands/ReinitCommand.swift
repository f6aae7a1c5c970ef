import ArgumentParser
import ClusterModel
import HTTPClient

/// `reinit` (ctl.md §9).
struct ReinitCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "reinit", "Throws away the data of replicas and copies them anew from another member.",
            examples: ["reinit batman n3 --wait", "reinit batman n3 --from-leader --force"])
    }

    @OptionGroup var group: GroupOption

    @Flag(name: .customLong("from-leader"), help: "Copy from the leader, whoever else could be copied from.")
    var isFromLeader = false

    @Flag(name: .customLong("wait"), help: "Return when the copies are done.")
    var isWaiting = false

    @Flag(name: .customLong("force"), help: "Ask nothing, and cancel what is under way on the members.")
    var isForced = false

    @Argument(help: "The cluster.")
    var clusterName: String

    @Argument(help: "The replicas.")
    var memberNames: [String] = []

    private static let action = "reinitialize"

    func run(_ session: Session) async throws {
        let picture = try await Cluster(clusterName, group: group.number, session).load()
        let selection = MemberSelection(onlyNamed: Self.action, role: .replica, isForced: isForced)
        let members = try await selection.members(memberNames, of: picture, session)
        var actions = try MemberActions(session)
        var begun: [Member] = []
        for member in members where try await begin(member, &actions, session) { begun.append(member) }
        if isWaiting { try await wait(for: begun, session) }
        try actions.finish()
    }

    private func begin(_ member: Member, _ actions: inout MemberActions, _ session: Session) async throws -> Bool {
        var force = isForced
        while true {
            let body: JSONObject = ["force": .bool(force), "from_leader": .bool(isFromLeader)]
            guard
                let answer = await actions.ask("POST", Self.action, of: member, body: body, for: Self.action)
            else { return false }
            if actions.report(answer, Self.action, member) { return true }
            guard !isForced, answer.body.hasSuffix(" already in progress"),
                try await session.confirms("Do you want to cancel it and reinitialize anyway?")
            else { return false }
            force = true
        }
    }

    // MARK: Waiting

    private static let interval = Duration.seconds(2)
    private static let patience = Duration.seconds(10)

    /// A member is done when it runs again after it was seen at work, or after so long that the copy was too quick to
    /// be seen.
    private func wait(for members: [Member], _ session: Session) async throws {
        session.terminal.setInterruptionNote("The members go on copying; \(Program.name) list shows them.")
        let client = try MemberClient(session)
        let begin = session.now
        var left = members
        var atWork: Set<String> = []
        var shown = ""
        while !left.isEmpty {
            let names = MemberSelection.names(left)
            if names != shown { session.terminal.write("Waiting for reinitialize to complete on: \(names)\n") }
            shown = names
            await session.pause(Self.interval)
            for member in left {
                guard let state = await Self.state(of: member, client) else { continue }
                if state != PostgreSQLState.running.rawValue {
                    atWork.insert(member.name)
                } else if atWork.contains(member.name) || session.now - begin > Self.patience {
                    session.terminal.write("Reinitialize is completed on: \(member.name)\n")
                    left.removeAll { $0.name == member.name }
                }
            }
        }
    }

    private static func state(of member: Member, _ client: MemberClient) async -> String? {
        (try? await client.send("GET", "patroni", to: member, within: patience))?.json?["state"]?.string
    }
}
