import ClusterModel
import JSON

/// The one query that tells everything of a server that accepts connections (postgresql.md §10).
enum StatusQuery {
    /// For servers of `version` (150006) on; 12 is the oldest.
    static func statement(version: Int) -> String {
        let lost = version >= 130_000 ? "wal_status = 'lost'" : "false"
        let failover = version >= 170_000 ? "failover, synced" : "false, false"
        let written = version >= 130_000 ? "r.written_lsn" : "r.received_lsn"
        return """
            SELECT pg_is_in_recovery(),
            CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
            CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END,
            pg_last_wal_receive_lsn(), \(written), pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()::text,
            CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
            r.status, r.sender_host, r.sender_port, r.slot_name, r.latest_end_lsn, r.received_tli,
            current_setting('restore_command') <> '', pg_postmaster_start_time()::text,
            (SELECT timeline_id FROM pg_control_checkpoint()),
            (SELECT json_agg(json_build_array(slot_name, slot_type, active, restart_lsn::text, xmin IS NOT NULL,
                database, plugin, confirmed_flush_lsn::text, \(lost), \(failover)) ORDER BY slot_name)
                FROM pg_replication_slots WHERE NOT temporary),
            (SELECT json_agg(json_build_array(usename, application_name, host(client_addr), state, sync_state,
                sync_priority) ORDER BY application_name, pid) FROM pg_stat_replication)
            FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver AS r ON true
            """
    }

    /// Whether a session waits for the disk to take WAL. The names changed their spelling in 17.
    static let waitsForDisk = """
        SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE wait_event_type = 'IO' AND lower(wait_event) IN ('walsync', 'walwrite'))
        """

    /// What a row says; `controlTimeline` is that of the last checkpoint, a fallback for a standby without a receiver.
    static func decode(_ row: [String?], version: Int) -> (facts: PostgreSQLStatus.Facts, controlTimeline: TimelineID?)?
    {
        guard row.count == 19, let recovery = row[0] else { return nil }
        func position(_ index: Int) -> WALPosition? { row[index].flatMap { WALPosition($0) } }
        let inRecovery = recovery == "t"
        let latestEnd = position(12)
        let received = latestEnd == nil ? nil : row[13].flatMap { TimelineID($0) }
        let receiver = row[8].map { status in
            PostgreSQLStatus.WALReceiver(
                isStreaming: status == "streaming", host: row[9], port: row[10].flatMap { Int($0) },
                slotName: row[11].flatMap { $0.isEmpty ? nil : $0 }, latestEnd: latestEnd ?? .zero)
        }
        let facts = PostgreSQLStatus.Facts(
            inRecovery: inRecovery, timeline: inRecovery ? received : row[1].flatMap { TimelineID($0, radix: 16) },
            writePosition: position(2) ?? .zero, receivedPosition: max(position(3) ?? .zero, position(4) ?? .zero),
            replayedPosition: position(5) ?? .zero, replayedTimestamp: row[6].map(timestamp),
            replayPaused: row[7] == "t",
            receiver: receiver, hasRestoreCommand: row[14] == "t", serverVersion: version,
            postmasterStartTime: row[15].map(timestamp) ?? "", slots: slots(row[17]), walSenders: senders(row[18]))
        return (facts, row[16].flatMap { TimelineID($0) })
    }

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
            guard row.count == 6 else { return nil }
            return PostgreSQLStatus.WALSender(
                userName: row[0].string ?? "", applicationName: row[1].string ?? "", clientAddress: row[2].string,
                state: row[3].string ?? "", syncState: row[4].string ?? "",
                syncPriority: row[5].int.flatMap { Int(exactly: $0) } ?? 0)
        }
    }
}
