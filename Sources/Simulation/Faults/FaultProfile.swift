import ClusterModel

/// Which faults a world may have, and how many of each kind relative to the others.
public enum FaultProfile: String, Sendable, CaseIterable {
    /// Everything.
    case mixed
    /// The network between nodes, and between nodes and the store.
    case network
    /// Kills, freezes, hangs, slow disks.
    case process
    /// Outages, elections, slow and lagging answers, unreliable watches.
    case store
    /// Switchovers, pauses, edits, restarts, while little else fails.
    case operators
    /// Switchovers while network and disks are bad.
    case handover
    /// What replication lag and failovers do to each other.
    case lag
    /// Faults against which the node needs no guardian: no daemon is killed or frozen.
    case unguarded
    /// What the ground gives: files, guardians, keys, requests that come late, daemons that starve.
    case ground
    /// `synchronous_mode: on`, with one or two standbys, sometimes strict.
    case synchronous
    /// The same of `quorum`.
    case quorum
    /// Synchronous mode is changed all the time: off, on, quorum, how many, how strictly.
    case modes
    /// `failsafe_mode`: the store goes, for all or for some, while members are cut off from each other, die and freeze.
    case failsafe
    /// The same with short leases, while requests come late or lose their answers and leaders are lost: what is on its
    /// way when the store goes.
    case failsafeLate
    /// `standby_cluster` is set and taken away again, while nodes, their network and the store fail.
    case sites
    /// Pauses, while everything that a daemon would act upon happens, and now and then somebody asks for something.
    case pauses
    /// Checkpointers hang, while people stop and restart servers and a few other things fail.
    case checkpoints
    /// None.
    case quiet

    /// Whether its clusters are in failsafe mode.
    var isFailsafe: Bool { self == .failsafe || self == .failsafeLate }

    /// Whether its clusters are in synchronous mode, or may be.
    var isSynchronous: Bool { self == .synchronous || self == .quorum || self == .modes }

    /// Whether PostgreSQL is held by a guardian that kills it when the lease ends.
    public var hasGuardian: Bool { self != .unguarded }

    /// `count` faults, spread over `span`.
    public func plan(_ generator: inout SeededGenerator, nodes: Int, count: Int, span: Duration) -> [Fault] {
        if self == .quiet { return [] }
        let dice = makers
        let total = dice.reduce(0) { $0 + $1.weight }
        return (0..<count).map { _ in
            let at = generator.milliseconds(in: 0...Int(span.nanoseconds / 1_000_000))
            // Short and long ones: some are over before anybody noticed, some outlast every lease.
            let brief = generator.milliseconds(in: generator.oneIn(3) ? 100...8000 : 2000...70_000)
            // Some do not heal before the story's end.
            let lasts = generator.oneIn(8) ? span : brief
            var left = generator.number(in: 1...total)
            let make = dice.first { die in
                left -= die.weight
                return left <= 0
            }
            return Fault(make?.make(&generator, nodes) ?? .storeElection, at: at, lasts: lasts)
        }.sorted { $0.at < $1.at }
    }

    /// The synchronous mode that a world begins with.
    func synchronous(_ generator: inout SeededGenerator) -> World.SynchronousConfiguration {
        switch self {
        case .synchronous: FaultMaker.synchronous(.priority, &generator)
        case .quorum: FaultMaker.synchronous(.quorum, &generator)
        case .modes: FaultMaker.anyMode(&generator)
        case .mixed, .network, .process, .store, .operators, .handover, .lag, .ground, .unguarded, .failsafe,
            .failsafeLate, .sites, .pauses, .checkpoints, .quiet:
            World.SynchronousConfiguration()
        }
    }

