import ClusterModel
import Configuration
import HTTPServer
import HighAvailability
import JSON
import Logging
import Ports
import Synchronization

@testable import ControlAPI

/// The node beside the API, made of one snapshot.
final class FakeNode: NodeControl {
    private let state: Mutex<State>

    private struct State {
        var snapshot: NodeSnapshot
        var calls: [String] = []
        var observations = 0
    }

    let outcome: CommandOutcome
    private let stream: AsyncStream<NodeSnapshot>
    private let continuation: AsyncStream<NodeSnapshot>.Continuation
    private let isDeserted = Mutex(false)

    init(_ snapshot: NodeSnapshot, outcome: CommandOutcome = .done) {
        state = Mutex(State(snapshot: snapshot))
        self.outcome = outcome
        (stream, continuation) = AsyncStream.makeStream(of: NodeSnapshot.self)
        continuation.yield(snapshot)
        continuation.onTermination = { [weak self] _ in self?.isDeserted.withLock { $0 = true } }
    }

    /// Nobody follows the changes any more.
    var hasNoReader: Bool { isDeserted.withLock { $0 } }

    /// Nothing changes any more.
    func end() { continuation.finish() }

    var observations: Int { state.withLock { $0.observations } }

    var calls: [String] { state.withLock { $0.calls } }

    func publish(_ change: (inout NodeSnapshot) -> Void) {
        let snapshot = state.withLock { state in
            change(&state.snapshot)
            state.snapshot.serial += 1
            return state.snapshot
        }
        continuation.yield(snapshot)
    }

    func published() -> PublishedSnapshot { PublishedSnapshot(state.withLock { $0.snapshot }) }
    func freshSnapshot(_ age: Duration) async -> NodeSnapshot {
        state.withLock { $0.observations += 1 }
        return snapshot()
    }
    func promise(_ ping: FailsafePing) async -> FailsafeAnswer {
        note("promise: \(ping)")
        return ping.name == "pg-c" ? .refused("About to be the leader") : .accepted(WALPosition(4096))
    }
    func wake(_ reason: String) async { note("wake: \(reason)") }
    func reload() async { note("reload") }
    func carryOut(_ command: NodeCommand) async -> CommandOutcome {
        note("\(command)")
        return outcome
    }
    func changes() -> AsyncStream<NodeSnapshot> { stream }

    private func note(_ call: String) { state.withLock { $0.calls.append(call) } }
}

/// A store of which the API uses the reads and the writes alone.
protocol StoreOfAnAPI: DistributedConfigurationStore {}

extension StoreOfAnAPI {
    func delete(_ key: DCSKey, if condition: WriteCondition, deadline: BootInstant) async throws(DCSError)
        -> WriteOutcome
    { .refused }
    func acquireLeader(deadline: BootInstant) async throws(DCSError) -> LeaderClaim { .refused }
    func renewLeader(_ seen: LeaderRecord?, replacingGone: Bool, deadline: BootInstant) async throws(DCSError)
        -> LeaderClaim
    { .refused }
    func releaseLeader(status: JSONObject?, deadline: BootInstant) async throws(DCSError) -> Bool { false }
    func touchMember(_ value: JSONObject, seen: Member?, prolonging: Bool, deadline: BootInstant)
        async throws(DCSError)
    {}
    func adopt(ttl: Duration, loopWait: Duration, retryTimeout: Duration) async {}
    func close() async {}
    func start(deadline: BootInstant) async throws(DCSError) {}
    func obstacle(deadline: BootInstant) async throws(DCSError) -> String? { nil }
}

/// A store whose answers are laid up beforehand.
final class FakeStore: StoreOfAnAPI {
    /// A write that was asked for.
    struct Write: Sendable, Equatable {
        var key: DCSKey
        /// As etcd has it.
        var value: String
        var condition: WriteCondition
    }

    private let state: Mutex<State>
    let events = AsyncStream<DCSEvent> { $0.finish() }

    private struct State {
        var views: [Result<ClusterView, DCSError>]
        var outcomes: [Result<WriteOutcome, DCSError>]
        var writes: [Write] = []
        var loads = 0
    }

    /// The last of `views` and of `outcomes` is given again and again.
    init(
        _ views: [Result<ClusterView, DCSError>],
        outcomes: [Result<WriteOutcome, DCSError>] = [.success(.written(100))]
    ) {
        state = Mutex(State(views: views, outcomes: outcomes))
    }

    var writes: [Write] { state.withLock { $0.writes } }
    var loads: Int { state.withLock { $0.loads } }

    func load(deadline: BootInstant) async throws(DCSError) -> ClusterView {
        try state.withLock { state in
            state.loads += 1
            return state.views.count > 1 ? state.views.removeFirst() : state.views[0]
        }.get()
    }

