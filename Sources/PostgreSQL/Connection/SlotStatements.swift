import ClusterModel

/// SQL of the actions upon slots. Pure.
enum SlotStatements {
    struct Statement {
        var text: String
        var parameters: [String?]
        /// Logical slots are made and moved in their own database; nil for any.
        var database: String?
    }

    /// Nil for what is no statement.
    static func statement(_ action: SlotAction) -> Statement? {
        switch action {
        case .create(let name):
            Statement(
                text: "SELECT pg_create_physical_replication_slot($1, true) WHERE NOT EXISTS "
                    + "(SELECT FROM pg_replication_slots WHERE slot_name = $1)", parameters: [name])
        case .drop(let name): Statement(text: "SELECT pg_drop_replication_slot($1)", parameters: [name])
        case .advance(let name, let position):
            // A receiver may have moved or taken the slot since it was looked at; PostgreSQL would refuse to move it
            // back.
            Statement(
                text: "SELECT pg_replication_slot_advance(slot_name, $2::pg_lsn) FROM pg_replication_slots "
                    + "WHERE slot_name = $1 AND NOT active AND restart_lsn < $2::pg_lsn",
                parameters: [name, position.description])
        case .createLogical(let name, let database, let plugin):
            Statement(
                text: "SELECT pg_create_logical_replication_slot($1, $2) WHERE NOT pg_is_in_recovery() AND NOT EXISTS "
                    + "(SELECT FROM pg_replication_slots WHERE slot_name = $1)",
                parameters: [name, plugin], database: database)
        case .advanceLogical(let name, let database, let position):
            // Only on a standby: on a primary the reader moves it.
            Statement(
                text: "SELECT pg_replication_slot_advance(slot_name, $2::pg_lsn) FROM pg_replication_slots "
                    + "WHERE slot_name = $1 AND NOT active AND confirmed_flush_lsn < $2::pg_lsn "
                    + "AND pg_is_in_recovery()",
                parameters: [name, position.description], database: database)
        case .verifyLogical: nil
        }
    }

    /// A copy that cannot be moved; never what has become a primary's meanwhile.
    static let dropCopy = "SELECT pg_drop_replication_slot($1) WHERE pg_is_in_recovery()"

    /// Of each slot: name, whether it is logical, and the oldest transaction whose catalog rows it keeps.
    static let catalogHorizons = """
        SELECT slot_name, slot_type = 'logical', catalog_xmin::text FROM pg_catalog.pg_replication_slots
            WHERE NOT temporary
        """
}

/// What is known of the copies of logical slots on a standby (postgresql.md §22.4). Pure.
///
/// A copy needs catalog rows from its `catalog_xmin` on. The primary keeps them for its own slot of that name, and from
/// the moment at which the standby's feedback has reached the standby's physical slot for that. The copy is safe when
/// the second began before the first had gone on.
struct CopiedSlots: Sendable, Hashable {
    private(set) var ready: Set<String> = []
    /// Where the primary's own slot was when it was first looked at.
    private var marks: [String: UInt32] = [:]

    mutating func forget(_ name: String) {
        ready.remove(name)
        marks[name] = nil
    }

    /// `primary` and `physical` are the horizons on the primary, of its slot and of the one that feeds this standby;
    /// `local` is that of the copy.
    mutating func look(_ name: String, primary: UInt32?, physical: UInt32?, local: UInt32?) {
        guard let primary else { return forget(name) }
        let mark = marks[name] ?? primary
        marks[name] = mark
        guard let physical, let local, Self.isNotAfter(mark, physical), Self.isNotAfter(physical, local) else { return }
        ready.insert(name)
    }

    /// Transaction numbers run in a circle.
    static func isNotAfter(_ left: UInt32, _ right: UInt32) -> Bool { Int32(bitPattern: left &- right) <= 0 }
}
