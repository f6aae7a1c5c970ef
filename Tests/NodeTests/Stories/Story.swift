import ClusterModel
import HighAvailability
import JSON
import Ports

@testable import Node

/// One node's story: what happens to it, what it asks of the world, and what it says, as lines of text. What it asks is
/// answered by its `StoryWorld` after ten milliseconds each, in the order of asking.
struct Story {
    let name: String
    var world = StoryWorld()
    private(set) var lines: [String] = []
    private var machine: CycleMachine
    private var answers: [CycleEvent] = []
    private var timer: BootInstant?
    private var role: String?
    private let start: BootInstant
    /// Operations that were asked for and have not ended, with the number of their plan.
    private var pending: [(plan: Int, operation: PostgreSQLOperation)] = []

    init(_ name: String, guarded: Bool = false) {
        self.name = name
        start = world.now
        var setup = CycleMachine.Setup(
            scope: "story", me: NodeIdentity(name: "n1"),
            addresses: MemberKey.Addresses(
                connectionURL: "postgres://n1:5432/postgres", apiURL: "http://n1:8008/patroni", version: "4.1.5",
                ownVersion: "0.1"),
            document: ["ttl": 30, "loop_wait": 10, "retry_timeout": 10])
        setup.hasGuardian = guarded
        machine = CycleMachine(setup, now: start)
    }

    // MARK: What the story says

    /// A line of the narrator.
    mutating func say(_ text: String) { lines.append("\n# \(text)") }

    /// Changes the world without telling the node.
    mutating func meanwhile(_ text: String, _ change: (inout StoryWorld) -> Void) {
        say(text)
        change(&world)
    }

    /// Tells the node, and lets the world answer until nothing is asked any more.
    mutating func happens(_ event: CycleEvent) {
        deliver(event)
        var count = 0
        while !answers.isEmpty {
            count += 1
            // A story in which this stands is one of a node that never rests.
            if count > Self.mostAnswers { return lines.append("!! asks without end") }
            deliver(answers.removeFirst())
        }
    }

    private static let mostAnswers = 2000

    /// Lets time pass; timers that the node has set are due on their way.
    mutating func pass(_ duration: Duration) {
        let end = world.now + duration
        var count = 0
        while let due = timer, due <= end {
            count += 1
            if count > Self.mostAnswers { return lines.append("!! a timer without end") }
            world.now = max(world.now, due)
            timer = nil
            happens(.timer)
        }
        world.now = max(world.now, end)
    }

    /// An operation that was hanging ends.
    mutating func ends(_ name: String, _ failure: String? = nil) {
        guard let index = pending.firstIndex(where: { $0.operation.name == name }) else {
            return lines.append("!! no operation \(name) is under way")
        }
        let (plan, operation) = pending.remove(at: index)
        let result = failure.map { .failure(PostgreSQLError.failed($0)) } ?? result(of: operation)
        happens(.node(.performed(plan: plan, result)))
    }

    // MARK: What the world does

    private mutating func deliver(_ event: CycleEvent) {
        world.now = world.now + .milliseconds(10)
        let at = Int((world.now - start).nanoseconds / 1_000_000)
        if let text = Rendering.text(event) { lines.append("\(Rendering.seconds(at)) > \(text)") }
        for effect in machine.step(event, now: world.now, wallTime: 1_800_000_000_000_000_000) {
            if let text = Rendering.text(effect, start: start) { lines.append("            \(text)") }
            answer(effect)
        }
        tellRole()
    }

    /// What others are told of the node, where it changed.
    private mutating func tellRole() {
        let snapshot = machine.snapshot()
        let text = "\(snapshot.role.rawValue)\(snapshot.isLeader(at: world.now) ? ", leader" : "")"
        if text != role { lines.append("            = \(text)") }
        role = text
    }

    private mutating func answer(_ effect: CycleEffect) {
        switch effect {
        case .store(let request, _):
            let failure = world.storeIsSilent.map { request.failed(.unreachable($0)) }
            answers.append(.store(failure ?? taken(request)))
        case .node(let request): answer(request)
        case .peers(let members, let purpose, _):
            let found = members.map { ($0.name, world.peers[$0.name] ?? .unreachable("it does not answer")) }
            answers.append(.peers(purpose, Dictionary(found) { first, _ in first }))
        case .failsafe(_, let members, let sent, _):
            let found = members.map { ($0.name, world.promises[$0.name] ?? .unreachable("it does not answer")) }
            answers.append(.failsafe(sent: sent, Dictionary(found) { first, _ in first }))
        case .guardian(let order, _): answers.append(.guardian(order, .success(GuardianStatus(pid: 7))))
        case .local(.setTimer(let instant)): timer = instant
        case .local(.retryReceipt(let instant, let plan)):
            world.now = max(world.now, instant)
            answers.append(.receiptRetry(plan: plan))
        case .local(.cacheConfiguration), .local(.adoptTimings), .local(.reply), .local(.publish),
            .local(.replyFailsafe), .local(.log),
            .local(.exit):
            break
        }
    }

