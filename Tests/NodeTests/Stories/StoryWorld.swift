import ClusterModel
import HighAvailability
import JSON
import Ports

@testable import Node

/// What stands around one node in a story: a store with its keys, one PostgreSQL, the members' answers. Everything does
/// what it is asked, at once, unless the story says otherwise.
struct StoryWorld {
    var now = BootInstant(nanoseconds: 1_000_000_000_000)
    var keys: [String: StoredEntry] = [:]
    var revision: Int64 = 10
    /// Why the store does not answer; nil while it does.
    var storeIsSilent: String?
    var local: PostgreSQLStatus
    var peers: [String: PeerAnswer] = [:]
    /// What members say to a primary without the store.
    var promises: [String: FailsafeAnswer] = [:]
    var divergence: Result<DivergenceFacts, PostgreSQLError> = .failure(PostgreSQLError.failed("nobody answers"))
    /// How the next operations of these names end.
    var failures: [String: String] = [:]
    /// Operations of these names do not end until the story says so.
    var hangs: Set<String> = []
    /// Since when PostgreSQL has answered nobody: its processes are stopped.
    var silentSince: BootInstant?
    var shutdown = ShutdownPositions(checkpoint: 0x5000000, required: 0x5000000, timeline: 1)

    init() {
        local = PostgreSQLStatus(dataDirectory: .initialized, state: .running, postmaster: 42, observedAt: now)
        local.systemIdentifier = "7000000000000000001"
        local.canRewind = true
        put("initialize", "7000000000000000001")
        put("config", #"{"ttl":30,"loop_wait":10,"retry_timeout":10}"#)
    }

    mutating func put(_ leaf: String, _ value: String, session: String = "") {
        revision += 1
        keys[leaf] = StoredEntry(leaf: leaf, value: value, revision: revision, session: session)
    }

    mutating func remove(_ leaf: String) {
        revision += 1
        keys[leaf] = nil
    }

    /// A member whose key says that it runs, and what it answers to `GET /patroni`.
    mutating func member(_ name: String, role: String = "replica", position: WALPosition = 0x5000000, timeline: Int = 1)
    {
        let value = """
            {"state":"running","role":"\(role)","api_url":"http://\(name):8008/patroni","matriarch":"0.1",\
            "conn_url":"postgres://\(name):5432/postgres","timeline":\(timeline)}
            """
        put("members/\(name)", value, session: name)
        peers[name] = .status(
            PeerStatus(isPrimary: role == "primary", position: position, timeline: TimelineID(timeline)))
    }

    func view() -> ClusterView {
        let entries = keys.values.sorted { $0.leaf < $1.leaf }
        return ClusterView(entries: entries, revision: revision) { try? JSON.parse($0) }
    }

    mutating func runs(asPrimary isPrimary: Bool, timeline: TimelineID = 1, position: WALPosition = 0x5000000) {
        local.dataDirectory = .initialized
        local.state = .running
        local.postmaster = local.postmaster ?? 42
        local.readiness = .accepting
        local.hasStandbySignal = !isPrimary
        local.control = nil
        let slots = local.facts?.slots ?? []
        local.facts = PostgreSQLStatus.Facts(
            inRecovery: !isPrimary, timeline: timeline, writePosition: isPrimary ? position : .zero,
            receivedPosition: isPrimary ? .zero : position, replayedPosition: isPrimary ? .zero : position,
            slots: slots,
            walSenders: isPrimary
                ? ["n2", "n3"].map {
                    PostgreSQLStatus.WALSender(
                        userName: "replicator", applicationName: $0, clientAddress: nil, state: "streaming",
                        syncState: "async", syncPriority: 0)
                } : [])
    }

    /// Slots are there until they are dropped, or the server stops and the story loses sight of them.
    mutating func apply(_ actions: [SlotAction]) {
        for action in actions {
            switch action {
            case .create(let name):
                local.facts?.slots.append(
                    PostgreSQLStatus.ReplicationSlot(
                        name: name, isLogical: false, isActive: true, restartPosition: 0x5000000))
            case .drop(let name): local.facts?.slots.removeAll { $0.name == name }
            case .advance, .createLogical, .advanceLogical, .verifyLogical: break
            }
        }
    }

    mutating func stops(_ state: ControlData.ClusterState) {
        let timeline = local.facts?.timeline ?? 1
        silentSince = nil
        local.state = .stopped
        local.postmaster = nil
        local.readiness = .down
        local.facts = nil
        local.control = ControlData(
            state: state, systemIdentifier: "7000000000000000001", checkpoint: shutdown.checkpoint,
            checkpointTimeline: timeline)
        local.walEnd = shutdown.required
    }
}

/// Positions of stories are written as numbers.
extension WALPosition: ExpressibleByIntegerLiteral {
    init(integerLiteral value: UInt64) { self.init(value) }
}
