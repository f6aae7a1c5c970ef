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

    public init() {}

    init(_ generator: inout SeededGenerator, nodes: Int, rewindless: Set<Int>) {
        givesWayAtOnce = generator.oneIn(8)
        if generator.oneIn(4) { slotsTTL = [3, 20][generator.number(in: 0...1)] }
        // What cannot be rewound is what is kept.
        let drawn = generator.number(in: 0...nodes - 1)
        if generator.oneIn(3) { keeps = rewindless.isEmpty ? [drawn] : rewindless }
        partedDoNotStart = generator.oneIn(3)
    }

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
    func isKept(_ index: Int) -> Bool { setup.tempers.keeps.contains(index) && !nodes[index].records.letsGo }

    /// When all has healed somebody looks at the directories that were kept, saves what is wanted and lets them go.
    mutating func lookAtKept() {
        guard case .healing = chapter else { return }
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
