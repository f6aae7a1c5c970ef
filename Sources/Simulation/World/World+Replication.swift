import ClusterModel
import HighAvailability
import Node
import Ports

extension World {
    /// Clients commit on whatever node accepts it; called before every event, so that each instant is accounted for.
    mutating func commit() {
        for index in nodes.indices {
            guard nodes[index].commits else {
                nodes[index].wasWriting = false
                continue
            }
            if !nodes[index].wasWriting {
                nodes[index].wasWriting = true
                nodes[index].postgreSQL.wroteUntil = now
                // The others had their turn (`checkRefusal`).
                for other in nodes.indices where other != index { nodes[other].refusal = nil }
                continue
            }
            let elapsed = now.nanoseconds - nodes[index].postgreSQL.wroteUntil.nanoseconds
            let interval = Self.commitInterval.nanoseconds
            guard elapsed >= interval else { continue }
            let records = elapsed / interval
            nodes[index].postgreSQL.log.append(Int(records))
            nodes[index].postgreSQL.wroteUntil =
                nodes[index].postgreSQL.wroteUntil + .nanoseconds(records * interval)
            acknowledge(index)
        }
        commitElsewhere()
    }

    mutating func replicate() {
        for index in nodes.indices { receive(index) }
    }

    /// A standby takes from its source what has reached it by now.
    mutating func receive(_ index: Int) {
        guard let source = source(of: index) else { return }
        let (mine, theirs) = (nodes[index].postgreSQL.log, self[server: source].log)
        guard nodes[index].stalled == 0, mine != theirs, mine.isBeginning(of: theirs) else { return }
        let delay = nodes[index].replicationFaults.max() ?? nodes[index].replicationDelay
        let late = delay.nanoseconds - (now.nanoseconds - self[server: source].wroteUntil.nanoseconds)
        let interval = Self.commitInterval.nanoseconds
        let missing = late <= 0 ? 0 : Int((late + interval - 1) / interval)
        let reached = theirs.count - missing
        if reached < mine.count || (reached == mine.count && missing > 0) { return }
        if self[server: source].isStandby { coverage.count(.cascaded) }
        nodes[index].postgreSQL.log = theirs.prefix(reached)
        nodes[index].postgreSQL.grewAt = now
        let slot = SlotName.of(member: name(index))
        guard let position = self[server: source].slots[slot] else { return }
        nodes[source].postgreSQL.slots[slot] = max(position, reached)
    }

    /// What a server's own status tells of its connections.
    func streams(_ index: Int) -> SimulatedPostgreSQL.Streams {
        let readers = nodes.indices.filter { source(of: $0) == index && isStreaming($0) }
        var receiver = PostgreSQLStatus.WALReceiver(isStreaming: isStreaming(index))
        if receiver.isStreaming, let source = source(of: index), source != Self.elsewhere {
            (receiver.host, receiver.port) = (name(source), 5432)
            receiver.latestEnd = self[server: source].position
        }
        return SimulatedPostgreSQL.Streams(
            receiver: receiver, active: Set(readers.map { SlotName.of(member: name($0)) }),
            unreplayed: unreplayed(index), receivers: readers.map { (name($0), nodes[$0].postgreSQL.log.count) })
    }

    /// Records that a standby with slow replay has not come to.
    func unreplayed(_ index: Int) -> Int {
        guard let delay = nodes[index].replayFaults.max() else { return 0 }
        let left = delay.nanoseconds - (now.nanoseconds - nodes[index].postgreSQL.grewAt.nanoseconds)
        return max(0, Int(left / Self.commitInterval.nanoseconds))
    }

    func isStreaming(_ index: Int) -> Bool {
        guard let source = source(of: index) else { return false }
        return nodes[index].postgreSQL.log.isBeginning(of: self[server: source].log)
    }

    /// The server that a standby follows, where it reaches it.
    func source(of index: Int) -> Int? {
        guard nodes[index].postgreSQL.process == .running, nodes[index].postgreSQL.isStandby, nodes[index].answers,
            let source = nodes[index].postgreSQL.upstream, source != index
        else { return nil }
        let process = self[server: source].process
        guard process == .running || process == .stopping, answers(source), !isCut(index, source) else {
            return nil
        }
        return source
    }
}
