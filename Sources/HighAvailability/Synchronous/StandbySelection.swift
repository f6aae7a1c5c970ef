public import ClusterModel

/// Which standbys may be synchronous, in the order in which they are preferred (ha-loop.md §17.3).
public struct StandbySelection: Sendable, Hashable {
    /// A standby that may be.
    public struct Candidate: Sendable, Hashable {
        public var name: String
        public var position: WALPosition
        /// As PostgreSQL has it now: `sync`, `quorum`, `potential`, `async`.
        public var syncState: String
        public var tags: Tags
    }

    /// Why a member is none.
    public enum Obstacle: Sendable, Hashable {
        /// Its name cannot be told to PostgreSQL or in `/sync`, or is another member's but for the case.
        case unnameable
        case nosync
        case notStreaming
        case notRunning
        /// It was restored from a backup and may lack what it would be named for in `/sync`.
        case unproven
        /// Its place is behind another standby.
        case cascades(from: String)
        case lagging(behind: Int64, allowed: Int64)
    }

    /// Those that may be, the preferred ones first.
    public private(set) var candidates: [Candidate] = []
    /// The others, by name.
    public private(set) var obstacles: [String: Obstacle] = [:]
    /// Somebody is connected who will be a candidate as soon as it has caught up.
    public private(set) var isAwaitingSomebody = false
    private let count: Int
    private let primaryZone: String?
    private let prefersDistinctZones: Bool

    public init(
        _ me: NodeIdentity, _ view: ClusterView, _ settings: DynamicConfiguration, _ facts: PostgreSQLStatus.Facts
    ) {
        count = settings.synchronousNodeCount
        primaryZone = me.tags.zone
        prefersDistinctZones = settings.prefersDistinctZones
        let level = facts.synchronous?.level ?? "on"
        let streams = StandbySelection.streams(facts, level)
        let coming = facts.walSenders.filter { StandbySelection.isComing($0, level) }
            .map { $0.applicationName.lowercased() }
        for member in view.members where member.name != me.name {
            let stream = streams[member.name.lowercased()]
            if let obstacle = StandbySelection.obstacle(to: member, stream, me, view, streams) {
                obstacles[member.name] = obstacle
                if obstacle == .notStreaming, coming.contains(member.name.lowercased()) { isAwaitingSomebody = true }
            } else if let stream {
                candidates.append(
                    Candidate(
                        name: member.name, position: stream.position, syncState: stream.syncState, tags: member.tags))
            }
        }
        leaveOutLagging(settings.maximumLagOnSyncnode, ownPosition: facts.writePosition)
        candidates.sort(by: StandbySelection.isPreferred)
    }

    /// It catches up, or streams and has not said yet how far it is.
    private static func isComing(_ sender: PostgreSQLStatus.WALSender, _ level: String) -> Bool {
        if sender.state == "streaming" { return sender.position(level) == nil }
        return ["startup", "catchup"].contains(sender.state)
    }

    /// By name in lower case: how far a standby is. Of two streams of one name, one of which nobody reads any more, the
    /// further one counts.
    private static func streams(
        _ facts: PostgreSQLStatus.Facts, _ level: String
    ) -> [String: (position: WALPosition, syncState: String)] {
        var streams: [String: (position: WALPosition, syncState: String)] = [:]
        for sender in facts.walSenders where sender.state == "streaming" {
            guard let position = sender.position(level) else { continue }
            let name = sender.applicationName.lowercased()
            if let known = streams[name], known.position >= position { continue }
            streams[name] = (position, sender.syncState)
        }
        return streams
    }

