import ClusterModel
import HighAvailability
import Ports

/// The plan that runs, if one does.
struct Plans: Sendable {
    private var begun = 0
    var running: Progress?
    /// How often each kind has failed since it last came to its end.
    private var failing: [Plan.Kind: Int] = [:]

    mutating func begin(_ plan: Plan, _ local: PostgreSQLStatus, claim: Revision?, at now: BootInstant) {
        begun += 1
        running = Progress(plan, number: begun, local, claim: claim, at: now)
    }

    /// The plan that has ended.
    mutating func end() -> Progress? {
        defer { running = nil }
        return running
    }

    /// How often plans of this kind have failed in a row, whatever others did in between.
    mutating func noteFailure(of kind: Plan.Kind) -> Int {
        failing[kind, default: 0] += 1
        return failing[kind, default: 1]
    }

    mutating func noteSuccess(of kind: Plan.Kind) { failing[kind] = nil }
}

/// A plan that is being carried out, and where it stands.
struct Progress: Sendable {
    /// How far the keys of a new cluster are, and which revision `/initialize` has.
    enum Publication: Sendable, Hashable {
        /// This node makes the cluster, and nobody knows it yet.
        case claimed(Revision)
        /// The configuration is being written, and nobody knows of the cluster yet.
        case configuring(Revision)
        case underWay(Revision)
        /// The claim has gone, and the identifier is written if nobody else has put one.
        case withoutClaim(Revision)
        /// The identifier was sent and no answer came.
        case unknown(Revision)
        case done

        /// Of the mark that goes when the cluster could not be made; nil where it is published, and stays.
        var claim: Revision? {
            switch self {
            case .claimed(let revision), .configuring(let revision), .underWay(let revision),
                .withoutClaim(let revision), .unknown(let revision):
                revision
            case .done: nil
            }
        }

        var isUnknownToOthers: Bool {
            switch self {
            case .claimed, .configuring: true
            case .underWay, .withoutClaim, .unknown, .done: false
            }
        }
    }

    /// By which answers that come late are told from its own.
    let number: Int
    private(set) var running: RunningPlan
    private var step = 0
    /// When the present step began: what was observed before tells nothing of its outcome.
    private(set) var stepBegan: BootInstant
    /// The release of the leader key waits for a look.
    var looksFirst = false
    /// PostgreSQL accepted writes when it began, as far as was known.
    let beganWritable: Bool
    /// Where the WAL ends of the server that the plan has stopped.
    private(set) var positions: ShutdownPositions?
    /// Nil but for a bootstrap.
    var publication: Publication?
    /// The revision of the `/config` that it has written where none was.
    var configuration: Revision?
    /// From when on the guardian counts a ttl for the server that a bootstrap makes; nil where none is made.
    private(set) var guardedSince: BootInstant?
    /// When the patience for a candidate ends that has not received everything.
    private(set) var receiptUntil: BootInstant?
    /// What the members say that they have received, before the step `start`; nil before they were asked, or answered.
    var witnesses: [String: PeerAnswer]?
    /// What takes over when the step that was broken off returns, or is waited for no longer.
    private(set) var successor: Plan?
    private(set) var brokenOffUntil: BootInstant?
    /// The command that waits for the plan's end.
    var command: Int?
    /// What that is answered.
    private(set) var outcome = CommandOutcome.done

    init(_ plan: Plan, number: Int, _ local: PostgreSQLStatus, claim: Revision?, at now: BootInstant) {
        self.number = number
        running = RunningPlan(plan: plan, since: now)
        stepBegan = now
        beganWritable = local.mayYetAcceptWrites
        publication = claim.map { .claimed($0) }
        guardedSince = plan.steps.contains(.postgreSQL(.bootstrap)) ? now : nil
    }

    var kind: Plan.Kind { running.plan.kind }

    /// Nil where all are done.
    var currentStep: Step? { step < running.plan.steps.count ? running.plan.steps[step] : nil }

    /// From the present step on.
    var rest: Plan { Plan(kind, Array(running.plan.steps.dropFirst(step))) }

    mutating func finishStep(at now: BootInstant) {
        step += 1
        stepBegan = now
    }

    /// What the step has waited for has come: what was observed before tells as little.
    mutating func stepWaited(until now: BootInstant) { stepBegan = now }

    /// False where another one takes over already.
    mutating func giveWay(to plan: Plan, until end: BootInstant) -> Bool {
        if successor != nil { return false }
        successor = plan
        brokenOffUntil = end
        return true
    }

    /// The server that a bootstrap makes may go on for another ttl.
    mutating func moveGuard(to now: BootInstant) { if guardedSince != nil { guardedSince = now } }

    /// A start ended before PostgreSQL had replayed everything.
    mutating func stillStarts() { outcome = .stillStarting }

    /// A server was stopped whose WAL ends there. True where that was not known.
    mutating func tookDown(at positions: ShutdownPositions) -> Bool {
        defer { self.positions = positions }
        return self.positions != positions
    }

    /// Something is left to be done at the end of the plan.
    mutating func append(_ step: Step) { running.plan.steps.append(step) }

    /// Patience counts from the first question.
    mutating func receiptBegins(at now: BootInstant) { receiptUntil = receiptUntil ?? now + ReceiptRule.patience }
}
