public import ClusterModel

// An operation that was broken off returns as soon as it notices; one that hangs in the kernel, on a disk that does not
// answer, never does. What takes over waits for it only for so long, and then goes by what needs no turn and no disk.

extension LeaseArithmetic {
    /// How long what was broken off is waited for, where no lease ends before.
    static let breakOffPatience = Duration.seconds(5)
    /// What every operation has, however late it is: as long as a healthy one takes.
    private static let leastPatience = Duration.milliseconds(500)

    /// Until when an operation that is broken off at `now` has PostgreSQL ended, and may return. What may accept writes
    /// must have ended when the lease does.
    public static func breakOffEnds(_ lease: Lease?, mayAcceptWrites: Bool, at now: BootInstant) -> BootInstant {
        let patience = now + breakOffPatience
        guard mayAcceptWrites, let lease else { return patience }
        return max(min(patience, lease.deadline), now + leastPatience)
    }

    /// When a step that takes a primary down counts as one that hangs: a while after its own time is over, and with the
    /// lease before it ends in any case. Nil for a step that ends nothing, and for one that waits for nobody.
    public static func endIsDue(_ step: Step?, since began: BootInstant, _ lease: Lease?) -> BootInstant? {
        guard case .postgreSQL(.stop(let mode, let timeout, _))? = step, mode != .byForce else { return nil }
        let due = began + mode.preparation + timeout + breakOffPatience
        // One that begins late has a moment, too: what is told PostgreSQL is on its way then, and has not failed.
        return lease.map { min(due, max(haltBy($0) + $0.margin / 2, began + leastPatience)) } ?? due
    }
}

extension Plan {
    /// The plan as it is carried out beside an operation that hangs: what it ends it ends by force, which waits neither
    /// for a turn nor for the disk.
    public var byForce: Plan {
        var plan = self
        plan.steps = steps.map { step in
            guard case .postgreSQL(.stop) = step else { return step }
            return .postgreSQL(.stop(.byForce, timeout: PostgreSQLOperation.urgentStopTimeout))
        }
        return plan
    }
}

extension Plan {
    /// How long the plan may take by the times that its own operations keep, and those that a leader may take for a
    /// repair; nil where one of them has none, which is no leader's.
    func allowance(_ settings: DynamicConfiguration) -> Duration? {
        var sum = Duration.zero
        for case .postgreSQL(let operation) in steps {
            guard let allowance = operation.allowance(settings) else { return nil }
            sum += allowance
        }
        return sum
    }
}

extension PostgreSQLOperation {
    fileprivate func allowance(_ settings: DynamicConfiguration) -> Duration? {
        switch self {
        case .startPrimary(let timeout, _), .startStandby(_, let timeout): timeout
        case .stop(let mode, let timeout, _): mode.preparation + timeout
        case .stopToRestart(let timeout): StopMode.checkpointPatience + timeout
        case .prePromote, .promote, .follow, .resumeReplay: settings.startPatience
        // A file, and a reload that is waited for.
        case .nameSynchronous: .seconds(10)
        case .copyLogicalSlots(_, _, let stopTimeout): settings.startPatience + stopTimeout
        // Of a standby cluster's leader alone: who only follows may take all the time that it needs.
        case .rewind, .recoverSingleUser: max(settings.startPatience, Self.repairPatience)
        case .bootstrap, .finishBootstrap, .clone, .restore, .setAsideDataDirectory, .archiveLastSegment: nil
        }
    }

    /// A repair depends on how much was written, and on the source; but where somebody else can lead, it is better done
    /// by one who does not.
    private static let repairPatience = Duration.seconds(600)
}