    private var makers: [FaultMaker] {
        let groups: [[FaultMaker]] =
            switch self {
            case .mixed:
                [
                    FaultMaker.network, FaultMaker.process, FaultMaker.killers, FaultMaker.store, FaultMaker.operators,
                    FaultMaker.lag, FaultMaker.ground,
                ]
            case .ground: [FaultMaker.ground, FaultMaker.ground, FaultMaker.process, FaultMaker.killers]
            case .network: [FaultMaker.network, FaultMaker.lag]
            case .process: [FaultMaker.process, FaultMaker.killers]
            case .store: [FaultMaker.store, Array(FaultMaker.network.prefix(2))]
            case .operators:
                [FaultMaker.operators, FaultMaker.operators, Array(FaultMaker.process.prefix(2))]
            case .handover: [FaultMaker.handover]
            case .lag: [FaultMaker.lag, FaultMaker.lag, Array(FaultMaker.process.prefix(2))]
            case .unguarded:
                [FaultMaker.network, FaultMaker.process, FaultMaker.store, FaultMaker.operators, FaultMaker.lag]
            case .synchronous, .quorum:
                [
                    FaultMaker.network, FaultMaker.process, FaultMaker.killers, FaultMaker.store, FaultMaker.lag,
                    Array(FaultMaker.operators.prefix(1)), FaultMaker.restarts,
                ]
            case .modes:
                [
                    FaultMaker.modes, FaultMaker.process, FaultMaker.killers, FaultMaker.network, FaultMaker.lag,
                    Array(FaultMaker.operators.prefix(1)), FaultMaker.restarts,
                ]
            case .failsafe:
                [
                    FaultMaker.failsafe, FaultMaker.network, FaultMaker.killers, Array(FaultMaker.process.prefix(2)),
                    Array(FaultMaker.operators.prefix(1)), FaultMaker.restarts,
                ]
            case .failsafeLate: [FaultMaker.failsafeLate, FaultMaker.restarts]
            case .sites:
                [
                    FaultMaker.sites, FaultMaker.process, FaultMaker.killers, FaultMaker.network, FaultMaker.store,
                    Array(FaultMaker.operators.prefix(3)), FaultMaker.restarts,
                ]
            case .pauses:
                [
                    FaultMaker.pauses, FaultMaker.process, FaultMaker.killers, FaultMaker.network, FaultMaker.store,
                    FaultMaker.restarts,
                ]
            case .checkpoints:
                [
                    FaultMaker.checkpoints, Array(FaultMaker.process.prefix(2)), FaultMaker.network,
                    FaultMaker.operators,
                ]
            case .quiet: []
            }
        return groups.flatMap { $0 }
    }
}

/// Makes faults of one kind; as likely as its weight says.
struct FaultMaker: Sendable {
    var weight: Int
    var make: @Sendable (inout SeededGenerator, _ nodes: Int) -> Fault.Kind

    init(weight: Int, make: @escaping @Sendable (inout SeededGenerator, _ nodes: Int) -> Fault.Kind) {
        self.weight = weight
        self.make = make
    }

    private static func node(_ generator: inout SeededGenerator, _ nodes: Int) -> Int {
        generator.number(in: 0...nodes - 1)
    }

    fileprivate static let network: [FaultMaker] = [
        FaultMaker(weight: 4) { .isolateFromStore(node(&$0, $1)) },
        FaultMaker(weight: 3) { .loseAnswers(node(&$0, $1)) },
        FaultMaker(weight: 2) { .isolate(node(&$0, $1)) },
        FaultMaker(weight: 4) { generator, nodes in
            let left = node(&generator, nodes)
            return .partition(left, (left + generator.number(in: 1...nodes - 1)) % nodes)
        },
    ]

    fileprivate static let process: [FaultMaker] = [
        FaultMaker(weight: 4) { .killPostgreSQL(node(&$0, $1)) },
        FaultMaker(weight: 4) { .killNode(node(&$0, $1)) },
        FaultMaker(weight: 2) { .hangPostgreSQL(node(&$0, $1)) },
        FaultMaker(weight: 2) { .stallDisk(node(&$0, $1)) },
        FaultMaker(weight: 2) { .slowOperations(node(&$0, $1)) },
        FaultMaker(weight: 2) { .blockOperations(node(&$0, $1)) },
        FaultMaker(weight: 1) { .stepClock(node(&$0, $1), seconds: $0.number(in: -7200...7200)) },
    ]

    /// What only a guardian can make safe.
    fileprivate static let killers: [FaultMaker] = [
        FaultMaker(weight: 3) { .killDaemon(node(&$0, $1)) },
        FaultMaker(weight: 3) { .freezeDaemon(node(&$0, $1)) },
        FaultMaker(weight: 2) { .suspendHost(node(&$0, $1)) },
    ]

