import ClusterModel
import HighAvailability

/// The production rules, asked in a small world.
extension SmallWorld {
    private static let now = BootInstant(nanoseconds: 1_000_000_000_000)
    private static let settings =
        DynamicConfiguration(document: ["ttl": 30, "check_timeline": true]) ?? DynamicConfiguration()

    /// Decides, with what the rules ask for answered at once, and does what was decided.
    mutating func decideNow(_ index: Int, failure: String?) {
        var seen = observation(index)
        seen.storeFailure = failure
        for _ in 0..<6 {
            let decision = bug.map { $0.decider(seen, &nodes[index].memory) } ?? decide(seen, &nodes[index].memory)
            guard case .ask(let question) = decision.action else { return act(decision.action, index) }
            answer(question, &seen, index)
        }
    }

    private mutating func answer(_ question: Question, _ seen: inout Observation, _ index: Int) {
        switch question {
        case .renewal:
            if nodes[index].isCut { return seen.storeFailure = "unreachable" }
            if key == nil || key?.holder == index {
                take(index)
                seen.renewal = .held
            } else {
                nodes[index].leaseAge = nil
                seen.renewal = .refused
            }
            seen.lease = lease(index)
        case .renewalAndPeers(let members):
            answer(.renewal, &seen, index)
            answer(.peers(members), &seen, index)
        case .peers(let members):
            var answers: [String: PeerAnswer] = [:]
            for member in members { answers[member.name] = peer(member.name) }
            seen.peers = answers
        // Its settings are without failsafe mode.
        case .failsafe: seen.answers.failsafe = [:]
        case .divergence(let source): seen.divergence = divergence(index, from: source.name)
        }
    }

    private mutating func take(_ index: Int) {
        key = Key(holder: index, age: 0)
        nodes[index].leaseAge = 0
        if !nodes[index].isGuardianFrozen { nodes[index].guardedAge = 0 }
    }

    /// A daemon whose orders nobody takes restarts PostgreSQL under another guardian in time.
    mutating func replaceGuardian(_ index: Int) {
        let acknowledged = nodes[index].guardedAge.map { Lease(since: Self.now - Self.tick * $0, ttl: .seconds(30)) }
        let plan = guardianReplacement(
            local(index), Self.settings, lease: lease(index), acknowledged: acknowledged, failures: 4, at: Self.now)
        if plan != nil { giveAnotherGuardian(index) }
    }

    // MARK: What is decided

    private mutating func act(_ action: Action, _ index: Int) {
        switch action {
        case .acquireLeader:
            if nodes[index].isCut || key != nil { return }
            take(index)
            nodes[index].memory.hasWonKey = true
            nodes[index].seen = Seen(leader: index, timeline: timeline, position: position)
        case .releaseLeader:
            nodes[index].leaseAge = nil
            if !nodes[index].isCut, key?.holder == index { key = nil }
        case .carryOut(let plan), .breakOff(let plan):
            let breaksOff = if case .breakOff = action { true } else { false }
            nodes[index].memory.begins(plan, breaksOff: breaksOff)
            for step in plan.steps { carryOut(step, index) }
        case .wait, .ask, .initializeCluster, .write, .exit: break
        }
    }

    private mutating func carryOut(_ step: HighAvailability.Step, _ index: Int) {
        guard case .postgreSQL(let operation) = step else { return }
        switch operation {
        case .promote:
            if nodes[index].leaseAge.map({ $0 >= Self.ticksOfLease }) ?? true || key?.holder != index {
                broken = "S5: \(name(index)) promotes without the leader key"
            }
            // Nobody is promoted before the guardian knows of the lease; one that hangs is replaced first.
            if nodes[index].isGuardianFrozen { return giveAnotherGuardian(index) }
            nodes[index].isPromoting = true
        case .stop(let mode, _, _): stop(index, cleanly: mode.isClean)
        case .startPrimary:
            giveAnotherGuardian(index)
            nodes[index].isUp = true
            nodes[index].isStandby = false
        case .startStandby(let upstream, _):
            giveAnotherGuardian(index)
            nodes[index].isUp = true
            nodes[index].isStandby = true
            nodes[index].memory.following = .upstream(upstream)
        case .follow(let upstream): nodes[index].memory.following = .upstream(upstream)
        case .clone(let source, _, _), .rewind(let source): copy(source.name, to: index)
        case .recoverSingleUser:
            nodes[index].log.append(1)
            nodes[index].wasClean = true
        case .bootstrap, .finishBootstrap, .stopToRestart, .resumeReplay, .setAsideDataDirectory, .copyLogicalSlots,
            .nameSynchronous, .prePromote, .restore, .archiveLastSegment:
            break
        }
    }

