import ArgumentParser
import ClusterModel
import HTTPClient
import JSON

/// `events`: what changes on the members of a cluster, as it happens.
struct EventsCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "events", "Tells what changes on the members of a cluster, as it happens, until Ctrl-C.",
            "Members of Patroni tell nothing of the kind.",
            examples: ["events batman", "events batman --json | jq .reasons"])
    }

    @OptionGroup var group: GroupOption

    @Flag(name: .customLong("json"), help: "One JSON object a line, for pipes.")
    var isJSON = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    @Argument(help: "The members; all where none is named.")
    var memberNames: [String] = []

    /// How soon a member that is new is found.
    private static let interval = Duration.seconds(10)

    func run(_ session: Session) async throws {
        let cluster = try Cluster(try session.clusterName(clusterName), group: group.number, session)
        let client = try MemberClient(session)
        let (isJSON, names) = (isJSON, memberNames)
        try await withThrowingTaskGroup(of: Void.self) { group in
            var known: Set<String> = []
            while true {
                for member in try await cluster.load().members(.any) where member.apiURL != nil {
                    guard names.isEmpty || names.contains(member.name), known.insert(member.name).inserted else {
                        continue
                    }
                    group.addTask {
                        await MemberEvents.follow(member, client, session) { event in
                            session.terminal.write((isJSON ? event.json : event.text) + "\n")
                        }
                    }
                }
                let end = session.now + Self.interval
                while session.now < end {
                    try session.stopWithoutReader()
                    await session.pause(.milliseconds(500))
                }
            }
        }
    }
}

/// One event as a member tells it.
struct MemberEvent: Sendable {
    let member: String
    let kind: String
    let data: JSONObject

    /// One object: the member, the kind, and what the member said.
    var json: String {
        PythonText.json(
            .object(
                JSONObject(
                    [("member", .string(member)), ("event", .string(kind))] + data.members.map { ($0.key, $0.value) })))
    }

    /// One line for people.
    var text: String { text(as: member) }

    /// With another name for the member, where its own would not be enough.
    func text(as name: String) -> String {
        let at = data["at"]?.string.flatMap(Timestamp.init).map { LocalTime.seconds($0.nanosecondsSinceEpoch) } ?? ""
        return "\(at) \(name) \(kind): \(summary)".printable.replacing("\n", with: " ")
    }

    private var summary: String {
        switch kind {
        case "state": return data["state"]?.string ?? ""
        case "role":
            let leader = data["leader"]?.string.map { ", the leader is \($0)" } ?? ", there is no leader"
            return (data["role"]?.string ?? "") + leader
        case "decision":
            let reasons = (data["reasons"]?.array ?? []).compactMap(\.string).joined(separator: "; ")
            return (data["action"]?.string ?? "") + (reasons.isEmpty ? "" : ", because \(reasons)")
        case _:
            var rest = data
            rest["at"] = nil
            return PythonText.json(.object(rest))
        }
    }
}

/// The stream of events of one member (docs/rest.md).
enum MemberEvents {
    private static let patience = Duration.seconds(10)
    private static let pauses = [1, 2, 5, 10]
    private static let eventMax = 1 << 20

    /// Follows it for ever: a stream that ends is begun anew.
    static func follow(
        _ member: Member, _ client: MemberClient, _ session: Session, _ take: @Sendable (MemberEvent) -> Void
    ) async {
        var failures = 0
        while !Task.isCancelled {
            do throws(HTTPClientError) {
                let stream = try await client.stream("events", from: member, within: patience)
                guard stream.status == 200 else {
                    return session.warn("\(member.name) tells no events (status \(stream.status))")
                }
                var buffer: [UInt8] = []
                while let part = try await stream.next() {
                    failures = 0
                    buffer += part
                    for event in events(&buffer, of: member.name) { take(event) }
                    if buffer.count > eventMax { buffer = [] }
                }
            } catch {
                if Task.isCancelled { return }
                if failures == 0 { session.warn("\(member.name) does not answer, it is asked again: \(error)") }
            }
            await session.pause(.seconds(pauses[min(failures, pauses.count - 1)]))
            failures += 1
        }
    }

    /// Takes the whole events out of `buffer`: each ends with an empty line.
    static func events(_ buffer: inout [UInt8], of member: String) -> [MemberEvent] {
        var found: [MemberEvent] = []
        while let end = buffer.indices.dropLast().first(where: { buffer[$0] == 10 && buffer[$0 + 1] == 10 }) {
            var (kind, data) = ("", JSONObject())
            for line in String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\n") {
                if line.hasPrefix("event: ") { kind = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { data = (try? JSON.parse(line.dropFirst(6)))?.object ?? [:] }
            }
            buffer.removeFirst(end + 2)
            if !kind.isEmpty { found.append(MemberEvent(member: member, kind: kind, data: data)) }
        }
        return found
    }
}