    fileprivate static let ground: [FaultMaker] = [
        FaultMaker(weight: 3) { .removeDirectory(node(&$0, $1), sessionsGoOn: $0.oneIn(2)) },
        FaultMaker(weight: 2) { .failStarts(node(&$0, $1)) },
        FaultMaker(weight: 6) { .failCopies(node(&$0, $1)) },
        FaultMaker(weight: 2) { .crashPromotions(node(&$0, $1)) },
        FaultMaker(weight: 4) { .refusePromotions(node(&$0, $1), hangs: $0.oneIn(2)) },
        FaultMaker(weight: 2) { .killGuardian(node(&$0, $1)) },
        FaultMaker(weight: 2) { .deafenGuardian(node(&$0, $1)) },
        FaultMaker(weight: 2) { .starveDaemon(node(&$0, $1), milliseconds: $0.number(in: 100...6000)) },
        FaultMaker(weight: 2) { .lateRequests(node(&$0, $1), milliseconds: $0.number(in: 500...20_000)) },
        FaultMaker(weight: 3) { generator, nodes in
            let leafs: [Fault.Leaf] = [
                .config, .initialize, .initialize, .status, .failover, .member(node(&generator, nodes)),
            ]
            let spoilings = Fault.Spoiling.allCases
            return .spoilKey(
                leafs[generator.number(in: 0...leafs.count - 1)],
                spoilings[generator.number(in: 0...spoilings.count - 1)])
        },
    ]

    fileprivate static let store: [FaultMaker] = [
        FaultMaker(weight: 3) { _, _ in .storeOutage },
        FaultMaker(weight: 3) { _, _ in .storeElection },
        FaultMaker(weight: 2) { generator, _ in .slowStore(milliseconds: generator.number(in: 10...4000)) },
        FaultMaker(weight: 2) { generator, _ in .lossyStore(oneIn: generator.number(in: 2...8)) },
        FaultMaker(weight: 2) { .staleReads(node(&$0, $1), milliseconds: $0.number(in: 100...5000)) },
        FaultMaker(weight: 1) { .muteWatch(node(&$0, $1)) },
        FaultMaker(weight: 1) { .repeatWatch(node(&$0, $1)) },
        FaultMaker(weight: 1) { .compactWatch(node(&$0, $1)) },
    ]

    fileprivate static let operators: [FaultMaker] = [
        FaultMaker(weight: 5) { generator, nodes in
            .switchover(to: generator.oneIn(2) ? node(&generator, nodes) : nil)
        },
        FaultMaker(weight: 1) { .failover(to: node(&$0, $1)) },
        FaultMaker(weight: 2) { _, _ in .pause },
        FaultMaker(weight: 2) { generator, _ in .editTTL(seconds: generator.number(in: 3...60)) },
        FaultMaker(weight: 1) { generator, _ in .editMaximumLag(bytes: generator.number(in: 0...40) * 1000) },
        FaultMaker(weight: 2) { .restartPostgreSQL(node(&$0, $1)) },
        FaultMaker(weight: 2) { .restartDaemon(node(&$0, $1)) },
        FaultMaker(weight: 2) { .reinitialise(node(&$0, $1)) },
        FaultMaker(weight: 3) { _, _ in .rollingRestart },
    ]

    fileprivate static func synchronous(
        _ mode: DynamicConfiguration.SynchronousMode, _ generator: inout SeededGenerator
    ) -> World.SynchronousConfiguration {
        World.SynchronousConfiguration(
            mode, count: generator.oneIn(3) ? 2 : 1, isStrict: mode != .off && generator.oneIn(4))
    }

    fileprivate static func anyMode(_ generator: inout SeededGenerator) -> World.SynchronousConfiguration {
        let mode: DynamicConfiguration.SynchronousMode = [.off, .priority, .quorum][generator.number(in: 0...2)]
        return synchronous(mode, &generator)
    }

    fileprivate static let modes: [FaultMaker] = [
        FaultMaker(weight: 20) { generator, _ in .editSynchronous(anyMode(&generator)) }
    ]

    fileprivate static let sites: [FaultMaker] = [FaultMaker(weight: 25) { _, _ in .followElsewhere }]

    fileprivate static let pauses: [FaultMaker] = [
        FaultMaker(weight: 30) { _, _ in .pause },
        FaultMaker(weight: 8) { .failover(to: node(&$0, $1)) },
        // So that keys expire in pauses.
        FaultMaker(weight: 8) { generator, _ in .editTTL(seconds: generator.number(in: 3...10)) },
        FaultMaker(weight: 2) { generator, nodes in
            .switchover(to: generator.oneIn(2) ? node(&generator, nodes) : nil)
        },
        FaultMaker(weight: 2) { .reinitialise(node(&$0, $1)) },
    ]