    private mutating func copy(_ source: String, to index: Int) {
        guard let from = nodes.indices.first(where: { name($0) == source }), nodes[from].commits else { return }
        if nodes[index].log == nodes[from].log { broken = "S7: \(name(index)) replaces a log that is the same" }
        nodes[index].log = nodes[from].log
        nodes[index].isStandby = true
        nodes[index].memory.rewind = .unsuspected
        nodes[index].memory.ledTimeline = nil
        nodes[index].memory.ledPosition = .zero
    }

    // MARK: What is seen

    private func lease(_ index: Int) -> Lease? {
        nodes[index].leaseAge.map { Lease(since: Self.now - Self.tick * $0, ttl: .seconds(30), session: "s") }
    }

    private func observation(_ index: Int) -> Observation {
        var running: RunningPlan?
        if nodes[index].isPromoting {
            running = RunningPlan(plan: Plan(.promote, [.postgreSQL(.promote)]), since: Self.now)
        }
        return Observation(
            now: Self.now, me: NodeIdentity(name: name(index)), settings: Self.settings, view: view(index),
            local: local(index), lease: lease(index), running: running)
    }

    private func view(_ index: Int) -> ClusterView? {
        guard let seen = nodes[index].seen else { return nil }
        let lines = (1..<max(seen.timeline, 1)).map {
            TimelineHistory.Line(timeline: $0, position: .zero, reason: "")
        }
        return ClusterView(
            initialize: .value(SimulatedPostgreSQL.systemIdentifier),
            config: ConfigRecord(data: Self.settings.document, revision: 1),
            leader: seen.leader.map { LeaderRecord(name: name($0), session: "s", revision: 1) },
            members: nodes.indices.map { member($0) },
            status: StatusRecord(optime: SimulatedPostgreSQL.position(seen.position)),
            history: TimelineHistory(lines: lines, isPresent: true))
    }

    private func member(_ index: Int) -> Member {
        Member(
            name: name(index),
            data: [
                "conn_url": .string("postgres://\(name(index)):5432/postgres"),
                "api_url": .string("http://\(name(index)):8008/patroni"), "state": "running",
                "timeline": .int(Int64(nodes[index].log.timeline)),
            ])
    }

    private func local(_ index: Int) -> PostgreSQLStatus {
        let node = nodes[index]
        let position = SimulatedPostgreSQL.position(node.log.count)
        var status = PostgreSQLStatus(
            dataDirectory: .initialized, state: node.isUp ? .running : .stopped,
            systemIdentifier: SimulatedPostgreSQL.systemIdentifier, hasStandbySignal: node.isStandby, canRewind: true,
            observedAt: Self.now)
        status.promotionWasAsked = node.isPromoting
        status.mayRemove = .init(onRewindFailure: true, onDivergedTimelines: true)
        guard node.isUp else {
            let clean: ControlData.ClusterState = node.isStandby ? .shutDownInRecovery : .shutDown
            let crashed: ControlData.ClusterState = node.isStandby ? .inArchiveRecovery : .inProduction
            status.control = ControlData(
                state: node.wasClean ? clean : crashed, systemIdentifier: SimulatedPostgreSQL.systemIdentifier,
                checkpoint: position, checkpointTimeline: node.log.timeline)
            status.walEnd = position
            return status
        }
        status.postmaster = 100
        status.readiness = .accepting
        status.facts = PostgreSQLStatus.Facts(
            inRecovery: node.isStandby, timeline: node.log.timeline, writePosition: node.isStandby ? .zero : position,
            receivedPosition: node.isStandby ? position : .zero, replayedPosition: node.isStandby ? position : .zero)
        // Whoever is up streams from whoever leads.
        if !node.isStandby {
            status.facts?.walSenders = nodes.indices.filter { nodes[$0].isUp && nodes[$0].isStandby }.map {
                PostgreSQLStatus.WALSender(
                    userName: "replicator", applicationName: name($0), clientAddress: nil, state: "streaming",
                    syncState: "async", syncPriority: 0)
            }
        }
        return status
    }

