import ClusterModel

/// Which members a command is for (ctl.md §3.2): what was named, narrowed by the role, asked for where it is open.
struct MemberSelection {
    /// What is done to them, as it stands in questions.
    let action: String
    let role: RoleFilter
    /// Whether no name at all means everybody.
    let takesAll: Bool
    /// How the role is called where nobody of it was named.
    let roleName: String
    let isForced: Bool
    /// Whether the last question is asked here.
    let confirms: Bool

    init(_ action: String, role: RoleFilter, isForced: Bool, confirms: Bool = true) {
        self.action = action
        self.role = role
        takesAll = true
        roleName = "'\(role.rawValue)'"
        self.isForced = isForced
        self.confirms = confirms
    }

    /// For what destroys a member's data: nobody is meant who was not named.
    init(onlyNamed action: String, role: RoleFilter, isForced: Bool) {
        self.action = action
        self.role = role
        takesAll = false
        roleName = role.rawValue
        self.isForced = isForced
        confirms = true
    }

    func members(_ names: [String], of picture: ClusterPicture, _ session: Session) async throws -> [Member] {
        let candidates = picture.members(role)
        if names.isEmpty, candidates.isEmpty {
            throw CtlError.refused("\(picture.name) cluster doesn't have any members")
        }
        session.terminal.write(MemberListing(picture, .format(.pretty)).text)
        var chosen = try await choose(names, candidates, session)
        if chosen.isEmpty, !isForced {
            let question = "Which member do you want to \(action) [\(Self.names(candidates))]?"
            let answer = try await session.ask(question, default: "")
            chosen = candidates.filter { $0.name == answer }
            if chosen.isEmpty { throw CtlError.refused("\(answer) is not a member of cluster") }
        }
        if confirms, !isForced,
            try await !session.confirms("Are you sure you want to \(action) members \(Self.names(chosen))?")
        {
            throw CtlError.refused("Aborted \(action)")
        }
        return chosen
    }

    private func choose(_ names: [String], _ candidates: [Member], _ session: Session) async throws -> [Member] {
        if names.isEmpty { return takesAll ? candidates : [] }
        let chosen = candidates.filter { names.contains($0.name) }
        if chosen.isEmpty { throw CtlError.refused("No \(roleName) among provided members") }
        return chosen
    }

    static func names(_ members: [Member]) -> String { members.map(\.name).joined(separator: ", ") }
}
