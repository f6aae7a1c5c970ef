import ClusterModel
import HighAvailability

/// The body of `GET /explain`: what this node decided last and on which facts, and for every member whether it could
/// lead now. Reasons are codes and facts (docs/reasons.md), each beside the sentence that the log has.
enum ExplainDocument {
    /// How many decisions are told where nobody asks for more.
    static let decisionsUsually = 16

    /// - Parameters:
    ///   - view: what the store holds; nil where it was never read.
    ///   - peers: what the other members said of themselves.
    ///   - wallTime: nanoseconds since the epoch.
    static func object(
        _ snapshot: NodeSnapshot, _ view: ClusterView?, peers: [String: PeerAnswer], decisions: Int, now: BootInstant,
        wallTime: Int64
    ) -> JSONObject {
        var object: JSONObject = [
            "scope": .string(snapshot.scope), "name": .string(snapshot.me.name),
            "role": .string(StatusDocument.role(snapshot, now: now).rawValue),
            "leader": (view?.leaderName).map { JSONValue.string($0) } ?? .null,
            "at": .string(Timestamp(nanosecondsSinceEpoch: wallTime).text),
            "decisions": .array(snapshot.decisions.entries.suffix(decisions).map { .object(entry($0)) }),
            "members": .array(members(snapshot, view, peers, now)),
        ]
        object["store_failure"] = snapshot.storeFailure.map { .string($0) }
        return object
    }

    private static func entry(_ entry: DecisionLog.Entry) -> JSONObject {
        var object: JSONObject = ["action": .string(entry.decision.action.summary)]
        add(entry.decision.reasons, to: &object)
        object["times"] = .int(Int64(entry.times))
        object["first_at"] = .string(Timestamp(nanosecondsSinceEpoch: entry.firstAt).text)
        object["last_at"] = .string(Timestamp(nanosecondsSinceEpoch: entry.lastAt).text)
        return object
    }

    private static func members(
        _ snapshot: NodeSnapshot, _ view: ClusterView?, _ peers: [String: PeerAnswer], _ now: BootInstant
    ) -> [JSONValue] {
        guard let view else { return [] }
        let seen = Observation(
            now: now, me: snapshot.me, settings: snapshot.settings, view: view, storeFailure: snapshot.storeFailure,
            local: snapshot.local, lease: snapshot.lease, peers: peers, running: snapshot.running)
        return prospects(seen, view, snapshot.keptBack).map { prospect in
            var object: JSONObject = [
                "name": .string(prospect.name), "leads": .bool(prospect.leads),
                "position": prospect.position?.json ?? .null,
                "timeline": prospect.timeline.map { .int(Int64($0)) } ?? .null,
            ]
            for occasion in Prospect.Occasion.allCases {
                let reasons = prospect.objections(occasion)
                var verdict: JSONObject = ["possible": .bool(reasons.isEmpty)]
                add(reasons, to: &verdict)
                object[occasion.rawValue] = .object(verdict)
            }
            return .object(object)
        }
    }

    /// The same twice, as `/events` has it: sentences, which may change, and codes with facts, which do not.
    private static func add(_ reasons: [Reason], to object: inout JSONObject) {
        object["reasons"] = .array(reasons.map { .string("\($0)") })
        object["because"] = .array(reasons.map { .object($0.json) })
    }
}
