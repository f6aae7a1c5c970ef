import ClusterModel

/// What would happen: steps in their order, what is in the way, and what clients feel.
struct ActionPlan: Sendable {
    var title: String
    /// Member by member, where somebody has to be chosen.
    var verdicts: [String] = []
    var steps: [String] = []
    var obstacles: [String] = []
    var clients: [String] = []

    var isPossible: Bool { obstacles.isEmpty }

    var text: String {
        var lines = [title]
        func add(_ head: String, _ items: [String], numbered: Bool = false) {
            if items.isEmpty { return }
            lines.append("\(head):")
            lines += items.enumerated().map { numbered ? "  \($0.offset + 1). \($0.element)" : "  \($0.element)" }
        }
        add("Members", verdicts)
        add("In the way", obstacles)
        if isPossible {
            add("Steps", steps, numbered: true)
            add("Clients", clients)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: Handing over

    static func handover(
        _ succession: Succession, candidate: String?
    ) -> ActionPlan {
        let (picture, occasion) = (succession.picture, succession.occasion)
        let view = picture.view
        let word = occasion == .switchover ? "switchover" : "failover"
        var plan = ActionPlan(title: "\(word) of \(picture.name)" + (candidate.map { " to \($0)" } ?? ""))
        let others = view.members.filter { $0.name != view.leaderName }
        let objections = others.map { (member: $0, against: succession.objections($0)) }
        plan.verdicts = objections.map { row in
            "\(row.member.name): " + (row.against.isEmpty ? "could take over now" : row.against.joined(separator: "; "))
        }
        if occasion == .switchover, view.leaderName == nil { plan.obstacles.append("no member leads: use failover") }
        if let candidate {
            if candidate == view.leaderName { plan.obstacles.append("\(candidate) leads already") }
            let row = objections.first { $0.member.name == candidate }
            if row == nil, candidate != view.leaderName { plan.obstacles.append("\(candidate) is no member") }
            plan.obstacles += (row?.against ?? []).map { "\(candidate): \($0)" }
        } else if occasion == .failover {
            plan.obstacles.append("a failover needs a candidate")
        } else if !objections.contains(where: { $0.against.isEmpty }) {
            plan.obstacles.append("no member could take over now")
        } else if picture.settings.isPaused {
            plan.obstacles.append("the cluster is paused: a candidate must be named")
        }
        let successor = candidate ?? "the member that is furthest ahead"
        plan.steps = steps(from: view.leaderName, to: successor, occasion)
        plan.clients = [
            "sessions on the leader end, and what they had not committed is rolled back",
            "writes fail until \(successor) has been promoted and what routes clients has noticed",
        ]
        if occasion == .failover {
            plan.clients.append(
                "commits that \(successor) has not received are lost, where the leader cannot hand over")
            if let member = candidate.flatMap(view.member), let unready = Candidacy.slotObjection(member) {
                plan.clients.append("\(member.name): \(unready)")
            }
        }
        return plan
    }

    private static func steps(from leader: String?, to successor: String, _ occasion: Candidacy.Occasion) -> [String] {
        guard let leader else { return ["\(successor) is told of it, takes the leader key and is promoted"] }
        return [
            "\(leader) is told of it, and judges once more who could take over",
            "\(leader) stops PostgreSQL with a checkpoint, and waits until standbys have received all of its WAL",
            "\(leader) gives the leader key away, and leaves its last position in the store",
            "\(successor) takes the leader key and is promoted to a new timeline",
            "\(leader) starts again as a replica; the others follow \(successor)",
        ]
    }

    // MARK: Restarting

    /// Of all members of the role where no names are given.
    static func restart(
        _ picture: ClusterPicture, _ role: RoleFilter, isForPending: Bool = false, names: [String] = []
    ) -> ActionPlan {
        var plan = ActionPlan(title: "restart of \(picture.name)")
        let meant = picture.members(role).filter { names.isEmpty || names.contains($0.name) }
        let members = meant.filter { !isForPending || $0.data["pending_restart"]?.isTruthy == true }
        // The command passes over a name that is none; a plan says so.
        for name in names where !meant.contains(where: { $0.name == name }) {
            plan.obstacles.append("\(name) is no member" + (role == .any ? "" : " of the role \(role.rawValue)"))
        }
        if meant.isEmpty, names.isEmpty {
            plan.obstacles.append("there is no such member")
        } else if members.isEmpty, !meant.isEmpty {
            plan.obstacles.append("no member waits for a restart")
        }
        let leader = picture.view.leaderName
        plan.verdicts = members.map { member in
            let reasons = member.data["pending_restart_reason"]?.object?.keys ?? []
            let pending = member.data["pending_restart"]?.isTruthy == true
            let why = reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))"
            return "\(member.name): " + (pending ? "settings wait for a restart\(why)" : "nothing waits for a restart")
        }
        plan.steps = members.map { member in
            let role = member.name == leader ? ", which leads and goes on leading" : ""
            return "\(member.name)\(role): a checkpoint, a fast stop, a start"
        }
        plan.clients = ["sessions on each member end when its turn comes"]
        if members.contains(where: { $0.name == leader }) {
            let seconds = picture.settings.primaryStartTimeout.components.seconds
            plan.clients.append(
                "nothing is written while the leader restarts; after \(seconds) s (primary_start_timeout) another may "
                    + "lead")
        }
        return plan
    }
}
