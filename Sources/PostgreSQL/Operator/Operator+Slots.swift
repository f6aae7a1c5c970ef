import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// Copies logical slots of a primary into the data directory of this standby, and leaves it stopped
    /// (postgresql.md §22.4). Everything is read and checked while the server runs.
    ///
    /// Broken off at any point the directory is a sound one: a copy has its name only once it is whole and durable, and
    /// PostgreSQL removes `….tmp` when it starts. A copy that is there is moved on later, or copied again.
    func copyLogicalSlots(_ slots: [PermanentSlot], from source: Upstream, stopTimeout: Duration)
        async throws(PostgreSQLError)
    {
        let deadline = BootClock.now() + .seconds(10)
        guard instance.postmaster() != nil, directory.hasStandbySignal else {
            throw .failed("PostgreSQL is no running standby")
        }
        let states = try readSlots(slots, from: source, deadline)
        if states.isEmpty { throw .failed("\(source.name) has none of the slots to be copied") }
        try refuseUnusable(states, deadline)
        // A part of a restart, like the one that follows.
        instance.set(.restarting)
        do throws(PostgreSQLError) {
            _ = try await stop(.fast, timeout: stopTimeout, announce: false)
        } catch {
            if instance.postmaster() != nil { instance.set(.running) }
            throw error
        }
        do throws(SystemError) {
            for state in states { try write(state) }
            try Files.synchronize(directory: slotsDirectory)
        } catch {
            throw .failed("cannot write the copy of a logical slot: \(error)")
        }
        log.info("copied the logical slots \(states.map(\.name).joined(separator: ", ")) from \(source.name)")
    }

    private var slotsDirectory: String { directory.path + "/pg_replslot" }

    /// What `source` has of `slots`, in the order of their names. One that is of another kind there, or that PostgreSQL
    /// itself brings to standbys, is passed over.
    private func readSlots(_ slots: [PermanentSlot], from source: Upstream, _ deadline: BootInstant)
        throws(PostgreSQLError) -> [SlotState]
    {
        let target = instance.target(
            configuration.rewindCredentials, host: source.address.host, port: source.address.port,
            options: instance.options(.seconds(5)))
        let connection = try PostgreSQLConnection.connect(to: target, deadline: deadline)
        guard connection.serverVersion / 10_000 == directory.version / 10_000 else {
            throw .failed("\(source.name) is of another version: its slots cannot be copied")
        }
        var states: [SlotState] = []
        for slot in slots {
            guard case .logical(let database, let plugin) = slot.kind, PermanentSlot.isName(slot.name) else { continue }
            let rows = try connection.query(
                SlotCopy.statement(version: connection.serverVersion), [slot.name, database, plugin],
                deadline: deadline)
            guard let text = rows.first?.first ?? nil else {
                log.warning("\(source.name) has no logical slot \(slot.name) as it is wanted, to copy")
                continue
            }
            do throws(SlotState.Fault) {
                states.append(try SlotState(name: slot.name, hexadecimal: text))
            } catch {
                throw .failed("the state of the slot \(slot.name) at \(source.name) cannot be used: \(error.rawValue)")
            }
        }
        return states
    }

    /// A server that has logical slots and not what they need does not start any more.
    private func refuseUnusable(_ states: [SlotState], _ deadline: BootInstant) throws(PostgreSQLError) {
        let row = try instance.connect(deadline: deadline).query(SlotCopy.conditions, deadline: deadline).first ?? []
        guard row.count == 3, let room = row[1].flatMap({ Int($0) }) else {
            throw .failed("the server does not answer")
        }
        if row[0] != "logical" { throw .failed("wal_level is \(row[0] ?? "unknown") here, not logical") }
        if row[2] != "on" { throw .failed("hot_standby_feedback is off here: the primary would not keep catalog rows") }
        if room < states.count {
            throw .failed("max_replication_slots leaves room for \(room) slots, and \(states.count) are to be copied")
        }
    }

    private func write(_ state: SlotState) throws(SystemError) {
        let path = "\(slotsDirectory)/\(state.name)"
        let draft = path + ".tmp"
        try Files.removeTree(draft)
        try Files.makeDirectory(draft, mode: directory.fileMode == 0o640 ? 0o750 : 0o700)
        writer.giveToOwner(of: draft)
        try Files.replace(draft + "/state", with: state.bytes, mode: directory.fileMode, durably: true)
        writer.giveToOwner(of: draft + "/state")
        // What stands under its name is of an earlier life: the server did not have the slot.
        try Files.removeTree(path)
        guard rename(draft, path) == 0 else { throw SystemError(call: "rename", subject: path) }
    }
}

/// SQL of a copy. Pure.
enum SlotCopy {
    /// The state of slot $1 of database $2 and plugin $3 on a primary, in hexadecimal digits.
    static func statement(version: Int) -> String {
        let own = version >= 170_000 ? " AND NOT failover" : ""
        return """
            SELECT pg_catalog.encode(
                pg_catalog.pg_read_binary_file('pg_replslot/' || slot_name || '/state', 0, \(SlotState.sizeMax), true),
                'hex')
            FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND database = $2 AND plugin = $3
                AND slot_type = 'logical' AND NOT temporary AND NOT pg_catalog.pg_is_in_recovery()\(own)
            """
    }

    /// What decides whether a standby can have logical slots: the level, the room, the feedback.
    static let conditions = """
        SELECT current_setting('wal_level'),
            current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
            current_setting('hot_standby_feedback')
        """
}
