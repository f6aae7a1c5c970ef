/// A slot of the dynamic configuration's `slots`: there on every node that may lead, whoever reads it
/// (postgresql.md §22.2).
public struct PermanentSlot: Sendable, Hashable {
    /// What is asked of it.
    public enum Kind: Sendable, Hashable {
        /// `cluster`: the kind of cluster that it is meant for, `primary` or `standby`; nil for both.
        case physical(cluster: String?)
        case logical(database: String, plugin: String)
    }

    public var name: String
    public var kind: Kind

    public init(name: String, kind: Kind) {
        self.name = name
        self.kind = kind
    }

    public var isLogical: Bool { if case .logical = kind { true } else { false } }

    /// An entry that cannot be carried out, and why.
    public struct Fault: Error, Sendable, Hashable, CustomStringConvertible {
        public var name: String
        public var reason: String
        public var description: String { "\(name): \(reason)" }
    }

    /// What PostgreSQL takes as a slot's name.
    public static func isName(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "_")
            }
    }

    /// The keys that the slots may stand under: the first one that holds something counts (configuration.md §4).
    public static let keys = ["permanent_replication_slots", "permanent_slots", "slots"]

    /// The entries of `document`, by name, and those that are none.
    public static func read(_ document: JSONObject) -> (slots: [PermanentSlot], faults: [Fault]) {
        guard let key = keys.first(where: { document[$0]?.isTruthy == true }) else { return ([], []) }
        guard let entries = document[key]?.object else {
            return ([], [Fault(name: key, reason: "is a map of slot names")])
        }
        var slots: [PermanentSlot] = []
        var faults: [Fault] = []
        for entry in entries.members {
            do throws(Fault) {
                slots.append(PermanentSlot(name: entry.key, kind: try kind(entry.key, entry.value)))
            } catch {
                faults.append(error)
            }
        }
        return (slots.sorted { $0.name < $1.name }, faults.sorted { $0.name < $1.name })
    }

    private static func kind(_ name: String, _ value: JSONValue) throws(Fault) -> Kind {
        guard isName(name) else {
            throw Fault(name: name, reason: "a slot's name is 1 to 63 characters of a-z, 0-9 and _")
        }
        guard let definition = value.object else {
            // Empty and a bare number are what people write for "nothing to say".
            if case .string = value, value.isTruthy { throw Fault(name: name, reason: "is a map or empty") }
            if case .array = value { throw Fault(name: name, reason: "is a map or empty") }
            return .physical(cluster: nil)
        }
        let (database, plugin) = (text(definition["database"]), text(definition["plugin"]))
        let type =
            definition["type"]?.string?.lowercased() ?? (database != nil && plugin != nil ? "logical" : "physical")
        switch type {
        case "physical":
            let cluster = text(definition["cluster_type"])
            if let cluster, cluster != "primary", cluster != "standby" {
                throw Fault(name: name, reason: "cluster_type is primary or standby")
            }
            return .physical(cluster: cluster)
        case "logical":
            guard let database, let plugin else { throw Fault(name: name, reason: "needs a database and a plugin") }
            return .logical(database: database, plugin: plugin)
        default: throw Fault(name: name, reason: "type is physical or logical")
        }
    }

    private static func text(_ value: JSONValue?) -> String? {
        value?.string.flatMap { $0.isEmpty || $0.hasByte("\0") ? nil : $0 }
    }
}

/// An entry of `ignore_slots`: the slots that have all that is given are somebody else's (configuration.md §4).
public struct IgnoredSlots: Sendable, Hashable {
    private var name: String?
    private var type: String?
    private var database: String?
    private var plugin: String?

    /// Nil for an entry that says nothing of a slot: it would match every one.
    init?(_ value: JSONValue) {
        guard let entry = value.object else { return nil }
        func text(_ key: String) -> String? { entry[key]?.string }
        (name, type, database, plugin) = (text("name"), text("type"), text("database"), text("plugin"))
        if name == nil, type == nil, database == nil, plugin == nil { return nil }
    }

    public func matches(_ slot: PostgreSQLStatus.ReplicationSlot) -> Bool {
        func agrees(_ wanted: String?, _ actual: String?) -> Bool { wanted == nil || wanted == actual }
        return agrees(name, slot.name) && agrees(type, slot.isLogical ? "logical" : "physical")
            && agrees(database, slot.database) && agrees(plugin, slot.plugin)
    }
}

extension DynamicConfiguration {
    /// The entries of `ignore_slots` that say something.
    public var ignoredSlots: [IgnoredSlots] { (document["ignore_slots"]?.array ?? []).compactMap { IgnoredSlots($0) } }

    /// Whether `slot` is somebody else's: nothing is done to it.
    public func isIgnored(_ slot: PostgreSQLStatus.ReplicationSlot) -> Bool {
        ignoredSlots.contains { $0.matches(slot) }
    }

    /// How many bytes of WAL a slot may hold back before it is told of; nil for a tenth of the file system. Ours alone:
    /// a number, or a text with a unit.
    public var slotWALWarning: Int64? {
        ValueParsing.integer(document["slot_wal_warning"], unit: .bytes).flatMap { $0 > 0 ? $0 : nil }
    }
}