    func write(
        _ key: DCSKey, _ value: DCSValue, if condition: WriteCondition, deadline: BootInstant
    ) async throws(DCSError) -> WriteOutcome {
        try state.withLock { state in
            state.writes.append(Write(key: key, value: value.spelt, condition: condition))
            return state.outcomes.count > 1 ? state.outcomes.removeFirst() : state.outcomes[0]
        }.get()
    }
}

/// Peers that answer what they are told to; the others are unreachable.
struct FakePeers: PeerClient {
    var answers: [String: PeerAnswer] = [:]

    func statuses(of members: [Member], deadline: BootInstant) async -> [String: PeerAnswer] {
        Dictionary(uniqueKeysWithValues: members.map { ($0.name, answers[$0.name] ?? .unreachable("silent")) })
    }

    func failsafe(
        _ ping: FailsafePing, to members: [Member], deadline: BootInstant
    ) async -> [String: FailsafeAnswer] { [:] }

    func isAlive(apiURL: String, deadline: BootInstant) async -> Bool { false }
}

/// A clock on which time passes only by sleeping.
final class FakeClock: Clock {
    private let time: Mutex<BootInstant>

    init(_ start: BootInstant = Scene.now) { time = Mutex(start) }

    func now() -> BootInstant { time.withLock { $0 } }
    /// 2027-02-03T12:00:00Z.
    func wallTime() -> Int64 { 1_801_656_000_000_000_000 }
    func sleep(until instant: BootInstant) async { time.withLock { $0 = max($0, instant) } }
}

/// An API upon fakes.
struct Bench {
    let node: FakeNode
    let store: FakeStore
    let clock: any Clock
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let api: ControlAPI

    init(
        _ snapshot: NodeSnapshot = Scene.snapshot(), store: FakeStore? = nil, peers: [String: PeerAnswer] = [:],
        access: AccessRules = AccessRules(), outcome: CommandOutcome = .done, clock: any Clock = FakeClock(),
        trial: @escaping ConfigurationRules.Trial = { _ in [] }
    ) {
        node = FakeNode(snapshot, outcome: outcome)
        self.clock = clock
        self.store = store ?? FakeStore([.success(Scene.view(leader: "pg-a"))])
        api = ControlAPI(
            node: node, store: self.store, peers: FakePeers(answers: peers), clock: clock, access: access,
            logger: logger,
            resolve: { $0 == "named.example" ? ["198.51.100.7"] : [] },
            configurationRules: ConfigurationRules(judge: { DynamicCheck.judge($0, inPlaceOf: $1) }, trial: trial))
    }

    /// The answer as the server would get it: at once where it can be had, else by waiting.
    func ask(_ method: String, _ target: String, _ body: String? = nil, headers: HTTPHeaders = [:]) async throws
        -> HTTPResponse
    {
        var headers = headers
        if let body { headers.append("Content-Length", "\(body.utf8.count)") }
        let request = try HTTPRequest(
            method: method, target: target, headers: headers, body: Array((body ?? "").utf8))
        return await api.answer(request)
    }
}

extension ControlAPI {
    func answerNow(_ request: HTTPRequest) -> HTTPResponse? { reply(to: request).response }
    func answer(_ request: HTTPRequest) async -> HTTPResponse { await reply(to: request).answer() }
    func kind(of request: HTTPRequest) -> HTTPRequestKind { reply(to: request).kind }
    func hasShare(_ request: HTTPRequest) -> Bool { kind(of: request) == .urgent || hasShare(peer: request.peer) }
}

extension HTTPResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension RequestBody {
    /// The object that a text stands for.
    static func parsed(_ text: String) -> JSONObject? {
        guard
            let request = try? HTTPRequest(
                method: "POST", target: "/", headers: ["Content-Length": "1"], body: Array(text.utf8)),
            case .object(let object) = optional(request)
        else { return nil }
        return object
    }
}

extension DCSValue {
    fileprivate var spelt: String {
        switch self {
        case .text(let text): text
        case .document(let value): JSON.text(value, .compact)
        }
    }
}

/// Counts how often it is asked.
final class CountingPeers: PeerClient {
    private let count = Mutex(0)

    var rounds: Int { count.withLock { $0 } }

    func statuses(of members: [Member], deadline: BootInstant) async -> [String: PeerAnswer] {
        count.withLock { $0 += 1 }
        return Dictionary(uniqueKeysWithValues: members.map { ($0.name, Scene.usable()) })
    }

    func failsafe(_ ping: FailsafePing, to members: [Member], deadline: BootInstant) async -> [String: FailsafeAnswer] {
        [:]
    }

    func isAlive(apiURL: String, deadline: BootInstant) async -> Bool { true }
}
