import ClusterModel
import HighAvailability
import Node
import Ports

/// Settings that some operators have and most have not, and what some grounds are like.
public struct Tempers: Sendable, Hashable {
    /// `primary_start_timeout: 0`: a leader that has crashed gives way at once.
    public var givesWayAtOnce = false
    /// `member_slots_ttl`, in seconds.
    public var slotsTTL: Int?
    /// The nodes where no directory that has parted is removed before its operator has looked at it.
    public var keeps: Set<Int> = []
    /// PostgreSQL does not start on a timeline that has parted from that of whom it is to follow.
    public var partedDoNotStart = false
    /// What of directories that have parted their operators let go, where it is not all or nothing.
    var removal: [Int: PostgreSQLStatus.RemovalPermission] = [:]
    /// The nodes that do not know their timeline while they do not stream.
    public var blind: Set<Int> = []
    /// The checkpoint after a promotion takes up to ten seconds, and until then pg_rewind goes by what was before.
    public var checkpointsLate = false
    /// The first server after a pg_rewind is killed.
    public var killsRewound = false
    /// Copies are restored from a backup, which lacks some of the last records.
    public var restoresBackups = false
    /// Of the first cluster that is made: how long after that has begun its daemon dies, and for how long.
    public var bootstrapCut: BootstrapCut?

    public struct BootstrapCut: Sendable, Hashable {
        var after: Duration
        /// Counted from when the server runs.
        var isAtEnd: Bool
        var lasts: Duration
    }

    public init() {}

    init(_ generator: inout SeededGenerator, nodes: Int, rewindless: Set<Int>) {
        givesWayAtOnce = generator.oneIn(8)
        if generator.oneIn(4) { slotsTTL = [3, 20][generator.number(in: 0...1)] }
        // What cannot be rewound is what is kept.
        let drawn = generator.number(in: 0...nodes - 1)
        if generator.oneIn(3) { keeps = rewindless.isEmpty ? [drawn] : rewindless }
        partedDoNotStart = generator.oneIn(3)
    }

    /// What worlds have learnt later is drawn later, so that those of before stay what they were.
    mutating func drawMore(_ generator: inout SeededGenerator, nodes: Int, rewindless: Set<Int>) {
        let drawn = generator.number(in: 0...nodes - 1)
        let node = rewindless.first ?? drawn
        if generator.oneIn(6) { removal[node] = .init(onRewindFailure: true, onDivergedTimelines: false) }
        let unseeing = generator.number(in: 0...nodes - 1)
        if generator.oneIn(8) { blind = [unseeing] }
        checkpointsLate = generator.oneIn(4)
        killsRewound = generator.oneIn(6)
        let isAtEnd = generator.oneIn(2)
        let cut = BootstrapCut(
            after: generator.milliseconds(in: isAtEnd ? 0...20 : 1...3500), isAtEnd: isAtEnd,
            lasts: generator.milliseconds(in: 300...40_000))
        if generator.oneIn(12) { bootstrapCut = cut }
    }

    /// What they have learnt after that.
    mutating func drawStillMore(_ generator: inout SeededGenerator) { restoresBackups = generator.oneIn(6) }

    /// What of it stands in `/config`.
    func write(to document: inout JSONObject) {
        if givesWayAtOnce { document["primary_start_timeout"] = 0 }
        if let slotsTTL { document["member_slots_ttl"] = .int(Int64(slotsTTL)) }
    }
}

extension World {
    /// The history of the timeline that is to be followed says that this one has parted from it.
    func refusesParted(_ index: Int, _ upstream: Int?) -> Bool {
        guard setup.tempers.partedDoNotStart, let upstream else { return false }
        let (mine, theirs) = (nodes[index].postgreSQL.log, self[server: upstream].log)
        return mine.timeline < theirs.timeline && !mine.isBeginning(of: theirs)
    }

    /// Whether an operator has to be asked before the directory goes.
    func isKept(_ index: Int) -> Bool { mayRemove(index) != .init(onRewindFailure: true, onDivergedTimelines: true) }

    /// What is let go without a question.
    func mayRemove(_ index: Int) -> PostgreSQLStatus.RemovalPermission {
        if nodes[index].records.letsGo { return .init(onRewindFailure: true, onDivergedTimelines: true) }
        if setup.tempers.keeps.contains(index) { return .init() }
        return setup.tempers.removal[index] ?? .init(onRewindFailure: true, onDivergedTimelines: true)
    }

