/// One key of a cluster as the store returned it.
public struct StoredEntry: Sendable, Hashable {
    /// The key below the cluster's path: `leader`, `members/n1`.
    public let leaf: String
    public let value: String
    public let revision: Revision
    /// The lease or session the key hangs on; empty for none.
    public let session: String

    public init(leaf: String, value: String, revision: Revision, session: String = "") {
        self.leaf = leaf
        self.value = value
        self.revision = revision
        self.session = session
    }
}

extension ClusterView {
    /// Reads a cluster from its keys, as every store does (dcs.md §2). A malformed value never fails the whole view: it
    /// reads as what the spec gives for it. `parse` reads JSON text and gives nil for what is not JSON.
    public init(entries: [StoredEntry], revision: Revision, parse: (String) -> JSONValue?) {
        self.init(revision: revision)
        for entry in entries { read(entry, parse: parse) }
        members.sort { $0.name < $1.name }
    }

    /// Reads one of the keys, a member's behind the others.
    public mutating func read(_ entry: StoredEntry, parse: (String) -> JSONValue?) {
        switch ClusterLeaf(entry.leaf) {
        case .initialize:
            initialize = entry.value.isEmpty ? .inProgress : .value(entry.value)
            initializeRevision = entry.revision
        case .config:
            let object = parse(entry.value)?.object
            config = ConfigRecord(data: object ?? JSONObject(), isValid: object != nil, revision: entry.revision)
        case .leader:
            leader = LeaderRecord(name: entry.value, session: entry.session, revision: entry.revision)
        case .status: status = StatusRecord(text: entry.value, revision: entry.revision, parse: parse)
        // Of old versions: it counts where there is no status.
        case .legacyOptime:
            if status.revision == nil, let optime = UInt64(entry.value) { status.optime = WALPosition(optime) }
        case .failover:
            failover = FailoverRequest(text: entry.value, revision: entry.revision, parse: parse)
            failoverFailure = failover == nil ? parse(entry.value)?.object?["failed"]?.string : nil
            failoverRevision = entry.revision
        case .sync: sync = SyncState(json: parse(entry.value), revision: entry.revision)
        case .history: history = TimelineHistory(json: parse(entry.value), revision: entry.revision)
        case .rollingRestart:
            rollingRestart = RollingRestart(json: parse(entry.value), revision: entry.revision)
            rollingRestartRevision = entry.revision
        case .failsafe:
            failsafeRevision = entry.revision
            failsafe = parse(entry.value)?.object.map { object in
                Dictionary(
                    object.members.compactMap { member in member.value.string.map { (member.key, $0) } },
                    uniquingKeysWith: { $1 })
            }
        case .member(let name): members.append(Member(name: name, entry: entry, parse: parse))
        case .unknown: break
        }
    }
}

extension Member {
    /// Reads the value of `members/<name>`.
    init(name: String, entry: StoredEntry, parse: (String) -> JSONValue?) {
        let data =
            if entry.value.hasPrefix("postgres") {
                Member.legacy(entry.value)
            } else {
                parse(entry.value)?.object ?? JSONObject()
            }
        self.init(name: name, session: entry.session, revision: entry.revision, data: data)
    }

    /// A value of old versions: the connection URL with `application_name` carrying the API's URL (dcs.md §2.3).
    private static func legacy(_ url: String) -> JSONObject {
        let parts = url.split(separator: "?", maxSplits: 1)
        var data: JSONObject = ["conn_url": .string(String(parts[0]))]
        let query = parts.count > 1 ? parts[1].split(separator: "&") : []
        if let name = query.first(where: { $0.hasPrefix("application_name=") }) {
            data["api_url"] = .string(String(name.dropFirst("application_name=".count)))
        }
        return data
    }
}

extension StatusRecord {
    init(text: String, revision: Revision, parse: (String) -> JSONValue?) {
        self.init(revision: revision)
        switch parse(text) {
        case .int(let value)?: optime = WALPosition(json: .int(value)) ?? .zero
        case .object(let object)?:
            optime = WALPosition(json: object["optime"]) ?? .zero
            func nested(_ key: String) -> JSONValue? { object[key]?.string.flatMap { parse($0) } ?? object[key] }
            for member in nested("slots")?.object?.members ?? [] {
                slots[member.key] = WALPosition(json: member.value) ?? .zero
            }
            retainSlots = nested("retain_slots")?.array?.compactMap(\.string) ?? []
            handedOverBy = object["handed_over_by"]?.string
            if let seconds = object["failsafe_ttl"]?.int, seconds > 0 {
                failsafeTTL = min(.seconds(seconds), FailsafePing.longestTTL)
            }
        default: break
        }
    }
}

extension FailoverRequest {
    /// Nil where nothing is asked for: an empty object, or only a schedule (dcs.md §2.7).
    init?(text: String, revision: Revision, parse: (String) -> JSONValue?) {
        let leader: String?
        let candidate: String?
        var scheduledAt: String?
        if let json = parse(text) {
            guard let object = json.object else { return nil }
            leader = object["leader"]?.string
            candidate = object["member"]?.string
            scheduledAt = object["scheduled_at"]?.string
        } else {
            // The form of old versions: `leader[:candidate]`.
            let parts = text.split(separator: ":", maxSplits: 1).map { part in
                String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            }
            leader = parts.first
            candidate = parts.count > 1 ? parts[1] : nil
        }
        let name = { (text: String?) in text.flatMap { $0.isEmpty ? nil : $0 } }
        if name(leader) == nil && name(candidate) == nil { return nil }
        self.init(leader: name(leader), candidate: name(candidate), scheduledAt: name(scheduledAt), revision: revision)
    }
}

extension SyncState {
    init(json: JSONValue?, revision: Revision) {
        guard let object = json?.object, let leader = object["leader"]?.string, !leader.isEmpty,
            let quorum = (object["quorum"] ?? .int(0)).int
        else {
            self.init(revision: revision)
            return
        }
        let voters = (object["sync_standby"]?.string ?? "").split(separator: ",").map { name in
            String(name.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        self.init(
            leader: leader, voters: voters.filter { !$0.isEmpty }, quorum: Int(clamping: quorum), revision: revision)
    }
}

extension TimelineHistory {
    init(json: JSONValue?, revision: Revision) {
        guard let rows = json?.array else {
            self.init(revision: revision)
            return
        }
        let lines = rows.compactMap { row -> Line? in
            guard let items = row.array, items.count >= 3,
                let timeline = items[0].int.flatMap(TimelineID.init(exactly:)),
                let position = WALPosition(json: items[1]), let reason = items[2].string
            else { return nil }
            return Line(
                timeline: timeline, position: position, reason: reason,
                timestamp: items.count > 3 ? items[3].string : nil,
                newLeader: items.count > 4 ? items[4].string : nil)
        }
        self.init(lines: lines, isPresent: true, revision: revision)
    }
}
