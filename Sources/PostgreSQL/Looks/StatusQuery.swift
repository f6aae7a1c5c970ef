import ClusterModel
import JSON

/// What is asked of a server that accepts connections (postgresql.md §10): what is essential in a statement that locks
/// no catalogue and reads no file, and beside it, in the same message, what may fail by itself.
enum StatusQuery {
    /// What may fail by itself: what was known of it last counts then.
    enum Part: Sendable, Hashable, CaseIterable {
        /// The slots and the senders, whose names are in catalogues that somebody may have locked.
        case detail
        /// What commits wait for. Only a primary needs it. After the senders: what they say was so before.
        case synchronous
        /// The timeline of the last checkpoint, in a file that may be damaged. Only a standby needs it.
        case control

        /// As the log calls it.
        var name: String {
            switch self {
            case .detail: "the slots and the senders"
            case .synchronous: "the names of synchronous standbys"
            case .control: "the control file"
            }
        }
    }

    /// What `Part.detail` tells.
    struct Detail: Sendable, Hashable {
        var slots: [PostgreSQLStatus.ReplicationSlot] = []
        var walSenders: [PostgreSQLStatus.WALSender] = []
    }

    /// How long a lock is waited for: as long as somebody who has it for a moment takes.
    static let lockTimeout = Duration.milliseconds(100)
    /// Before the parts, so that none of them takes the time of what is essential.
    static let limit = "SET LOCAL statement_timeout = 500"

    /// The essential one. `pg_walfile_name` knows the timeline of a primary without the control file. It names
    /// functions and the view of the receiver; whoever joins a table to it makes it wait for that table's locks.
    static func essential(version: Int) -> String {
        let written = version >= 130_000 ? "r.written_lsn" : "r.received_lsn"
        return """
            SELECT pg_is_in_recovery(),
            CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
            CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END,
            pg_last_wal_receive_lsn(), \(written), pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()::text,
            CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
            r.status, r.sender_host, r.sender_port, r.slot_name, r.latest_end_lsn, r.received_tli,
            current_setting('restore_command') <> '', pg_postmaster_start_time()::text
            FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver AS r ON true
            """
    }

    /// For servers of `version` (150006) on; 12 is the oldest.
    static func statement(_ part: Part, version: Int) -> String {
        switch part {
        case .detail: detail(version: version)
        case .synchronous: synchronous
        case .control:
            "SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint()) END"
        }
    }

    private static func detail(version: Int) -> String {
        let lost = version >= 130_000 ? "wal_status = 'lost'" : "false"
        let failover = version >= 170_000 ? "failover, synced" : "false, false"
        return """
            SELECT (SELECT json_agg(json_build_array(slot_name, slot_type, active, restart_lsn::text,
                xmin IS NOT NULL, database, plugin, confirmed_flush_lsn::text, \(lost), \(failover))
                ORDER BY slot_name) FROM pg_replication_slots WHERE NOT temporary),
            (SELECT json_agg(json_build_array(usename, application_name, host(client_addr), state, sync_state,
                sync_priority, write_lsn::text, flush_lsn::text, replay_lsn::text)
                ORDER BY application_name, pid) FROM pg_stat_replication)
            """
    }

    /// The checkpointer tells the sessions whether they have to wait at all. Where it sleeps it hears of a reload at
    /// once; while it waits for the disk it does not.
    private static let checkpointerListens =
        "bool_and(lower(wait_event) IN ('checkpointermain', 'checkpointwritedelay'))"

    /// The view of the same name waits for locks.
    static let synchronous = """
        SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
        coalesce(\(checkpointerListens), true), max(pid)
        FROM pg_stat_get_activity(NULL) WHERE backend_type = 'checkpointer' AND NOT pg_is_in_recovery()
        HAVING NOT pg_is_in_recovery()
        """

    /// The same of a standby that has names: before its promotion. No row where nobody is to be waited for.
    static let checkpointerOfStandby = """
        SELECT max(pid), coalesce(\(checkpointerListens), false)
        FROM pg_stat_get_activity(NULL) WHERE backend_type = 'checkpointer'
        HAVING pg_is_in_recovery() AND current_setting('synchronous_standby_names') <> ''
        """

    /// Whether a session waits for the disk to take WAL. The names changed their spelling in 17. The view of the same
    /// name waits for locks on pg_authid and pg_database.
    static let waitsForDisk = """
        SELECT EXISTS (SELECT FROM pg_stat_get_activity(NULL)
            WHERE wait_event_type = 'IO' AND lower(wait_event) IN ('walsync', 'walwrite'))
        """

