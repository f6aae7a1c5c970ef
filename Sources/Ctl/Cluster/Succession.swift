import ClusterModel

/// What stands against each member as a successor: in the words of the leader, who judges by the rules that hand over
/// and sees to whom it sends WAL, or, where it tells no reasons, as the store has it.
struct Succession: Sendable {
    let picture: ClusterPicture
    let occasion: Candidacy.Occasion
    /// By the name of the member; empty where the store has to do.
    private var told: [String: [String]] = [:]

    /// - Parameter document: what the leader said to `GET /explain`; where nobody leads, what a member said.
    init(_ picture: ClusterPicture, _ occasion: Candidacy.Occasion, document: JSONObject? = nil) {
        self.picture = picture
        self.occasion = occasion
        guard let document, document["leader"]?.string == picture.view.leaderName else { return }
        for member in document["members"]?.array ?? [] {
            guard let name = member["name"]?.string, let verdict = member[occasion.rawValue],
                let isPossible = verdict["possible"]?.bool
            else { continue }
            let reasons = (verdict["reasons"]?.array ?? []).compactMap(\.string)
            told[name] = isPossible ? [] : reasons.isEmpty ? ["it is told that it could not"] : reasons
        }
    }

    /// Asks the leader; where nobody leads, the members, of whom each has asked all others.
    static func asked(
        _ picture: ClusterPicture, _ occasion: Candidacy.Occasion, _ session: Session
    ) async throws -> Succession {
        let view = picture.view
        let asked = view.leaderName == nil ? view.members : view.leaderMember.map { [$0] } ?? []
        let able = asked.filter { $0.ownVersion != nil && $0.apiURL != nil }
        if able.isEmpty { return Succession(picture, occasion) }
        let answers = try await MemberExplanation.of(able, decisions: 0, session)
        return Succession(picture, occasion, document: answers.compactMap(\.document).first)
    }

    /// What stands against `member`; empty where nothing does.
    func objections(_ member: Member) -> [String] {
        if member.name == picture.view.leaderName { return Candidacy.objections(member, picture, occasion) }
        let known = told[member.name] ?? Candidacy.objections(member, picture, occasion)
        // An operator's failover is for when there is nothing better.
        return known + (occasion == .switchover ? [Candidacy.slotObjection(member)].compactMap(\.self) : [])
    }

    /// Why it cannot come about: the candidate cannot take over, or, where none is named, nobody can. Nil where it can,
    /// as far as is known.
    func obstacle(to candidate: String?) -> String? {
        let others = picture.view.members.filter { $0.name != picture.view.leaderName }
        if let candidate {
            guard let member = picture.view.member(candidate) else { return nil }
            let against = objections(member)
            return against.isEmpty ? nil : "\(candidate) cannot take over now: \(against.joined(separator: "; "))"
        }
        let rows = others.map { (name: $0.name, against: objections($0)) }
        guard rows.allSatisfy({ !$0.against.isEmpty }) else { return nil }
        return "nobody could take over now: "
            + rows.map { "\($0.name): \($0.against.joined(separator: ", "))" }.joined(separator: "; ")
    }
}
