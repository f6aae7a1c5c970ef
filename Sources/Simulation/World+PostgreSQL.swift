import ClusterModel
import HighAvailability
import JSON
import Node
import Ports

extension World {
    static func text(_ object: JSONObject) -> String { JSON.text(object, .compact) }

    // MARK: Operations

    mutating func perform(_ operation: PostgreSQLOperation, _ plan: Int, _ index: Int, _ incarnation: Int) {
        nodes[index].plan = plan
        let took: ClosedRange<Int>
        switch operation {
        case .bootstrap: took = 1000...3000
        case .clone: took = 1000...8000
        case .startPrimary, .startStandby:
            pids += 1
            nodes[index].postgreSQL.pid = pids
            nodes[index].postgreSQL.process = .starting
            if case .startStandby = operation { nodes[index].postgreSQL.isStandby = true }
            took = generator.oneIn(10) ? 1000...40_000 : 100...2000
        case .follow: took = 1...100
        case .promote: took = generator.oneIn(10) ? 200...8000 : 50...500
        case .stop(let mode, let timeout): return stop(mode, timeout, operation, plan, index, incarnation)
        case .restart: took = 200...3000
        case .rewind: took = 500...5000
        case .recoverSingleUser: took = 200...3000
        case .setAsideDataDirectory: took = 1...10
        }
        after(took, .finish(operation), plan, index, incarnation)
    }

    private mutating func after(
        _ range: ClosedRange<Int>, _ stage: CycleEffect.OperationStage, _ plan: Int, _ index: Int, _ incarnation: Int
    ) {
        let at = now + generator.milliseconds(in: range)
        queue.add(
            .operation(
                node: index, era: nodes[index].postgreSQL.era, plan: plan, incarnation: incarnation, stage), at: at)
    }

    private mutating func stop(
        _ mode: StopMode, _ timeout: Duration, _ operation: PostgreSQLOperation, _ plan: Int, _ index: Int,
        _ incarnation: Int
    ) {
        if mode == .immediate || nodes[index].postgreSQL.process == .down {
            if mode == .immediate && nodes[index].postgreSQL.acceptsWrites { count(.demoted) }
            if nodes[index].postgreSQL.process != .down { nodes[index].postgreSQL.crash() }
            return after(1...20, .finish(operation), plan, index, incarnation)
        }
        // A checkpoint first, while sessions still work.
        let range = mode == .fastAfterCheckpoint ? 10...1500 : 1...50
        after(range, .drain(operation, until: now + timeout), plan, index, incarnation)
    }

    /// A stage of an operation is reached, unless PostgreSQL was killed meanwhile.
    mutating func advance(
        _ stage: CycleEffect.OperationStage, _ index: Int, _ era: Int, _ plan: Int, _ incarnation: Int
    ) {
        guard nodes[index].incarnation == incarnation else { return }
        switch stage {
        case .drain(let operation, let until): drain(operation, until, index, era, plan, incarnation)
        case .finish(let operation): finish(operation, index, era, plan, incarnation)
        }
    }

    /// A fast stop: no session any more, the rest of the WAL goes to the standbys that stream, for a while.
    private mutating func drain(
        _ operation: PostgreSQLOperation, _ until: BootInstant, _ index: Int, _ era: Int, _ plan: Int,
        _ incarnation: Int
    ) {
        if nodes[index].postgreSQL.era != era { return finish(operation, index, era, plan, incarnation) }
        nodes[index].postgreSQL.process = .stopping
        let behind = nodes.indices.contains { other in
            source(of: other) == index && nodes[other].postgreSQL.canStream(from: nodes[index].postgreSQL)
                && nodes[other].postgreSQL.log.count < nodes[index].postgreSQL.log.count
        }
        if behind && now < until {
            return after(10...40, .drain(operation, until: until), plan, index, incarnation)
        }
        if behind {
            nodes[index].postgreSQL.crash()
        } else {
            nodes[index].postgreSQL.era += 1
            nodes[index].postgreSQL.process = .down
            nodes[index].postgreSQL.control = nodes[index].postgreSQL.isStandby ? .shutDownInRecovery : .shutDown
        }
        nodes[index].plan = nil
        let server = nodes[index].postgreSQL
        let positions =
            server.control == .shutDown
            ? ShutdownPositions(checkpoint: server.position, required: server.position, timeline: server.timeline) : nil
        reply(.performed(plan: plan, .success(.shutDown(positions))), to: index, incarnation, after: 1...20)
    }