    /// What the row of the essential statement says; on a standby without a receiver it knows no timeline.
    static func decode(_ row: [String?], version: Int) -> PostgreSQLStatus.Facts? {
        guard row.count == 16, let recovery = row[0] else { return nil }
        func position(_ index: Int) -> WALPosition? { row[index].flatMap { WALPosition($0) } }
        let inRecovery = recovery == "t"
        let latestEnd = position(12)
        let received = latestEnd == nil ? nil : row[13].flatMap { TimelineID($0) }
        let receiver = row[8].map { status in
            PostgreSQLStatus.WALReceiver(
                isStreaming: status == "streaming", host: row[9], port: row[10].flatMap { Int($0) },
                slotName: row[11].flatMap { $0.isEmpty ? nil : $0 }, latestEnd: latestEnd ?? .zero)
        }
        return PostgreSQLStatus.Facts(
            inRecovery: inRecovery, timeline: inRecovery ? received : row[1].flatMap { TimelineID($0, radix: 16) },
            writePosition: position(2) ?? .zero, receivedPosition: max(position(3) ?? .zero, position(4) ?? .zero),
            replayedPosition: position(5) ?? .zero, replayedTimestamp: row[6].map(timestamp),
            replayPaused: row[7] == "t",
            receiver: receiver, hasRestoreCommand: row[14] == "t", serverVersion: version,
            postmasterStartTime: row[15].map(timestamp) ?? "")
    }

    /// What the row of `Part.detail` says.
    static func decodeDetail(_ row: [String?]) -> Detail? {
        guard row.count == 2 else { return nil }
        return Detail(slots: slots(row[0]), walSenders: senders(row[1]))
    }

    /// What the row of `Part.synchronous` says: nil on a standby, which gives none.
    static func decodeSynchronous(_ rows: [[String?]]) -> PostgreSQLStatus.Synchronous? {
        guard let row = rows.first, row.count == 4, let names = row[0] else { return nil }
        return PostgreSQLStatus.Synchronous(inForce: names, level: row[1] ?? "on", checkpointerListens: row[2] != "f")
    }

    /// The pid of the checkpointer, of the same row.
    static func decodeCheckpointer(_ rows: [[String?]]) -> Int32? { rows.first?.last?.flatMap { Int32($0) } }

    /// What the row of `Part.control` says: nil on a primary.
    static func decodeControl(_ row: [String?]) -> TimelineID? { row.first?.flatMap { TimelineID($0) } }

    /// PostgreSQL leaves the minutes of a whole hour's offset away, which not everybody reads (rest-api.md §1).
    static func timestamp(_ text: String) -> String {
        let end = text.suffix(3)
        guard text.contains(":"), end.first == "+" || end.first == "-", end.dropFirst().allSatisfy(\.isNumber) else {
            return text
        }
        return text + ":00"
    }

    private static func rows(_ text: String?) -> [[JSONValue]] {
        guard let text, let value = try? JSON.parse(text) else { return [] }
        return (value.array ?? []).compactMap(\.array)
    }

    private static func slots(_ text: String?) -> [PostgreSQLStatus.ReplicationSlot] {
        rows(text).compactMap { row in
            guard row.count == 11, let name = row[0].string else { return nil }
            var slot = PostgreSQLStatus.ReplicationSlot(
                name: name, isLogical: row[1].string == "logical", isActive: row[2].bool == true,
                restartPosition: row[3].string.flatMap { WALPosition($0) }, hasXmin: row[4].bool == true,
                database: row[5].string, plugin: row[6].string,
                confirmedPosition: row[7].string.flatMap { WALPosition($0) })
            slot.isLost = row[8].bool == true
            slot.isFailover = row[9].bool == true
            slot.isSynced = row[10].bool == true
            return slot
        }
    }

    private static func senders(_ text: String?) -> [PostgreSQLStatus.WALSender] {
        rows(text).compactMap { row in
            guard row.count == 9 else { return nil }
            var sender = PostgreSQLStatus.WALSender(
                userName: row[0].string ?? "", applicationName: row[1].string ?? "", clientAddress: row[2].string,
                state: row[3].string ?? "", syncState: row[4].string ?? "",
                syncPriority: row[5].int.flatMap { Int(exactly: $0) } ?? 0)
            func position(_ index: Int) -> WALPosition? { row[index].string.flatMap { WALPosition($0) } }
            (sender.written, sender.flushed, sender.replayed) = (position(6), position(7), position(8))
            return sender
        }
    }
}
