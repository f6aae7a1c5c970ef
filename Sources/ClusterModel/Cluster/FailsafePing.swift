/// What a primary that has lost the store tells the others over `POST /failsafe` (ha-loop.md §16.3): that it goes on.
public struct FailsafePing: Sendable, Hashable {
    public var name: String
    public var connectionURL: String
    public var apiURL: String
    /// Where each slot on the primary stands, its own name's included; nil where that is not known.
    public var slots: [String: WALPosition]?
    /// For how long the primary will count the promise, by its own configuration; nil from Patroni's nodes. A field of
    /// ours: others pass over it.
    public var ttl: Duration?

    /// A promise for longer than this is asked for by nobody who means it.
    public static let longestTTL = Duration.seconds(3600)

    public init(
        name: String, connectionURL: String, apiURL: String, slots: [String: WALPosition]? = nil, ttl: Duration? = nil
    ) {
        self.name = name
        self.connectionURL = connectionURL
        self.apiURL = apiURL
        self.slots = slots
        self.ttl = ttl
    }

    /// Reads the body; nil where a name or an address is missing (rest-api.md §15).
    public init?(json: JSONObject) {
        guard let name = json["name"]?.string, !name.isEmpty, let connectionURL = json["conn_url"]?.string,
            let apiURL = json["api_url"]?.string
        else { return nil }
        self.init(name: name, connectionURL: connectionURL, apiURL: apiURL)
        slots = json["slots"]?.object.map { object in
            Dictionary(
                object.members.compactMap { slot in WALPosition(json: slot.value).map { (slot.key, $0) } },
                uniquingKeysWith: { $1 })
        }
        let milliseconds = json["ttl_milliseconds"]?.int.map {
            min(max(0, $0), Int64(Self.longestTTL.inSeconds) * 1000)
        }
        ttl = milliseconds.map { .milliseconds($0) }
    }

    /// The body as it is sent.
    public var json: JSONObject {
        var object: JSONObject = [
            "name": .string(name), "conn_url": .string(connectionURL), "api_url": .string(apiURL),
        ]
        object["slots"] = slots.map { slots in
            .object(JSONObject(slots.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }))
        }
        object["ttl_milliseconds"] = ttl.map { .int($0.nanoseconds / 1_000_000) }
        return object
    }
}

/// What a member answered to a `FailsafePing`.
public enum FailsafeAnswer: Sendable, Hashable {
    /// It takes part in no race for a ttl from when it said so. Where it stands, as far as it knows.
    case accepted(WALPosition?)
    /// It says something else than `Accepted`.
    case refused(String)
    /// No answer in time.
    case unreachable(String)

    /// The only body, with the status 200, that is a promise.
    public static let acceptance = "Accepted"
}

extension Member {
    /// What `/failsafe` tells of a member.
    public init(name: String, apiURL: String) {
        self.init(name: name, data: ["api_url": .string(apiURL)])
    }
}

extension ClusterView {
    /// The cluster as it is for a member that has promised `ping`'s sender to let it lead: where the store names nobody,
    /// that one leads; and what it told of its slots is newer than what the store has (ha-loop.md §16.4).
    public func led(by ping: FailsafePing) -> ClusterView {
        var view = self
        if let slots = ping.slots { view.status.slots = slots }
        guard isUnlocked else { return view }
        view.leader = LeaderRecord(name: ping.name, session: "", revision: revision)
        if member(ping.name) == nil {
            view.members.append(
                Member(
                    name: ping.name,
                    data: [
                        "conn_url": .string(ping.connectionURL), "api_url": .string(ping.apiURL), "role": "primary",
                        "state": "running",
                    ]))
            view.members.sort { $0.name < $1.name }
        }
        return view
    }

    /// The cluster with where these members say that they stand: the store has not heard of it.
    public func standing(at positions: [String: WALPosition]) -> ClusterView {
        if positions.isEmpty { return self }
        var view = self
        view.members = members.map { member in
            guard let position = positions[member.name] else { return member }
            var data = member.data
            data["xlog_location"] = position.json
            return Member(name: member.name, session: member.session, revision: member.revision, data: data)
        }
        return view
    }
}
