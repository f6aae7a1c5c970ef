public import ClusterModel
import HighAvailability
import Node
import Ports

/// Synchronous commit: what PostgreSQL makes of the names that a leader of ours sets, and what was promised to clients.
extension World {
    /// A synchronous mode with what belongs to it, as an operator sets it.
    public struct SynchronousConfiguration: Sendable, Hashable {
        public var mode: DynamicConfiguration.SynchronousMode
        public var count: Int
        public var isStrict: Bool

        public init(_ mode: DynamicConfiguration.SynchronousMode = .off, count: Int = 1, isStrict: Bool = false) {
            self.mode = mode
            self.count = count
            self.isStrict = isStrict
        }

        func write(to document: inout JSONObject) {
            switch mode {
            case .off: return
            case .priority: document["synchronous_mode"] = true
            case .quorum: document["synchronous_mode"] = "quorum"
            }
            document["synchronous_node_count"] = .int(Int64(count))
            if isStrict { document["synchronous_mode_strict"] = true }
        }
    }

    /// Clients hear of their commits as soon as the standbys have them that the senders wait for.
    mutating func acknowledge(_ index: Int) {
        let log = nodes[index].postgreSQL.log
        let names = nodes[index].postgreSQL.acting
        var safe = log.count
        if !names.isEmpty {
            let received = nodes.indices.filter { names.names.contains(name($0)) && source(of: $0) == index }
                .map { nodes[$0].postgreSQL.log }.map { $0.isBeginning(of: log) ? $0.count : 0 }.sorted(by: >)
            safe = received.count < names.number ? 0 : min(safe, received[names.number - 1])
        }
        if safe > acknowledged[log.branch] { acknowledged[log.branch] = safe }
        if log.count > acknowledged[log.branch] { coverage.count(.commitWaited) }
        // From here on whoever may lead by `/sync` must have them, and everything before.
        if configuration.synchronous.mode != .off, store.view(now).sync.leader == name(index) {
            promised[log.branch] = acknowledged[log.branch]
        }
    }

    /// Without synchronous mode, or by an operator's word, anybody may lead: nothing that was said before counts.
    mutating func promiseNothing() { promised = promised.map { _ in 0 } }

    // MARK: What PostgreSQL does with its names

    /// The file is written; the server reads it a moment later, and its senders and sessions after that.
    mutating func name(_ setting: SynchronousSetting, _ index: Int, _ incarnation: Int) {
        let names = Self.names(setting)
        nodes[index].postgreSQL.written = names
        let isHeard =
            nodes[index].answers && nodes[index].blocked == 0 && nodes[index].records.full == 0
            && !generator.oneIn(30)
        if isHeard, nodes[index].postgreSQL.process == .running {
            let at = now + generator.milliseconds(in: 1...30)
            queue.add(.reread(node: index, era: nodes[index].postgreSQL.era), at: at)
            return reply(.node(.synchronousNamed(setting, .success(()))), to: index, incarnation, after: 30...60)
        }
        let error = PostgreSQLError.timedOut("the reading of the configuration")
        reply(.node(.synchronousNamed(setting, .failure(error))), to: index, incarnation, after: 100...5000)
    }

    /// Before a promotion: a standby's senders are idle.
    mutating func nameAtOnce(_ setting: SynchronousSetting, _ index: Int) {
        nodes[index].postgreSQL.written = Self.names(setting)
        nodes[index].postgreSQL.readNames()
    }

    private static func names(_ setting: SynchronousSetting) -> SynchronousNames {
        if case .names(let names) = setting { names } else { .nobody }
    }

    mutating func reread(_ index: Int, _ era: Int) {
        let server = nodes[index].postgreSQL
        guard server.era == era, server.process == .running, server.inForce != server.written else { return }
        nodes[index].postgreSQL.inForce = server.written
        // The checkpointer, which turns the waiting on at all, may be at work for the disk.
        let isBusy = server.acting.isEmpty && generator.oneIn(2)
        let lag = generator.milliseconds(in: isBusy ? 200...4000 : 0...60)
        nodes[index].postgreSQL.checkpointerListens = !isBusy
        queue.add(.act(node: index, era: era), at: now + lag)
    }

