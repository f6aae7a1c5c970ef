import ArgumentParser
import ClusterModel
import HighAvailability

/// `restart` (ctl.md §7).
struct RestartCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "restart", "Restarts PostgreSQL of members, one after the other.",
            examples: ["restart batman n1", "restart batman --pending --force", "restart batman -r replica --any"])
    }

    @OptionGroup var group: GroupOption
    @OptionGroup var role: RoleOption

    @Flag(name: .customLong("any"), help: "One of them only.")
    var isAny = false

    @Option(help: "When: a time in an unambiguous format, or now.")
    var scheduled: String?

    @Option(name: .customLong("pg-version"), help: "Only where PostgreSQL is older than this version.")
    var version: String?

    @Flag(name: .customLong("pending"), help: "Only where a setting waits for a restart.")
    var isPending = false

    @Option(
        parsing: .unconditional,
        help: "How long it may take before it counts as failed, and another member leads.")
    var timeout: String?

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster.")
    var clusterName: String

    @Argument(help: "The members; all where none is named.")
    var memberNames: [String] = []

    func run(_ session: Session) async throws {
        let picture = try await Cluster(clusterName, group: group.number, session).load()
        let selection = MemberSelection("restart", role: role.role, isForced: isForced, confirms: false)
        var members = try await selection.members(memberNames, of: picture, session)
        let at = try await settleTime(session)
        var body: JSONObject = [:]
        if isPending {
            body["restart_pending"] = true
            if at == nil { members.removeAll { $0.data["pending_restart"]?.isTruthy != true } }
        }
        if isAny, let one = members.randomElement() { members = [one] }
        if !isForced { try await confirm(members, at, session) }
        if let version = try await settleVersion(session) { body["postgres_version"] = .string(version) }
        if let at {
            if picture.settings.isPaused { throw CtlError.refused("Can't schedule restart in the paused state") }
            body["schedule"] = .string(at.text)
        }
        body["timeout"] = timeout.map { .string($0) }
        try await send(body, members, at != nil, session)
    }

    private func settleTime(_ session: Session) async throws -> Timestamp? {
        var text = scheduled ?? "now"
        if scheduled == nil, !isForced {
            let example = ScheduledTime.example(session)
            text = try await session.ask("When should the restart take place (e.g. \(example)) ", default: "now")
        }
        return try ScheduledTime.parse(text, session)
    }

    private func confirm(_ members: [Member], _ at: Timestamp?, _ session: Session) async throws {
        let names = MemberSelection.names(members)
        guard let at else {
            if try await session.confirms("Are you sure you want to restart members \(names)?") { return }
            throw CtlError.refused("Aborted restart")
        }
        let question =
            isPending
            ? "Which members restart is decided then, by the settings that wait for it at "
                + "\(at.render(separator: " ")). Is this fine?"
            : "Are you sure you want to schedule restart of members \(names) at \(at.render(separator: " "))?"
        if try await !session.confirms(question) { throw CtlError.refused("Aborted scheduled restart") }
    }

    private func settleVersion(_ session: Session) async throws -> String? {
        var text = version ?? ""
        if version == nil, !isForced {
            text = try await session.ask(
                "Restart if the PostgreSQL version is less than provided (e.g. 9.5.2) ", default: "")
        }
        if text.isEmpty { return nil }
        do throws(RestartRequest.Refusal) {
            _ = try RestartRequest(
                body: ["postgres_version": .string(text)], DynamicConfiguration(), wallTime: session.wallTime)
        } catch {
            throw CtlError.refused(error.text)
        }
        return text
    }

    private func send(
        _ body: JSONObject, _ members: [Member], _ isScheduled: Bool, _ session: Session
    ) async throws {
        var actions = try MemberActions(session)
        for member in members {
            if isScheduled, isForced, member.data["scheduled_restart"]?.isTruthy == true {
                if let answer = await actions.ask("DELETE", "restart", of: member, for: "flush scheduled restart"),
                    answer.status >= 400
                {
                    actions.report(answer, "flush scheduled restart", member)
                }
            }
            guard let answer = await actions.ask("POST", "restart", of: member, body: body, for: "restart") else {
                continue
            }
            actions.say(Self.line(answer, member.name))
        }
        try actions.finish()
    }

    private static func line(_ answer: MemberClient.Answer, _ name: String) -> String {
        switch answer.status {
        case 200: "Success: restart on member \(name)"
        case 202: "Success: restart scheduled on member \(name)"
        case 409: "Failed: another restart is already scheduled on member \(name)"
        default: "Failed: restart for member \(name), status code=\(answer.status), (\(answer.body))"
        }
    }
}

/// `-r`, `--role`: only members of it; everybody where it is not given.
struct RoleOption: ParsableArguments {
    @Option(name: [.customShort("r", allowingJoined: true), .customLong("role")], help: "Only members of this role.")
    var role = RoleFilter.any
}