    private mutating func finish(
        _ operation: PostgreSQLOperation, _ index: Int, _ era: Int, _ plan: Int, _ incarnation: Int
    ) {
        nodes[index].plan = nil
        let result: Result<OperationResult, PostgreSQLError>
        if nodes[index].postgreSQL.era != era {
            result = .failure(.failed("PostgreSQL was killed meanwhile"))
        } else {
            result = effect(of: operation, on: index)
        }
        reply(.performed(plan: plan, result), to: index, incarnation, after: 0...2)
    }

    private mutating func effect(of operation: PostgreSQLOperation, on index: Int) -> Result<
        OperationResult, PostgreSQLError
    > {
        switch operation {
        case .bootstrap:
            nodes[index].postgreSQL.initialize()
            run(index)
        case .clone(let source):
            guard let peer = reachable(source, from: index) else {
                return .failure(.failed("\(source.name) is not reachable"))
            }
            nodes[index].postgreSQL.copy(nodes[peer].postgreSQL)
            nodes[index].postgreSQL.process = .down
            count(.clone)
        case .startPrimary:
            run(index)
            count(.crashRestart)
        case .startStandby(let upstream, _):
            nodes[index].postgreSQL.upstream = upstream?.name
            run(index)
        case .follow(let upstream):
            guard nodes[index].postgreSQL.process == .running else { return .failure(.failed("not running")) }
            nodes[index].postgreSQL.upstream = upstream?.name
        case .promote:
            guard nodes[index].postgreSQL.process == .running else { return .failure(.failed("not running")) }
            if nodes[index].postgreSQL.isStandby { promote(index) }
        case .stop: return .success(.shutDown(nil))
        case .restart: run(index)
        case .rewind(let source):
            guard let peer = reachable(source, from: index), nodes[peer].postgreSQL.acceptsWrites else {
                return .failure(.failed("\(source.name) is not reachable"))
            }
            checkRewind(index, peer)
            nodes[index].postgreSQL.rewind(to: nodes[peer].postgreSQL)
            count(.rewind)
        case .recoverSingleUser: nodes[index].postgreSQL.control = .shutDown
        case .setAsideDataDirectory: nodes[index].postgreSQL = SimulatedPostgreSQL()
        }
        return .success(.done)
    }

    private mutating func run(_ index: Int) {
        nodes[index].postgreSQL.process = .running
        if nodes[index].postgreSQL.pid == 0 {
            pids += 1
            nodes[index].postgreSQL.pid = pids
        }
    }

    private mutating func promote(_ index: Int) {
        checkPromotion(index)
        nodes[index].postgreSQL.endTimeline()
        nodes[index].postgreSQL.upstream = nil
        count(.failover)
        if nodes.indices.contains(where: { $0 != index && nodes[$0].isCutFromStore }) { count(.failoverUnderPartition) }
        note("\(nodes[index].name): PostgreSQL was promoted to timeline \(nodes[index].postgreSQL.timeline)")
    }

    private func reachable(_ source: Upstream, from index: Int) -> Int? {
        nodes.firstIndex { $0.name == source.name && $0.postgreSQL.process == .running }.flatMap {
            isCut(index, $0) ? nil : $0
        }
    }

    mutating func breakOff(_ index: Int, _ incarnation: Int) {
        if nodes[index].postgreSQL.process != .down { nodes[index].postgreSQL.crash() }
        nodes[index].postgreSQL.era += 1
    }

