import ClusterModel
import HTTPServer
import HighAvailability
import JSON
import Ports

/// `GET /events`: what changes on this node, as server-sent events. Each is a JSON object; the first three tell how
/// things stand.
///
///     event: state       {"state": "running", "at": "2027-02-03T12:00:00+00:00"}
///     event: role        {"role": "replica", "leader": "pg-a", "at": …}
///     event: decision    {"action": "wait", "reasons": ["…"], "at": …}
struct EventStream {
    private var state: String?
    private var role: [String?] = []
    private var decision: String?

    /// The events by which `snapshot` differs from what was told before; empty where nothing is new.
    mutating func events(_ snapshot: NodeSnapshot, now: BootInstant, wallTime: Int64) -> String {
        let at = JSONValue.string(Timestamp(nanosecondsSinceEpoch: wallTime).text)
        var text = ""
        let state = StatusDocument.state(snapshot.local)
        if state != self.state {
            self.state = state
            text += Self.event("state", snapshot, ["state": .string(state), "at": at])
        }
        let role = StatusDocument.role(snapshot, now: now).rawValue
        let leader = snapshot.view?.leaderName
        if [role, leader] != self.role {
            self.role = [role, leader]
            let name = leader.map { JSONValue.string($0) } ?? .null
            text += Self.event("role", snapshot, ["role": .string(role), "leader": name, "at": at])
        }
        if let decision = snapshot.decision, Self.kind(decision) != self.decision {
            self.decision = Self.kind(decision)
            let reasons = decision.reasons.map { JSONValue.string("\($0)") }
            text += Self.event(
                "decision", snapshot,
                ["action": .string(decision.action.summary), "reasons": .array(reasons), "at": at])
        }
        return text
    }

    /// Reasons carry times that differ in every cycle: their beginnings tell whether something changed.
    private static func kind(_ decision: Decision) -> String {
        "\(decision.action.summary) \(decision.reasons.map { "\($0)".prefix(24) })"
    }

    private static func event(_ name: String, _ snapshot: NodeSnapshot, _ data: JSONObject) -> String {
        // JSON text has no line breaks, so that one data line holds it.
        "id: \(snapshot.serial)\nevent: \(name)\ndata: \(JSON.text(data))\n\n"
    }
}

extension ControlAPI {
    func events() -> HTTPResponse {
        let node = node
        let clock = clock
        var response = HTTPResponse(
            status: 200, headers: ["Content-Type": "text/event-stream", "Cache-Control": "no-store"])
        response.stream = HTTPStream { write in
            var stream = EventStream()
            for await snapshot in node.changes() {
                let text = stream.events(snapshot, now: clock.now(), wallTime: clock.wallTime())
                if !text.isEmpty && !write(Array(text.utf8)) { return }
            }
        }
        return response
    }
}
