import ClusterModel
import Ports
import StoreRules

/// A store like etcd: revisions, compare-and-swap, leases that a sweep ends some time after they are due, elections
/// that give every lease its whole length again.
struct SimulatedStore {
    struct Value {
        var value: DCSValue
        var revision: Revision
        var session: String

        /// Empty for a document.
        var text: String { if case .text(let text) = value { text } else { "" } }
    }

    struct Session {
        var ttl: Duration
        var expires: BootInstant
    }

    /// Who asks for what only a leader may do: the name, and the session of the daemon's last claim, where it has one.
    struct Claimant {
        var name: String
        var session: String?
    }

    struct Change {
        var leaf: String
        var value: DCSValue?
        var revision: Revision
    }

    /// All that a backup of it holds.
    struct Snapshot {
        fileprivate var keys: [String: Value]
        fileprivate var sessions: [String: Session]
        fileprivate var revision: Revision
    }

    private(set) var revision: Revision = 1
    /// Its own lives are counted: it has lost its memory, or been set back, so many times.
    private(set) var life = 0
    private(set) var clusterID = "0"
    private(set) var term: UInt64 = 2
    private(set) var keys: [String: Value] = [:]
    /// The keys as they are read, in their order.
    private var entries: [StoredEntry] = []
    /// What they are read as, but for the revision; nil where a key has gone since.
    private var present: ClusterView?
    private(set) var sessions: [String: Session] = [:]
    /// The session of each node's present daemon.
    private var sessionOfNode: [String: String] = [:]
    private var sessionsMade = 0
    /// What changed since the world last looked.
    private(set) var changes: [Change] = []
    /// Bugs that were planted on purpose.
    var bug: PlantedBug?
    /// Views of late, newest last: what a member that lags behind answers.
    private var views: [(view: ClusterView, until: BootInstant?)] = []

    mutating func takeChanges() -> [Change] {
        defer { changes = [] }
        return changes
    }

    /// Asked for at every event.
    private(set) var leader: Value?
    /// What `/failover` asks for; nil where it asks for nothing.
    var failover: JSONObject? {
        keys["failover"]?.value.object.flatMap { $0["leader"] == nil && $0["member"] == nil ? nil : $0 }
    }

    // MARK: Sessions

    /// Ends what is due; etcd looks twice a second.
    mutating func sweep(_ now: BootInstant) {
        if !sessions.contains(where: { $0.value.expires <= now }) { return }
        for session in sessions.filter({ $0.value.expires <= now }).keys.sorted() {
            sessions[session] = nil
            for leaf in keys.filter({ $0.value.session == session }).keys.sorted() { remove(leaf) }
        }
    }

    /// Its data is lost: a store that is made anew knows nothing of what was.
    mutating func forget() {
        for leaf in keys.keys.sorted() { set(leaf, nil) }
        revision += 1
        (sessions, sessionOfNode, views, changes) = ([:], [:], [], [])
    }

    /// What its answers tell of it.
    var header: StoreHeader { StoreHeader(clusterID: clusterID, raftTerm: term, revision: revision) }

    var snapshot: Snapshot { Snapshot(keys: keys, sessions: sessions, revision: revision) }

    /// It begins another life, with what the snapshot knows or with nothing.
    mutating func begin(with snapshot: Snapshot?, isSameCluster: Bool, _ now: BootInstant) {
        for leaf in keys.keys.sorted() { set(leaf, nil) }
        for (leaf, value) in (snapshot?.keys ?? [:]).sorted(by: { $0.key < $1.key }) { set(leaf, value) }
        revision = snapshot?.revision ?? 1
        sessions = snapshot?.sessions ?? [:]
        (views, changes, present) = ([], [], nil)
        life += 1
        if !isSameCluster { clusterID = "\(life)" }
        elect(now)
        term = 2
    }

    /// A new leader of the store gives every lease its whole length again.
    mutating func elect(_ now: BootInstant) {
        term += 1
        for session in sessions.keys {
            if let ttl = sessions[session]?.ttl { sessions[session]?.expires = now + ttl }
        }
    }

    /// The daemon of `node` is gone: its next incarnation opens another session. So does an adapter that does not know
    /// what became of a release: one that comes late finds nothing of its own (EtcdStore+Session).
    mutating func forgetSession(of node: String) { sessionOfNode[node] = nil }

    private mutating func prolong(_ node: String, _ ttl: Duration, _ now: BootInstant, isKept: Bool = false) -> String {
        if let session = sessionOfNode[node], let known = sessions[session], known.ttl == ttl {
            if !isKept { sessions[session]?.expires = now + ttl }
            return session
        }
        sessionsMade += 1
        let session = "s\(sessionsMade)"
        sessions[session] = Session(ttl: ttl, expires: now + ttl)
        sessionOfNode[node] = session
        return session
    }

    /// The session of `node`, where it has that length.
    func session(of node: String, ttl: Duration) -> String? {
        sessionOfNode[node].flatMap { sessions[$0]?.ttl == ttl ? $0 : nil }
    }

    /// Prolongs the session that there is; opens none.
    mutating func keepAlive(_ node: String, ttl: Duration, _ now: BootInstant) {
        guard let session = sessionOfNode[node], sessions[session]?.ttl == ttl else { return }
        sessions[session]?.expires = now + ttl
    }

    // MARK: What the port offers