    // MARK: Clients and streaming

    /// A client commits on whatever node accepts it.
    mutating func writeSomething() {
        queue.add(.write, at: now + generator.milliseconds(in: 20...200))
        for index in nodes.indices where nodes[index].postgreSQL.acceptsWrites {
            commits += 1
            nodes[index].postgreSQL.commit(commits)
            acknowledged.append(
                Acknowledged(
                    commit: commits, node: index, timeline: nodes[index].postgreSQL.timeline, at: now, replicated: false
                ))
        }
    }

    mutating func replicate() {
        queue.add(.replicate, at: now + generator.milliseconds(in: 10...60))
        for index in nodes.indices {
            guard let source = source(of: index) else { continue }
            let server = nodes[source].postgreSQL
            guard nodes[index].postgreSQL.canStream(from: server) else { continue }
            nodes[index].postgreSQL.receive(from: server, generator.number(in: 1...40))
        }
        markReplicated()
    }

    private mutating func markReplicated() {
        // Only the newest can be unmarked: streaming is in order.
        for entry in acknowledged.indices.reversed() {
            if acknowledged[entry].replicated { break }
            let commit = acknowledged[entry].commit
            let owner = acknowledged[entry].node
            acknowledged[entry].replicated = nodes.indices.contains { other in
                other != owner && nodes[other].postgreSQL.log.last.map { $0.commit >= commit } == true
                    && nodes[other].postgreSQL.log.contains { $0.commit == commit }
            }
        }
    }

    // MARK: Faults

    mutating func begin(_ fault: Fault.Kind) {
        note("fault: \(fault)")
        switch fault {
        case .killNode(let node):
            nodes[node].machine = nil
            nodes[node].incarnation += 1
            if nodes[node].postgreSQL.process != .down { nodes[node].postgreSQL.crash() }
        case .killPostgreSQL(let node): killPostgreSQL(node)
        case .storeOutage: store.isDown = true
        case .isolateFromStore(let node): nodes[node].isCutFromStore = true
        case .partition(let left, let right): cutPairs.append([left, right])
        case .slowStore(let milliseconds): storeDelay = .milliseconds(milliseconds)
        case .clockStep(let node, let seconds): nodes[node].wallOffset += Int64(seconds) * 1_000_000_000
        case .switchover(let target): requestSwitchover(to: target)
        case .editConfiguration(let ttl):
            store.put("config", #"{"ttl":\#(ttl),"loop_wait":\#(ttl / 3),"retry_timeout":\#(ttl / 3)}"#)
            tellWatchers()
        }
    }

    private mutating func killPostgreSQL(_ node: Int) {
        guard nodes[node].postgreSQL.process != .down else { return }
        let pid = nodes[node].postgreSQL.pid
        nodes[node].postgreSQL.crash()
        reply(.postmasterExited(pid), to: node, nodes[node].incarnation, after: 0...2)
    }

    private mutating func requestSwitchover(to target: Int?) {
        guard !store.isDown, let leader = store.leader?.text else { return }
        let name = target.map { nodes[$0].name }
        if name == leader { return }
        let request = FailoverRequest(leader: leader, candidate: name)
        store.put("failover", Self.text(request.json))
        tellWatchers()
        count(.switchover)
    }

    mutating func heal(_ fault: Fault.Kind) {
        switch fault {
        case .killNode(let node):
            note("\(nodes[node].name) comes back")
            startDaemon(node)
        case .storeOutage:
            note("the store comes back")
            store.restart(now)
        case .isolateFromStore(let node):
            note("\(nodes[node].name) reaches the store again")
            nodes[node].isCutFromStore = false
        case .partition(let left, let right):
            note("\(nodes[left].name) and \(nodes[right].name) see each other again")
            cutPairs.removeAll { $0 == [left, right] }
        case .slowStore: storeDelay = .zero
        case .killPostgreSQL, .clockStep, .switchover, .editConfiguration: break
        }
    }
}