    private func peer(_ name: String) -> PeerAnswer {
        guard let index = nodes.indices.first(where: { self.name($0) == name }), nodes[index].hasDaemon,
            nodes[index].isUp
        else { return .unreachable("no answer") }
        let node = nodes[index]
        return .status(
            PeerStatus(
                isPrimary: !node.isStandby,
                position: node.isStandby ? SimulatedPostgreSQL.position(node.log.count) : .zero,
                timeline: node.log.timeline))
    }

    private func divergence(_ index: Int, from source: String) -> Observation.Divergence {
        guard let from = nodes.indices.first(where: { name($0) == source }), nodes[from].isUp else {
            return .unavailable("no answer")
        }
        var mine = SimulatedPostgreSQL()
        mine.log = nodes[index].log
        mine.isStandby = nodes[index].isStandby
        mine.process = nodes[index].isUp ? .running : .down
        var theirs = SimulatedPostgreSQL()
        theirs.log = nodes[from].log
        theirs.isStandby = nodes[from].isStandby
        return .facts(mine.divergence(from: theirs))
    }
}

extension SmallWorld {
    /// What was found.
    public struct Result: Sendable {
        public var states: Int
        public var steps: Int
        public var depth: Int
        /// Every state that can be reached was, not only those within `depth` steps.
        public var isComplete: Bool
        public var violation: String?
        /// The steps that lead to the violation.
        public var path: [String]
    }

    /// Every order of up to `depth` steps, breadth first, so that a violation comes with the shortest path to it. Stops
    /// at `maximumStates`.
    public static func explore(
        nodes: Int, depth: Int, _ bounds: Bounds = Bounds(writes: 2, faults: 3, promotions: 3),
        maximumStates: Int = 5_000_000, isGuarded: Bool = true, bug: PlantedBug? = nil
    ) -> Result {
        let start = SmallWorld(nodes: nodes, isGuarded: isGuarded, bug: bug)
        var known: Set<SmallWorld> = [start]
        var layer: [(world: SmallWorld, path: Int)] = [(start, 0)]
        var trail: [(parent: Int, step: SmallWorld.Step)] = [(0, .tick)]
        var steps = 0
        for level in 1...depth where !layer.isEmpty {
            var next: [(world: SmallWorld, path: Int)] = []
            for (world, path) in layer {
                for step in world.steps(bounds) {
                    steps += 1
                    let reached = world.after(step)
                    guard known.insert(reached).inserted else { continue }
                    trail.append((path, step))
                    if let broken = reached.broken {
                        let story = story(trail, trail.count - 1)
                        return Result(
                            states: known.count, steps: steps, depth: level, isComplete: false, violation: broken,
                            path: story)
                    }
                    next.append((reached, trail.count - 1))
                    if known.count >= maximumStates {
                        return Result(
                            states: known.count, steps: steps, depth: level, isComplete: false, violation: nil, path: []
                        )
                    }
                }
            }
            layer = next
        }
        return Result(
            states: known.count, steps: steps, depth: depth, isComplete: layer.isEmpty, violation: nil, path: [])
    }

    private static func story(_ trail: [(parent: Int, step: SmallWorld.Step)], _ last: Int) -> [String] {
        var steps: [String] = []
        var at = last
        while at > 0 {
            steps.append("\(trail[at].step)")
            at = trail[at].parent
        }
        return steps.reversed()
    }
}
