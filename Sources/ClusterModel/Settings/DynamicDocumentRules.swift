/// What may go into `/config` through the REST API.
public enum DynamicDocumentRules {
    /// Why a document is not taken: a key and a reason.
    public struct Objection: Error, Sendable, Hashable, CustomStringConvertible {
        public let key: String
        public let reason: String

        public init(key: String, reason: String) {
            self.key = key
            self.reason = reason
        }

        public var description: String { key.isEmpty ? reason : "\(key): \(reason)" }
    }

    /// What speaks against a document.
    public struct Judgement: Sendable, Hashable {
        /// Nobody could use it as it is.
        public let objections: [Objection]
        /// What would be stored and do nothing, in words for the log.
        public let remarks: [String]

        public init(objections: [Objection], remarks: [String]) {
            self.objections = objections
            self.remarks = remarks
        }
    }

    /// Every node merges and writes what stands there: more than people write is no configuration.
    public static let valuesMax = 8192
    public static let parametersMax = 1000

    /// What no node can use. What stands in `present` already is no reason: it must be possible to change something
    /// else, and to take it back.
    public static func objections(to document: JSONObject, inPlaceOf present: JSONObject) -> [Objection] {
        var found: [Objection] = []
        func check(_ body: () throws(Objection) -> Void) {
            do throws(Objection) { try body() } catch { found.append(error) }
        }
        let all = JSONValue.object(document).valuesCount(upTo: .max)
        if all > valuesMax, all >= JSONValue.object(present).valuesCount(upTo: .max) {
            // Nobody looks through it all.
            return [Objection(key: "", reason: "the configuration holds at most \(valuesMax) values")]
        }
        for key in parameterKeys { check { () throws(Objection) in try checkParameters(key, document, present) } }
        check { () throws(Objection) in try checkText(.object(document), .object(present), "") }
        check { () throws(Objection) in try checkSlots(document, present) }
        check { () throws(Objection) in try checkStandbyCluster(document, present) }
        if let objection = ClusterTimings.objection(toFailsafeTimeoutOf: document, inPlaceOf: present) {
            found.append(objection)
        }
        return found
    }

    private static let parameterKeys = [
        "parameters", "parameters_primary", "parameters_replica", "parameters_standby_leader",
    ]

    private static func checkParameters(
        _ key: String, _ document: JSONObject, _ present: JSONObject
    ) throws(Objection) {
        let before = present["postgresql"]?[key]?.object ?? JSONObject()
        let parameters = document["postgresql"]?[key]?.object ?? JSONObject()
        if parameters.count > max(parametersMax, before.count) {
            throw Objection(key: "postgresql.\(key)", reason: "holds at most \(parametersMax) parameters")
        }
        for member in parameters.members where before[member.key] == nil && !isParameterName(member.key) {
            // A NUL is named as such.
            if member.key.hasByte("\0") { continue }
            throw Objection(
                key: "postgresql.\(key).\(member.key)", reason: "PostgreSQL reads no parameter of this name")
        }
    }

    /// A host that no connection string takes would leave the cluster without anybody to follow.
    private static func checkStandbyCluster(_ document: JSONObject, _ present: JSONObject) throws(Objection) {
        guard let section = document["standby_cluster"]?.object, section != present["standby_cluster"]?.object,
            section["host"]?.isTruthy == true, let cluster = StandbyCluster(section), cluster.address == nil
        else { return }
        throw Objection(key: "standby_cluster.host", reason: "is no name and no address, or the port is none")
    }

    private static func checkSlots(_ document: JSONObject, _ present: JSONObject) throws(Objection) {
        let known = PermanentSlot.read(present).faults
        for fault in PermanentSlot.read(document).faults where !known.contains(fault) {
            let key = PermanentSlot.keys.first { document[$0]?.isTruthy == true } ?? "slots"
            throw Objection(key: fault.name == key ? key : "\(key).\(fault.name)", reason: fault.reason)
        }
        guard let entries = document["ignore_slots"], entries.isTruthy, entries != present["ignore_slots"] else {
            return
        }
        guard let items = entries.array else { throw Objection(key: "ignore_slots", reason: "is a list of maps") }
        for (index, item) in items.enumerated() where IgnoredSlots(item) == nil {
            throw Objection(
                key: "ignore_slots.\(index)", reason: "says none of name, type, database and plugin of a slot")
        }
    }

    /// Letters, digits and `_`, not beginning with a digit; an extension's has its prefix and a point before it. Words
    /// that are orders to the reader of the file are no parameters: a file that is not there keeps the server from
    /// starting.
    public static func isParameterName(_ name: String) -> Bool {
        let words = name.split(atByte: ".")
        return words.count <= 2 && !["include", "include_dir", "include_if_exists"].contains(name.lowercased())
            && words.allSatisfy { word in
                let isSpelled = word.utf8.allSatisfy { byte in
                    isDigit(byte) || byte == UInt8(ascii: "_")
                        || byte < 0x80 && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                }
                return isSpelled && word.utf8.first.map { !isDigit($0) } == true
            }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// No text with a NUL: PostgreSQL, libpq and every command line end there.
    private static func checkText(_ value: JSONValue, _ present: JSONValue?, _ path: String) throws(Objection) {
        if value == present { return }
        switch value {
        case .null, .bool, .int, .double: break
        case .string(let text):
            if text.hasByte("\0") { throw Objection(key: path, reason: "a text with a NUL cannot be written anywhere") }
        case .array(let items):
            for (index, item) in items.enumerated() { try checkText(item, nil, "\(path).\(index)") }
        case .object(let object):
            for member in object.members {
                let here = path.isEmpty ? member.key : "\(path).\(member.key)"
                if member.key.hasByte("\0") { throw Objection(key: path, reason: "a key with a NUL means nothing") }
                try checkText(member.value, present?[member.key], here)
            }
        }
    }
}

extension JSONValue {
    /// How many values stand within, itself not counted; counting ends above `limit`.
    func valuesCount(upTo limit: Int) -> Int {
        var count = 0
        for value in array ?? object?.members.map(\.value) ?? [] {
            count += 1 + value.valuesCount(upTo: limit - count)
            if count > limit { break }
        }
        return count
    }
}
