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
///     event: decision    {"action": "no action", "reasons": ["…"], "because": [{"code": "…", …}], "at": …}
///     event: guardian    {"pid": 812, "armed": true, "parent_of_postmaster": true, "at": …}
///     event: timings     {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "why": ["…"], "at": …}
///     event: slots       {"beyond_warning": ["reporting"], "at": …}
struct EventStream {
    private var state: String?
    private var role: [String?] = []
    private var decision: Decision.Gist?
    private var guardian: JSONObject?
    private var timings: JSONObject?
    private var slots: [String] = []

    /// The events by which `snapshot` differs from what was told before; empty where nothing is new.
    mutating func events(_ snapshot: NodeSnapshot, now: BootInstant, wallTime: Int64) -> String {
        let at = JSONValue.string(Timestamp(nanosecondsSinceEpoch: wallTime).text)
        var text = ""
        let state = StatusDocument.state(snapshot.local, snapshot.settings)
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
        if let decision = snapshot.decision, decision.gist != self.decision {
            self.decision = decision.gist
            let reasons = decision.reasons.map { JSONValue.string("\($0)") }
            text += Self.event(
                "decision", snapshot,
                [
                    "action": .string(decision.action.summary), "reasons": .array(reasons),
                    "because": .array(decision.reasons.map { .object($0.json) }), "at": at,
                ])
        }
        text += guardianEvent(snapshot, now, at) + timingsEvent(snapshot, at) + slotsEvent(snapshot, at)
        return text
    }

    /// Where there is a guardian: when it comes or goes, is armed or disarmed, fails, or has stopped PostgreSQL.
    private mutating func guardianEvent(_ snapshot: NodeSnapshot, _ now: BootInstant, _ at: JSONValue) -> String {
        guard let guarding = snapshot.guarding else { return "" }
        var object = StatusDocument.guardian(guarding, now: now)
        // What grows all the time is no news.
        object["lease_remaining_seconds"] = nil
        var kind = object
        kind["last_stop"] = guarding.status?.lastStop.map { .int($0.at.nanoseconds) }
        if kind == guardian { return "" }
        guardian = kind
        object["at"] = at
        return Self.event("guardian", snapshot, object)
    }

    /// Where times were adjusted, and when they no longer are.
    private mutating func timingsEvent(_ snapshot: NodeSnapshot, _ at: JSONValue) -> String {
        var object = StatusDocument.timings(snapshot.settings)
        guard object != timings else { return "" }
        let isFirst = timings == nil
        timings = object
        if isFirst && snapshot.settings.timingWarnings.isEmpty { return "" }
        object["at"] = at
        return Self.event("timings", snapshot, object)
    }

    /// When a slot begins to hold back more WAL than `slot_wal_warning`, or none does any more.
    private mutating func slotsEvent(_ snapshot: NodeSnapshot, _ at: JSONValue) -> String {
        guard let facts = snapshot.local.facts, !facts.isDetailStale else { return "" }
        let beyond = slotsHoldingBackWAL(facts, snapshot.settings).compactMap(\.slotBeyondWarning)
        if beyond == slots { return "" }
        slots = beyond
        return Self.event("slots", snapshot, ["beyond_warning": .array(beyond.map { .string($0) }), "at": at])
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
