import ClusterModel
import HighAvailability
import Node
import Ports

/// A cluster that is told to follow a primary elsewhere, and some time later that it is one of its own again. In half
/// of the worlds nobody answers there, and all that it had stays what it has. In the others somebody does who was
/// promoted with what the cluster had, or with less of it, and goes on from there.
extension World {
    static let hostElsewhere = "elsewhere"
    /// The number of that primary among the servers; no fault meets it.
    static let elsewhere = 1000

    func indexElsewhere(_ name: String) -> Int? {
        otherSite != nil && name == "\(Self.hostElsewhere):5432" ? Self.elsewhere : nil
    }

    /// Of a node, or the primary elsewhere.
    subscript(server index: Int) -> SimulatedPostgreSQL {
        // Lent, not copied.
        _read {
            if index == Self.elsewhere {
                yield otherSite ?? SimulatedPostgreSQL()
            } else {
                yield nodes[index].postgreSQL
            }
        }
    }

    func answers(_ index: Int) -> Bool { index == Self.elsewhere || nodes[index].answers }

    private mutating func makeOtherSite() {
        otherSite = nil
        let leader = store.leader.flatMap { index(of: $0.text) }
        guard generator.oneIn(2), let leader, nodes[leader].postgreSQL.log.count > 0 else { return }
        let log = nodes[leader].postgreSQL.log
        let lacks = generator.oneIn(3) ? 0 : generator.number(in: 0...min(log.count - 1, 100))
        var server = SimulatedPostgreSQL()
        server.isInitialized = true
        server.systemIdentifier = nodes[leader].postgreSQL.systemIdentifier
        server.process = .running
        server.log = log.prefix(log.count - lacks)
        server.promote(branch: newBranch(Self.elsewhere), now)
        otherSite = server
        lastPromoted = max(lastPromoted, server.log.timeline)
        note("another site goes on at \(server.position), \(lacks) records behind, on timeline \(server.log.timeline)")
    }

    mutating func commitElsewhere() {
        guard let written = otherSite?.wroteUntil else { return }
        let interval = Self.commitInterval.nanoseconds
        let records = (now.nanoseconds - written.nanoseconds) / interval
        guard records > 0 else { return }
        otherSite?.log.append(Int(records))
        otherSite?.wroteUntil = written + .nanoseconds(records * interval)
    }

    /// A node has left what its own cluster had handed over.
    mutating func noteMovedSite() {
        coverage.count(.siteRewound)
        handedOver = nil
    }

    mutating func followElsewhere() {
        if configuration.followers == 0 { makeOtherSite() }
        configuration.followers += 1
        followsSince = followsSince ?? now
        hasFollowed = true
        writeConfiguration()
    }

    /// Where a cluster has given up its own past for another site's, and is one of its own again before it has written
    /// that down, everybody is behind what it tells of, or has a directory that was to be the other site's and is half
    /// of it: nobody has that, and an operator says who leads, once.
    mutating func nameSomebody() -> Bool {
        let (known, told) = (store.view(now).timeline, store.view(now).status.optime)
        let lags = Int64(configuration.maximumLag)
        let nofailover = setup.nofailover
        let isBehind = nodes.indices.allSatisfy { index in
            let server = nodes[index].postgreSQL
            return nofailover.contains(index) || server.log.timeline < known || server.unfinished == .rewind
                || server.process == .running && told - server.position > lags
        }
        guard hasFollowed, namedAt == nil, isBehind else { return false }
        let able = nodes.indices.filter { !nofailover.contains($0) && nodes[$0].postgreSQL.process == .running }
        guard let best = able.max(by: { nodes[$0].postgreSQL.position < nodes[$1].postgreSQL.position }) else {
            return false
        }
        namedAt = now
        // It may be on the timeline of the other site, which is older.
        if setup.checkTimeline { writeConfiguration() }
        note("an operator says that \(name(best)) is to lead: nobody has what the store tells of")
        ask(FailoverRequest(leader: nil, candidate: name(best)))
        return true
    }

    /// Until an operator has named somebody whatever its timeline, and has told the cluster so.
    var checksTimeline: Bool { setup.checkTimeline && namedAt == nil }

    mutating func followNobody() {
        configuration.followers -= 1
        if configuration.followers == 0 { followsSince = nil }
        writeConfiguration()
    }

    /// Whether somebody may still go by `standby_cluster`, or has to.
    var mayFollow: Bool {
        configuration.followers > 0
            || nodes.indices.contains { nodes[$0].published?.snapshot.settings.isStandbyCluster == true }
    }

    /// Nobody is let write by a node that knows of `standby_cluster`; in pause who accepts writes goes on.
    mutating func checkOpening(_ operation: PostgreSQLOperation, _ index: Int) {
        guard let settings = nodes[index].machine?.snapshot().settings, settings.isStandbyCluster, !settings.isPaused
        else { return }
        violate(.standby, "\(name(index)) does \(operation.name) although standby_cluster is set")
    }

    /// Who was a primary is none any more soon after the section was set, where nothing hinders it.
    mutating func lookForWritesOfFollowers() {
        guard let since = followsSince, now - since > .seconds(60), storeIsDown == 0, storeDelays.isEmpty,
            isStoreFaithful, !configuration.isPaused
        else { return }
        for index in nodes.indices where nodes[index].commits {
            guard isUndisturbed(index, for: .seconds(60)), nodes[index].isUndisturbed, nodes[index].blocked == 0,
                !isExcusedByPause(index), now - nodes[index].postgreSQL.cameUpAt > .seconds(60)
            else { continue }
            violate(.standby, "\(name(index)) accepts commits long after standby_cluster was set")
        }
    }

    /// What a snapshot says of it.
    mutating func noteFollowing(_ published: PublishedSnapshot, _ index: Int) {
        if otherSite != nil, source(of: index) == Self.elsewhere, isStreaming(index) { coverage.count(.siteFollowed) }
        if published.snapshot.running?.plan.kind == .demoteCluster { coverage.count(.clusterDemoted) }
        if published.snapshot.role == .standbyLeader {
            coverage.count(.standbyLed)
            nodes[index].hasLedStandbys = true
        }
    }

    mutating func notePromotionOfFollowers(_ index: Int) {
        if nodes[index].hasLedStandbys { coverage.count(.clusterPromoted) }
        for other in nodes.indices { nodes[other].hasLedStandbys = false }
    }
}
