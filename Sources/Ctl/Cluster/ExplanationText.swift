import ClusterModel

/// What members say of their decisions, for people; pure.
enum ExplanationText {
    static func of(_ picture: ClusterPicture, _ told: [MemberExplanation]) -> String {
        let leader = picture.view.leaderName
        var lines = ["\(picture.name): " + (leader.map { "\($0) leads" } ?? "nobody leads")]
        for one in told { lines += summary(one, leader) }
        for one in told {
            let decisions = one.document?["decisions"]?.array ?? []
            if decisions.isEmpty { continue }
            lines += ["", "Last decisions of \(one.member.name):"]
            for decision in decisions { lines += decided(decision) }
        }
        return lines.map(\.printable).joined(separator: "\n") + "\n"
    }

    /// Why it leads or does not, and what would become of it if nobody did.
    private static func summary(_ one: MemberExplanation, _ leader: String?) -> [String] {
        let name = one.member.name
        let leads = name == leader
        let head = "  \(name) " + (leads ? "leads" : "does not lead")
        guard let document = one.document else { return ["\(head); \(one.trouble ?? "it says nothing")"] }
        let last = document["decisions"]?.array?.last
        let reasons = Reasons(last)
        var lines = [head + (reasons.sentences.isEmpty ? "" : ": \(reasons.sentences.joined(separator: "; "))")]
        let own = document["members"]?.array?.first { $0["name"]?.string == name }
        guard !leads, let race = own?["race"] else { return lines }
        let occasion = leader.map { "if \($0) failed now" } ?? "now"
        let against = Reasons(race).sentences
        lines.append(
            "    \(occasion) it could " + (against.isEmpty ? "take over" : "not take over: ")
                + against.joined(separator: "; "))
        return lines
    }

    private static func decided(_ decision: JSONValue) -> [String] {
        let times = decision["times"]?.int ?? 1
        let often = times > 1 ? " (\(times) times, last at \(moment(decision["last_at"])))" : ""
        return ["  \(moment(decision["first_at"]))  \(decision["action"]?.string ?? "")\(often)"]
            + Reasons(decision).lines.map { "      \($0)" }
    }

    private static func moment(_ value: JSONValue?) -> String {
        value?.string.flatMap(Timestamp.init).map { LocalTime.seconds($0.nanosecondsSinceEpoch) } ?? "?"
    }
}

/// Who could take over, for people; pure.
enum SuccessionText {
    private static let occasions = ["switchover", "failover", "race"]

    /// By what a member says.
    static func of(_ picture: ClusterPicture, _ document: JSONObject, names: [String]) -> String {
        let leader = document["leader"]?.string
        var lines = [head(picture, leader) + ", as \(document["name"]?.string ?? "a member") sees it"]
        for member in members(document, names) where member["leads"]?.bool != true {
            let name = member["name"]?.string ?? "?"
            let words = occasions.map { occasion in
                let isPossible = member[occasion]?["possible"]?.bool == true
                return "\(word(occasion, leader)): \(isPossible ? "yes" : "no")"
            }
            lines.append("  \(name)  " + words.joined(separator: ", "))
            lines += reasons(member, leader).map { "      \($0)" }
            lines += slots(of: name, picture)
        }
        if lines.count == 1 { lines.append("  there is no other member") }
        return lines.map(\.printable).joined(separator: "\n") + "\n"
    }

    /// By what the store says.
    static func of(_ picture: ClusterPicture, names: [String]) -> String {
        let leader = picture.view.leaderName
        var lines = [head(picture, leader) + ", as the store has it"]
        for member in picture.view.members where member.name != leader {
            if !names.isEmpty, !names.contains(member.name) { continue }
            let against = Candidacy.objections(member, picture, leader == nil ? .failover : .switchover)
            lines.append("  \(member.name)  " + (against.isEmpty ? "could take over" : "could not take over"))
            lines += against.map { "      \($0)" } + slots(of: member.name, picture)
        }
        if lines.count == 1 { lines.append("  there is no other member") }
        return lines.map(\.printable).joined(separator: "\n") + "\n"
    }

    private static func slots(of name: String, _ picture: ClusterPicture) -> [String] {
        picture.view.member(name).flatMap(Candidacy.slotObjection).map { ["      \($0)"] } ?? []
    }

    /// Whether anybody could take over, in the way that is left: a leader hands over, and without one there is a race
    /// or an operator's word.
    static func isPossible(_ document: JSONObject, names: [String]) -> Bool {
        let ways = document["leader"]?.string == nil ? ["race", "failover"] : ["switchover"]
        return members(document, names).contains { member in
            ways.contains { member[$0]?["possible"]?.bool == true }
        }
    }

    private static func members(_ document: JSONObject, _ names: [String]) -> [JSONValue] {
        let all = document["members"]?.array ?? []
        return names.isEmpty ? all : all.filter { $0["name"]?.string.map(names.contains) == true }
    }

    private static func head(_ picture: ClusterPicture, _ leader: String?) -> String {
        "\(picture.name): who could take over " + (leader.map { "from \($0) " } ?? "") + "now"
    }

    private static func word(_ occasion: String, _ leader: String?) -> String {
        occasion == "race" ? leader.map { "if \($0) failed" } ?? "in a race" : occasion
    }

    /// Each once, with what it stands against where that is not everything.
    private static func reasons(_ member: JSONValue, _ leader: String?) -> [String] {
        var found: [(line: String, ways: [String])] = []
        for occasion in occasions {
            for line in Reasons(member[occasion]).lines {
                if let place = found.firstIndex(where: { $0.line == line }) {
                    found[place].ways.append(occasion)
                } else {
                    found.append((line, [occasion]))
                }
            }
        }
        return found.map { reason in
            if reason.ways.count == occasions.count { return reason.line }
            return reason.ways.map { word($0, leader) }.joined(separator: ", ") + ": " + reason.line
        }
    }
}

/// Reasons as a member tells them: sentences, and codes with the facts that were compared.
private struct Reasons {
    let sentences: [String]
    private let because: [JSONValue]

    init(_ value: JSONValue?) {
        sentences = (value?["reasons"]?.array ?? []).compactMap(\.string)
        because = value?["because"]?.array ?? []
    }

    /// `n1 holds the leader key [leader-key-held-by leader=n1]`.
    var lines: [String] {
        sentences.enumerated().map { place, sentence in
            guard because.indices.contains(place), let code = because[place]["code"]?.string else { return sentence }
            let facts = (because[place]["facts"]?.object?.members ?? []).map { fact in
                "\(fact.key)=\(fact.value.string ?? PythonText.json(fact.value))"
            }
            return "\(sentence) [\(([code] + facts).joined(separator: " "))]"
        }
    }
}