    private static func obstacle(
        to member: Member, _ stream: (position: WALPosition, syncState: String)?, _ me: NodeIdentity,
        _ view: ClusterView, _ streams: [String: (position: WALPosition, syncState: String)]
    ) -> Obstacle? {
        let isShared = view.members.contains { $0.name != member.name && isSame($0.name, member.name) }
        if !SynchronousNames.canName(member.name) || isShared || isSame(me.name, member.name) { return .unnameable }
        if member.tags.nosync { return .nosync }
        if member.state != PostgreSQLState.running.rawValue { return .notRunning }
        if stream == nil { return .notStreaming }
        if member.isUnproven { return .unproven }
        // It streams from here only until it has found its place.
        if let source = Cascade(member, view).source, source.name != me.name, isServed(source, me, view, streams) {
            return .cascades(from: source.name)
        }
        return nil
    }

    private static func isSame(_ left: String, _ right: String) -> Bool { left.lowercased() == right.lowercased() }

    /// Whether the way from here to a member that is to be streamed from is whole, by other members or without.
    private static func isServed(
        _ member: Member, _ me: NodeIdentity, _ view: ClusterView,
        _ streams: [String: (position: WALPosition, syncState: String)]
    ) -> Bool {
        guard member.state == PostgreSQLState.running.rawValue else { return false }
        if streams[member.name.lowercased()] != nil { return true }
        guard let source = Cascade(member, view).source, source.name != me.name else { return false }
        return isServed(source, me, view, streams)
    }

    private mutating func leaveOutLagging(_ maximum: Int64?, ownPosition: WALPosition) {
        guard let maximum else { return }
        let first = candidates.count > 1 ? candidates.map(\.position).max() ?? ownPosition : ownPosition
        for candidate in candidates where first - candidate.position > maximum {
            obstacles[candidate.name] = .lagging(behind: first - candidate.position, allowed: maximum)
        }
        candidates.removeAll { first - $0.position > maximum }
    }

    /// Who may not lead goes last; then by `sync_priority`, who is synchronous already, who is further, and by name, so
    /// that equals do not change places.
    private static func isPreferred(_ left: Candidate, _ right: Candidate) -> Bool {
        func rank(_ candidate: Candidate) -> (Int, Int, Int) {
            let state = ["async": 0, "potential": 1, "quorum": 2, "sync": 3][candidate.syncState] ?? 0
            return (candidate.tags.nofailover ? 0 : 1, candidate.tags.syncPriority, state)
        }
        let (mine, theirs) = (rank(left), rank(right))
        if mine != theirs { return mine > theirs }
        return left.position != right.position ? left.position > right.position : left.name < right.name
    }

    public var active: Set<String> { Set(candidates.map(\.name)) }

    /// For priority mode: as many as are to have each commit. With distinct zones those go first that stand in one of
    /// their own; where there are too few of them, others are taken all the same. Who may not lead goes last, wherever
    /// it stands: with nobody else in `/sync`, nobody could lead.
    public func picked() -> Set<String> {
        guard prefersDistinctZones else { return Set(candidates.prefix(count).map(\.name)) }
        var zones = Set([primaryZone].compactMap { $0 })
        var left = candidates
        var names: Set<String> = []
        while names.count < count, !left.isEmpty {
            let isBarred = left[0].tags.nofailover
            let place =
                left.firstIndex { candidate in
                    candidate.tags.nofailover == isBarred && candidate.tags.zone.map { !zones.contains($0) } ?? false
                } ?? 0
            let next = left.remove(at: place)
            names.insert(next.name)
            if let zone = next.tags.zone { zones.insert(zone) }
        }
        return names
    }

    /// For quorum mode: all, but of those that may not lead only as many as are needed. With distinct zones only those
    /// outside the primary's that may lead, where there are enough: whoever acknowledges a commit is elsewhere then.
    public func electors() -> Set<String> {
        let outside = candidates.filter { candidate in
            !candidate.tags.nofailover && candidate.tags.zone.map { $0 != primaryZone } ?? false
        }
        let isDistinct = prefersDistinctZones && outside.count >= count
        var names: Set<String> = []
        for candidate in isDistinct ? outside : candidates
        where !candidate.tags.nofailover || names.count < count {
            names.insert(candidate.name)
        }
        return names
    }
}
