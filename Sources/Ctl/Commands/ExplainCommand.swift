import ArgumentParser
import ClusterModel
import HTTPClient

/// `explain` and `explain failover`: why things are as they are, and who could lead.
struct ExplainCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "explain", "Says why the leader leads and the others do not, and what the members decided last.",
            "explain failover says of each member whether it could take over now, and what stands against it; its exit "
                + "code is 1 where nobody could. Members of Patroni tell no reasons: of them the store is asked.",
            examples: ["explain batman", "explain batman --member n2 --decisions 50", "explain failover batman"])
    }

    @OptionGroup var group: GroupOption

    @Flag(name: .customLong("json"), help: "What each member says, one JSON object a line, for pipes.")
    var isJSON = false

    @Option(help: "How many of the last decisions of each member are shown, 256 at most.")
    var decisions = 5

    @Option(
        name: [.customShort("m", allowingJoined: true), .customLong("member")], parsing: .singleValue,
        help: "Only this member; may be given more than once.")
    var memberNames: [String] = []

    @Argument(help: "failover, and the cluster; the one of the configuration where none is named.")
    var words: [String] = []

    /// What the first word may be instead of a cluster.
    private static let failover = "failover"

    func validate() throws {
        if words.count > (words.first == Self.failover ? 2 : 1) {
            throw ValidationError("explain takes one cluster, and before it the word failover.")
        }
    }

    func run(_ session: Session) async throws {
        let asksForSuccessors = words.first == Self.failover
        let name = try session.clusterName(words.dropFirst(asksForSuccessors ? 1 : 0).first)
        let picture = try await Cluster(name, group: group.number, session).load()
        if picture.members(.any).isEmpty { throw CtlError.refused("\(name) cluster doesn't have any members") }
        for wrong in memberNames where !picture.members(.any).contains(where: { $0.name == wrong }) {
            throw CtlError.refused("\(wrong) is not a member of cluster \(name)")
        }
        if asksForSuccessors {
            try await explainFailover(picture, session)
        } else {
            try await explain(picture, session)
        }
    }

    private func chosen(_ members: [Member]) -> [Member] {
        memberNames.isEmpty ? members : members.filter { memberNames.contains($0.name) }
    }

    private func explain(_ picture: ClusterPicture, _ session: Session) async throws {
        let members = chosen(picture.members(.any))
        let told = try await MemberExplanation.of(members, decisions: decisions, session)
        if isJSON { return session.terminal.write(told.compactMap(\.json).map { $0 + "\n" }.joined()) }
        session.terminal.write(ExplanationText.of(picture, told))
    }

    /// The leader knows best: it sees to whom it sends WAL.
    private func explainFailover(_ picture: ClusterPicture, _ session: Session) async throws {
        for member in picture.leaderFirst {
            let told = try await MemberExplanation.of([member], decisions: 0, session)
            guard let document = told.first?.document else { continue }
            if isJSON {
                session.terminal.write(told.compactMap(\.json).map { $0 + "\n" }.joined())
            } else {
                session.terminal.write(SuccessionText.of(picture, document, names: memberNames))
            }
            return try end(SuccessionText.isPossible(document, names: memberNames))
        }
        session.warn("no member tells reasons; this is what the store says")
        session.terminal.write(SuccessionText.of(picture, names: memberNames))
        let others = chosen(picture.view.members)
        try end(others.contains { Candidacy.objections($0, picture, .failover).isEmpty })
    }

    private func end(_ isPossible: Bool) throws(CtlError) { if !isPossible { throw .ended(1) } }
}

/// What a member said to `GET /explain`.
struct MemberExplanation: Sendable {
    let member: Member
    /// Nil where it said nothing of the kind.
    let document: JSONObject?
    /// Why not.
    let trouble: String?

    var json: String? { document.map { PythonText.json(.object($0)) } }

    private static let patience = Duration.seconds(10)

    /// All are asked at once; in the order of `members`.
    static func of(
        _ members: [Member], decisions: Int, _ session: Session
    ) async throws -> [MemberExplanation] {
        let client = try MemberClient(session)
        return await withTaskGroup(of: (Int, MemberExplanation).self) { group in
            for (place, member) in members.enumerated() {
                group.addTask { (place, await ask(member, decisions, client)) }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private static func ask(_ member: Member, _ decisions: Int, _ client: MemberClient) async -> MemberExplanation {
        do throws(HTTPClientError) {
            let answer = try await client.send("GET", "explain?decisions=\(decisions)", to: member, within: patience)
            // A node of Patroni answers every path, with its status.
            guard let document = answer.json?.object, document["decisions"]?.array != nil else {
                return MemberExplanation(member: member, document: nil, trouble: "it tells no reasons")
            }
            return MemberExplanation(member: member, document: document, trouble: nil)
        } catch {
            return MemberExplanation(member: member, document: nil, trouble: "it does not answer: \(error)")
        }
    }
}