    fileprivate static let checkpoints: [FaultMaker] = [
        FaultMaker(weight: 25) { .hangCheckpointer(node(&$0, $1), inKernel: $0.oneIn(2)) }
    ]

    fileprivate static let restarts: [FaultMaker] = [
        FaultMaker(weight: 2) { .restartPostgreSQL(node(&$0, $1)) },
        FaultMaker(weight: 2) { .restartDaemon(node(&$0, $1)) },
        FaultMaker(weight: 2) { _, _ in .rollingRestart },
    ]

    fileprivate static let failsafe: [FaultMaker] = [
        FaultMaker(weight: 8) { _, _ in .storeOutage },
        FaultMaker(weight: 10) { .isolateFromStore(node(&$0, $1)) },
        FaultMaker(weight: 8) { generator, nodes in
            let left = node(&generator, nodes)
            return .partition(left, (left + generator.number(in: 1...nodes - 1)) % nodes)
        },
        FaultMaker(weight: 3) { generator, _ in .slowPeers(milliseconds: generator.number(in: 100...4000)) },
        FaultMaker(weight: 2) { .lateRequests(node(&$0, $1), milliseconds: $0.number(in: 500...20_000)) },
        FaultMaker(weight: 2) { .staleReads(node(&$0, $1), milliseconds: $0.number(in: 100...5000)) },
        FaultMaker(weight: 2) { .starveDaemon(node(&$0, $1), milliseconds: $0.number(in: 100...6000)) },
        FaultMaker(weight: 1) { .deafenGuardian(node(&$0, $1)) },
        FaultMaker(weight: 2) { generator, _ in .editTTL(seconds: generator.number(in: 3...60)) },
    ]

    fileprivate static let failsafeLate: [FaultMaker] = [
        FaultMaker(weight: 10) { .isolateFromStore(node(&$0, $1)) },
        FaultMaker(weight: 12) { .lateRequests(node(&$0, $1), milliseconds: $0.number(in: 2000...20_000)) },
        FaultMaker(weight: 4) { .loseAnswers(node(&$0, $1)) },
        FaultMaker(weight: 8) { .killNode(node(&$0, $1)) },
        FaultMaker(weight: 3) { generator, _ in .lossyStore(oneIn: generator.number(in: 2...8)) },
        FaultMaker(weight: 4) { generator, nodes in
            let left = node(&generator, nodes)
            return .partition(left, (left + generator.number(in: 1...nodes - 1)) % nodes)
        },
        FaultMaker(weight: 3) { generator, nodes in
            .switchover(to: generator.oneIn(2) ? node(&generator, nodes) : nil)
        },
        FaultMaker(weight: 2) { _, _ in .storeOutage },
    ]

    fileprivate static let handover: [FaultMaker] = [
        FaultMaker(weight: 4) { generator, nodes in
            .switchover(to: generator.oneIn(2) ? node(&generator, nodes) : nil)
        },
        FaultMaker(weight: 3) { generator, nodes in
            let left = node(&generator, nodes)
            return .partition(left, (left + generator.number(in: 1...nodes - 1)) % nodes)
        },
        FaultMaker(weight: 2) { .slowReplication(node(&$0, $1), milliseconds: $0.number(in: 100...20_000)) },
        FaultMaker(weight: 2) { .stallDisk(node(&$0, $1)) },
        FaultMaker(weight: 1) { .hangPostgreSQL(node(&$0, $1)) },
        FaultMaker(weight: 1) { .isolateFromStore(node(&$0, $1)) },
    ]

    fileprivate static let lag: [FaultMaker] = [
        FaultMaker(weight: 3) { .slowReplication(node(&$0, $1), milliseconds: $0.number(in: 100...20_000)) },
        FaultMaker(weight: 1) { .slowReplay(node(&$0, $1), milliseconds: $0.number(in: 1000...20_000)) },
        FaultMaker(weight: 1) { generator, _ in .editMaximumLag(bytes: generator.number(in: 0...20) * 1000) },
        FaultMaker(weight: 2) { .killNode(node(&$0, $1)) },
    ]
}