    private mutating func answer(_ request: NodeRequest) {
        switch request {
        case .observe where world.silentSince != nil:
            answers.append(
                .node(
                    .felt(
                        Pulse(
                            takenAt: world.now, postmaster: world.local.postmaster ?? 0,
                            unansweredSince: world.silentSince, stillSince: world.silentSince,
                            processes: .init(total: 9, stopped: 9, isPostmasterStopped: true)))))
        case .observe:
            world.local.observedAt = world.now
            answers.append(.node(.observed(world.local)))
        case .compare: answers.append(.node(.compared(world.divergence)))
        case .perform(let operation, let slots, let plan):
            world.apply(slots)
            perform(operation, plan)
        case .breakOff:
            world.stops(.inProduction)
            for (plan, operation) in pending {
                answers.append(
                    .node(.performed(plan: plan, .failure(PostgreSQLError.failed("\(operation.name) was broken off")))))
            }
            pending = []
        case .applySlots(let slots, _): world.apply(slots)
        case .proveCopy: world.local.isUnproven = false
        case .checkpoint: answers.append(.node(.checkpointed(.success(()))))
        case .readHistory(let timeline):
            answers.append(.node(.historyRead(timeline, [], writtenAt: "2027-01-15T08:00:00+00:00")))
        case .adoptConfiguration: answers.append(.node(.configurationAdopted(.success(()))))
        case .nameSynchronous(let setting): answers.append(.node(.synchronousNamed(setting, .success(()))))
        }
    }

    private mutating func perform(_ operation: PostgreSQLOperation, _ plan: Int) {
        if world.hangs.contains(operation.name) { return pending.append((plan, operation)) }
        if let failure = world.failures.removeValue(forKey: operation.name) {
            return answers.append(.node(.performed(plan: plan, .failure(PostgreSQLError.failed(failure)))))
        }
        answers.append(.node(.performed(plan: plan, result(of: operation))))
    }

    /// Does it, and tells how it ended.
    private mutating func result(of operation: PostgreSQLOperation) -> Result<OperationResult, PostgreSQLError> {
        switch operation {
        case .bootstrap: world.runs(asPrimary: true)
        case .clone, .restore: world.stops(.shutDownInRecovery)
        case .startPrimary: world.runs(asPrimary: true, timeline: world.local.control?.checkpointTimeline ?? 1)
        case .startStandby, .follow: world.runs(asPrimary: false, timeline: max(1, world.view().timeline))
        case .promote: world.runs(asPrimary: true, timeline: (world.local.facts?.timeline ?? 1) + 1)
        case .stop(let mode, _, _):
            let wasPrimary = world.local.isPrimary
            world.stops(!mode.isClean ? .inProduction : wasPrimary ? .shutDown : .shutDownInRecovery)
            return .success(.shutDown(wasPrimary && mode.isClean ? world.shutdown : nil))
        case .stopToRestart: world.stops(world.local.isPrimary ? .shutDown : .shutDownInRecovery)
        case .rewind:
            world.stops(.shutDownInRecovery)
            world.divergence = .failure(PostgreSQLError.failed("it is the source's own"))
        case .recoverSingleUser: world.stops(.shutDown)
        case .finishBootstrap, .resumeReplay, .copyLogicalSlots, .nameSynchronous, .prePromote, .archiveLastSegment:
            break
        case .setAsideDataDirectory: world.local.dataDirectory = .empty
        }
        return .success(.done)
    }

    private mutating func taken(_ request: StoreRequest) -> StoreAnswer {
        switch request {
        case .load, .refresh: return .loaded(.success(world.view()))
        case .renew: return .renewed(.success(world.keys["leader"]?.value == "n1" ? held : .refused))
        case .acquire:
            if world.keys["leader"] != nil { return .acquired(.success(.refused)) }
            world.put("leader", "n1", session: "s")
            return .acquired(.success(held))
        case .release(let status):
            if let status { world.put("status", JSON.text(.object(status))) }
            world.remove("leader")
            return .released(.success(true))
        case .write(let key, let value, _, let purpose):
            world.put(key.rawValue, value.text)
            return .wrote(purpose, .success(.written(world.revision)))
        case .delete(let key, _, let purpose):
            world.remove(key.rawValue)
            return .wrote(purpose, .success(.written(world.revision)))
        case .touch(let value, _, _):
            world.put("members/n1", JSON.text(.object(value)), session: "s")
            return .touched(.success(()))
        }
    }

    private var held: LeaderClaim { .held(since: world.now, ttl: .seconds(30), session: "s") }
}