    /// When all has healed, and while the cluster is made, somebody looks at the directories that were kept, saves what
    /// is wanted and lets them go.
    mutating func lookAtKept() {
        switch chapter {
        case .making, .healing: break
        case .faults, .done: return
        }
        for index in nodes.indices where isKept(index) {
            let snapshot = nodes[index].published?.snapshot
            let waits = snapshot?.running == nil && snapshot?.decision?.reasons.contains(where: \.isOfKeeping) == true
            let since = waits ? nodes[index].records.keptSince ?? now : nil
            nodes[index].records.keptSince = since
            guard let since, now - since >= .seconds(10) else { continue }
            coverage.count(.directoryKept)
            note("an operator lets the directory of \(name(index)) go")
            nodes[index].records.letsGo = true
        }
    }

    // MARK: Helpers

    /// The daemon has gone; what it had begun goes on until somebody ends it.
    mutating func orphan(_ index: Int) {
        guard let operation = nodes[index].operation, operation.operation.hasHelper else { return }
        nodes[index].orphan = operation
    }

    /// Whoever is to write in a directory takes its lock first, and ends who holds it.
    mutating func takeLock(_ operation: PostgreSQLOperation, _ index: Int) {
        guard nodes[index].orphan != nil, operation.writesDirectory else { return }
        coverage.count(.helperEnded)
        if setup.bug != .lockNotTaken { nodes[index].orphan = nil }
        checkLock(operation, index)
    }
}

extension SimulatedNode {
    /// What is remembered for the sake of checks, and of operators.
    struct Records {
        /// When PostgreSQL was last told to stop in order.
        var stopBegan: BootInstant?
        /// Since when a directory is kept that has parted, and whether its operator lets it go.
        var keptSince: BootInstant?
        var letsGo = false
        /// Since when each slot has been nobody's, on a leader that could drop it.
        var abandoned: [String: BootInstant] = [:]
        /// When it last asked a store that was full to write.
        var attempts: [BootInstant] = []
        /// How many faults keep its guardian from doing anything; since when, and the order that it has not read.
        var frozenGuardian = 0
        var unread: (order: GuardOrder, at: BootInstant)?
        /// It has read no order since one that came while it hung.
        var hasMissedOrders = false
        /// A server that an earlier daemon has started, in a directory where nobody looks any more.
        var elder: World.Elder?
        /// pg_rewind gives up on what stands in the directory; it has given up on it, or was broken off.
        var refusesRewinds = false
        var rewindHasFailed = false
        /// No server has been started since its directory was rewound.
        var isRewound = false
        /// How many faults hold all its connections.
        var full = 0
        /// Its bootstrap was cut off: what it has made is nobody's cluster.
        var isCutOff = false
        /// Its operator has a backup, and restores that where nobody can be copied.
        var restoresAlone = false
        /// The life of the store that it has taken for the one before, and nothing on its disk could tell.
        var couldNotTell: Int?

        /// Nothing of this is wrong at present.
        var isPlain: Bool { frozenGuardian == 0 && full == 0 && elder == nil }
    }
}

extension Reason {
    fileprivate var isOfKeeping: Bool {
        if case .rejoin(.directoryKept(let why)) = self { why != .awaitingCopy } else { false }
    }
}

extension PostgreSQLOperation {
    /// A program that the daemon runs, and that may outlive it.
    fileprivate var hasHelper: Bool {
        switch self {
        case .clone, .rewind, .recoverSingleUser: true
        case .bootstrap, .finishBootstrap, .restore, .startPrimary, .startStandby, .follow, .resumeReplay,
            .nameSynchronous, .prePromote, .promote, .stop, .stopToRestart, .copyLogicalSlots, .archiveLastSegment,
            .setAsideDataDirectory:
            false
        }
    }

    fileprivate var writesDirectory: Bool {
        switch self {
        case .clone, .rewind, .recoverSingleUser, .bootstrap, .restore, .startPrimary, .startStandby,
            .setAsideDataDirectory:
            true
        case .finishBootstrap, .follow, .resumeReplay, .nameSynchronous, .prePromote, .promote, .stop, .stopToRestart,
            .copyLogicalSlots, .archiveLastSegment:
            false
        }
    }
}
