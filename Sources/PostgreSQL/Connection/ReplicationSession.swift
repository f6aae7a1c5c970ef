import ClusterModel
import Ports

/// The questions that only a physical replication connection answers.
struct ReplicationSession {
    private let connection: PostgreSQLConnection

    var serverVersion: Int { connection.serverVersion }

    struct Identity: Sendable, Hashable {
        var systemIdentifier: String
        var timeline: TimelineID
        /// Flushed on a primary, replayed on a standby.
        var position: WALPosition
    }

    init(_ target: ConnectionTarget, deadline: BootInstant) throws(PostgreSQLError) {
        connection = try PostgreSQLConnection.connect(to: target, deadline: deadline)
    }

    /// With our own server.
    init(local instance: Instance, deadline: BootInstant) throws(PostgreSQLError) {
        connection = try instance.connect(to: instance.replicationTarget(nil), deadline: deadline)
    }

    func identify(deadline: BootInstant) throws(PostgreSQLError) -> Identity {
        let rows = try connection.query("IDENTIFY_SYSTEM", deadline: deadline)
        guard let row = rows.first, row.count >= 3, let identifier = row[0],
            let timeline = row[1].flatMap(TimelineID.init),
            let position = row[2].flatMap({ WALPosition($0) })
        else { throw .failed("the answer to IDENTIFY_SYSTEM cannot be read") }
        return Identity(systemIdentifier: identifier, timeline: timeline, position: position)
    }

    func history(of timeline: TimelineID, deadline: BootInstant) throws(PostgreSQLError) -> [TimelineHistory.Line] {
        let rows = try connection.query("TIMELINE_HISTORY \(timeline)", deadline: deadline)
        return TimelineHistoryFile.parse(rows.first?.last.flatMap { $0 } ?? "")
    }
}