    /// The cluster as it is now.
    mutating func view(_ now: BootInstant) -> ClusterView {
        if let last = views.last, last.view.revision == revision { return last.view }
        var view = present ?? ClusterView(entries: entries, revision: revision, parse: parse)
        present = view
        view.revision = revision
        if !views.isEmpty { views[views.count - 1].until = now }
        views.append((view, nil))
        if views.count > 64 { views.removeFirst(32) }
        return view
    }

    /// The cluster as it was at `past`, as far as that is remembered.
    mutating func view(at past: BootInstant, _ now: BootInstant) -> ClusterView {
        let present = view(now)
        return views.first { $0.until.map { $0 > past } ?? true }?.view ?? present
    }

    /// `since` is when the node sent the request: its lease counts from there.
    mutating func acquire(_ node: String, ttl: Duration, since: BootInstant, _ now: BootInstant) -> LeaderClaim {
        let session = prolong(node, ttl, now)
        if leader != nil, bug != .leaderKeyOverwritten { return .refused }
        put("leader", .text(node), session)
        return .held(since: since, ttl: ttl, session: session)
    }

    mutating func renew(_ node: String, ttl: Duration, replacingGone: Bool, since: BootInstant, _ now: BootInstant)
        -> LeaderClaim
    {
        let session = prolong(node, ttl, now)
        if let leader {
            if leader.value != .text(node) { return .refused }
            if leader.session != session { put("leader", .text(node), session) }
        } else if replacingGone {
            put("leader", .text(node), session)
        } else {
            return .refused
        }
        return .held(since: since, ttl: ttl, session: session)
    }

    /// Both or neither; with the bug, the key all the same where the document is refused.
    mutating func release(status: JSONObject?, by claimant: Claimant) -> Bool {
        guard isLeader(claimant) else { return false }
        if let status, bug != .statusLeftBehind { put(DCSKey.status.rawValue, .object(status)) }
        remove("leader")
        return true
    }

    mutating func touch(_ node: String, _ value: JSONObject, ttl: Duration, prolonging: Bool, _ now: BootInstant) {
        let session = prolong(node, ttl, now, isKept: !prolonging)
        let leaf = "members/\(node)"
        if keys[leaf]?.value == .object(value) && keys[leaf]?.session == session { return }
        put(leaf, .object(value), session)
    }

    /// The claim to make a cluster hangs on the claimant's session, as in the adapter.
    mutating func claimInitialize(_ name: String, ttl: Duration, _ now: BootInstant) -> WriteOutcome {
        guard keys["initialize"] == nil || bug == .compareSkipped else { return .refused }
        put("initialize", .text(""), prolong(name, ttl, now))
        return .written(revision)
    }

    mutating func write(_ key: DCSKey, _ value: DCSValue, _ condition: WriteCondition, by claimant: Claimant)
        -> WriteOutcome
    {
        guard holds(condition, key, claimant) || bug == .compareSkipped else { return .refused }
        put(key.rawValue, value)
        return .written(revision)
    }

    mutating func delete(_ key: DCSKey, _ condition: WriteCondition, by claimant: Claimant) -> WriteOutcome {
        guard holds(condition, key, claimant) || bug == .compareSkipped else { return .refused }
        remove(key.rawValue)
        return .written(revision)
    }

    /// What an operator's tool writes.
    mutating func put(_ leaf: String, _ value: DCSValue, _ session: String = "") {
        revision += 1
        set(leaf, Value(value: value, revision: revision, session: session))
        changes.append(Change(leaf: leaf, value: value, revision: revision))
    }

    /// What an operator's tool deletes.
    mutating func removeByHand(_ leaf: String) { remove(leaf) }

    private mutating func remove(_ leaf: String) {
        guard keys[leaf] != nil else { return }
        revision += 1
        set(leaf, nil)
        changes.append(Change(leaf: leaf, value: nil, revision: revision))
    }

    private mutating func set(_ leaf: String, _ value: Value?) {
        keys[leaf] = value
        if leaf == "leader" { leader = value }
        let place = entries.firstIndex { $0.leaf >= leaf } ?? entries.count
        if place < entries.count, entries[place].leaf == leaf { entries.remove(at: place) }
        guard let value else { return present = nil }
        // A document is read by its key's name in place of a text: nobody here spells it.
        let text = if case .text(let text) = value.value { text } else { leaf }
        let entry = StoredEntry(leaf: leaf, value: text, revision: value.revision, session: value.session)
        entries.insert(entry, at: place)
        reread(entry)
    }

    private func parse(_ leaf: String) -> JSONValue? {
        if case .document(let value)? = keys[leaf]?.value { value } else { nil }
    }

    /// One key in place of all.
    private mutating func reread(_ entry: StoredEntry) {
        guard var view = present else { return }
        present = nil
        let others = view.members.count
        view.read(entry, parse: parse)
        if view.members.count > others, let member = view.members.popLast() {
            let place = view.members.firstIndex { $0.name >= member.name } ?? others
            if place < others, view.members[place].name == member.name {
                view.members[place] = member
            } else {
                view.members.insert(member, at: place)
            }
        }
        present = view
    }

    func holds(_ condition: WriteCondition, _ key: DCSKey, _ claimant: Claimant) -> Bool {
        switch condition {
        case .absent: keys[key.rawValue] == nil
        case .unchanged(let revision): keys[key.rawValue]?.revision == revision
        case .leading: isLeader(claimant)
        case .leadingAsSeen(let revision): isLeader(claimant) && keys[key.rawValue]?.revision == revision
        }
    }

    private func isLeader(_ claimant: Claimant) -> Bool {
        guard let leader, leader.value == .text(claimant.name) else { return false }
        return claimant.session == nil || claimant.session == leader.session
    }
}