    mutating func act(_ index: Int, _ era: Int) {
        guard nodes[index].postgreSQL.era == era else { return }
        acknowledgeAll()
        nodes[index].postgreSQL.acting = nodes[index].postgreSQL.inForce
        nodes[index].postgreSQL.checkpointerListens = true
    }

    /// What was committed until now was acknowledged by the names until now.
    private mutating func acknowledgeAll() {
        for index in nodes.indices where nodes[index].commits { acknowledge(index) }
    }

    // MARK: Checks

    /// S6: who takes the key in priority mode is named by `/sync`. In quorum mode S2 tells whether there were votes.
    mutating func checkSynchronousElection(_ index: Int, _ view: ClusterView, _ settings: DynamicConfiguration) {
        guard settings.synchronousMode == .priority, !view.sync.isEmpty, !view.sync.includes(name(index)) else {
            return
        }
        violate(.S6, "\(name(index)) takes the key, /sync: \(view.sync)")
    }

    /// `/sync` as it is.
    var sync: SyncState {
        var store = store
        return store.view(now).sync
    }

    /// Whether synchronous mode keeps a node from being asked.
    func isOutsideSync(_ index: Int) -> Bool {
        let sync = sync
        return configuration.synchronous.mode != .off && !sync.isEmpty && !sync.includes(name(index))
    }

    /// In strict mode commits wait rather than be acknowledged by nobody but the primary.
    mutating func checkNames(_ setting: SynchronousSetting, _ index: Int) {
        guard case .names(let names) = setting, names.isEmpty,
            nodes[index].published?.snapshot.settings.isStrictlySynchronous == true
        else { return }
        violate(.S2, "\(name(index)) lets commits wait for nobody in strict mode")
    }

    /// S2: every commit that was acknowledged is on the next primary.
    mutating func checkAcknowledged(_ index: Int) {
        guard promised.contains(where: { $0 > 0 }) else { return }
        coverage.count(.synchronousFailover)
        let log = nodes[index].postgreSQL.log
        for branch in promised.indices where writers[branch] >= 0 {
            let kept = log.end(of: branch) ?? 0
            if promised[branch] > kept {
                violate(
                    .S2,
                    "\(name(index)) is promoted with \(kept) of \(promised[branch]) acknowledged records of branch "
                        + "\(branch)")
            }
        }
    }

    /// Whether the leader has the standbys that it should have.
    func isSynchronousWhole(_ leader: Int) -> Bool {
        let sync = sync
        let server = nodes[leader].postgreSQL
        guard server.acting == server.written else { return false }
        switch configuration.synchronous.mode {
        case .off: return sync.isEmpty && server.acting.isEmpty
        case .priority, .quorum:
            let able = maySynchronize(under: leader)
            let wanted = min(configuration.synchronous.count, able.count)
            let isQuorum = configuration.synchronous.mode == .quorum
            // Whoever was left out has no higher priority.
            let least = able.filter { sync.isVoter(name($0)) }.map { tags($0).syncPriority }.min() ?? 0
            let isBest = able.allSatisfy { sync.isVoter(name($0)) || tags($0).syncPriority <= least }
            return sync.leader == name(leader) && sync.voters.count == (isQuorum ? able.count : wanted)
                && sync.voters.allSatisfy { voter in able.contains { name($0) == voter } } && isBest
                && sync.quorum == (isQuorum ? able.count - wanted : 0) && server.acting.number == wanted
                && server.acting.names == Set(sync.voters)
        }
    }
}

extension World.Setup {
    /// Synchronous mode is on, or may be at some time.
    var isSynchronous: Bool {
        synchronous.mode != .off
            || faults.contains { if case .editSynchronous = $0.kind { true } else { false } }
    }
}
