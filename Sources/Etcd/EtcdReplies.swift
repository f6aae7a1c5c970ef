import ClusterModel

extension StoreHeader {
    /// Reads `header` of a reply, or of its stream form `result`.
    init?(_ reply: JSONObject) {
        guard let header = (reply["header"] ?? reply["result"]?["header"])?.object else { return nil }
        guard let revision = boundedRevision(header["revision"]) else { return nil }
        self.init(
            clusterID: header["cluster_id"].flatMap(integerText) ?? "",
            raftTerm: header["raft_term"].flatMap(integerText).flatMap { UInt64($0) } ?? 0, revision: revision)
    }
}

/// One key as the store holds it.
struct EtcdKeyValue: Sendable, Hashable {
    let key: String
    let value: String
    let revision: Revision
    /// The lease's number as text; empty for none.
    let lease: String

    /// Nil for what is no key. The gateway leaves out empty values and zeros.
    init?(_ json: JSONValue) {
        guard let key = text(json["key"]), !key.isEmpty, let value = text(json["value"]) else { return nil }
        self.key = key
        self.value = value
        guard let revision = boundedRevision(json["mod_revision"]) else { return nil }
        self.revision = revision
        let lease = int64(json["lease"])
        self.lease = lease == 0 ? "" : String(lease)
    }
}

/// The reply to a range.
struct EtcdRange: Sendable {
    let header: StoreHeader
    let pairs: [EtcdKeyValue]
    /// How many keys there are, also those that were not asked for.
    let count: Int64

    init?(_ reply: JSONObject) {
        guard let header = StoreHeader(reply) else { return nil }
        self.header = header
        count = int64(reply["count"])
        let entries = reply["kvs"]?.array ?? []
        pairs = entries.compactMap(EtcdKeyValue.init)
        // A key that cannot be read is not one that is absent.
        if pairs.count != entries.count { return nil }
    }
}

/// The reply to a lease's grant or keep-alive.
struct EtcdLeaseReply: Sendable, Hashable {
    let id: String
    /// In seconds; 0 where the lease is gone.
    let ttl: Int64
    /// The store's revision, as the member has it that answers.
    let revision: Revision

    init?(_ reply: JSONObject) {
        let body = reply["result"]?.object ?? reply
        guard let id = body["ID"].flatMap(integerText) else { return nil }
        self.id = id
        ttl = int64(body["TTL"])
        revision = int64(body["header"]?["revision"])
    }
}

/// The reply to a transaction.
struct EtcdTransactionReply: Sendable {
    let succeeded: Bool
    let revision: Revision
    /// The key that a range in the branch found; nil where it found none.
    let found: EtcdKeyValue?
    /// Of a transaction in the branch: whether that one succeeded.
    let nestedSucceeded: Bool

    init?(_ reply: JSONObject) {
        guard let header = StoreHeader(reply) else { return nil }
        succeeded = reply["succeeded"]?.bool == true
        revision = header.revision
        let responses = reply["responses"]?.array ?? []
        found =
            responses.lazy.compactMap { $0["response_range"]?["kvs"]?.array?.first }.compactMap(EtcdKeyValue.init)
            .first
        nestedSucceeded = responses.contains { $0["response_txn"]?["succeeded"]?.bool == true }
    }
}

/// One document of a watch's stream.
struct EtcdWatchReply: Sendable {
    enum Content: Sendable {
        case created
        /// No events: the place in the log up to which everything has been told.
        case progress(Revision)
        case events([EtcdEvent])
        /// The server has thrown away what we asked for, up to this revision.
        case compacted(Revision)
        case cancelled(reason: String)
    }

    let header: StoreHeader
    let content: Content

    /// Nil for what is no watch reply; error documents are told apart before.
    init?(_ document: JSONObject) {
        guard let result = document["result"]?.object, let header = StoreHeader(document) else { return nil }
        self.header = header
        let compacted = int64(result["compact_revision"])
        let documents = result["events"]?.array ?? []
        let events = documents.compactMap(EtcdEvent.init)
        // An event that cannot be read must not count as told.
        if events.count != documents.count { return nil }
        if compacted > 0 {
            content = .compacted(compacted)
        } else if result["canceled"]?.bool == true {
            content = .cancelled(reason: result["cancel_reason"]?.string ?? "no reason given")
        } else if result["created"]?.bool == true {
            content = .created
        } else {
            content = events.isEmpty ? .progress(header.revision) : .events(events)
        }
    }
}

/// A change of one key.
struct EtcdEvent: StoreEvent, Sendable, Hashable {
    let key: String
    /// Nil for a deletion.
    let pair: EtcdKeyValue?
    let revision: Revision

    var value: String? { pair?.value }

    init?(_ json: JSONValue) {
        guard let pair = json["kv"].flatMap(EtcdKeyValue.init) else { return nil }
        key = pair.key
        self.pair = json["type"]?.string == "DELETE" ? nil : pair
        revision = pair.revision
    }
}

/// 0 where it is left out; nil for what no store counts up to, so that nobody's arithmetic on it can overflow.
private func boundedRevision(_ json: JSONValue?) -> Revision? {
    let value = int64(json)
    return (0..<Revision.max / 2).contains(value) ? value : nil
}

/// The gateway writes 64-bit integers as strings; a plain number is taken too. 0 where there is none.
func int64(_ json: JSONValue?) -> Int64 { json.flatMap(integerText).flatMap { Int64($0) } ?? 0 }

/// An integer's digits, however it is written: cluster ids are larger than an Int64.
func integerText(_ json: JSONValue) -> String? {
    switch json {
    case .string(let text): text.isEmpty ? nil : text
    case .int(let value): String(value)
    case .null, .bool, .double, .array, .object: nil
    }
}

/// A key or a value; empty where it is left out, nil for what is not base64.
private func text(_ json: JSONValue?) -> String? {
    guard let json else { return "" }
    return json.string.flatMap(Base64.decode).map { String(decoding: $0, as: UTF8.self) }
}
