public import ClusterModel

/// Why a decision was made, as data: logs, events and answers render it.
///
/// The reasons of a rule are an enum in the rule's file, each with its code, facts and sentence beside it: a new one is
/// an edit of that file. A new enum is a case here. docs/reasons.md lists the codes.
public enum Reason: Sendable, Hashable {
    case archive(ArchiveReason)
    case backoff(BackoffReason)
    case bootstrap(BootstrapReason)
    case candidate(CandidateReason)
    case eligibility(EligibilityReason)
    case failsafe(FailsafeReason)
    case follow(FollowReason)
    case hung(HungReason)
    case identity(IdentityReason)
    case lease(LeaseReason)
    case newcomer(NewcomerReason)
    case plan(PlanReason)
    case promotion(PromotionReason)
    case race(RaceReason)
    case rejoin(RejoinReason)
    case request(RequestReason)
    case rolling(RollingReason)
    case server(ServerReason)
    case serving(ServingReason)
    case slot(SlotReason)
    case store(StoreReason)
    case synchronous(SynchronousReason)
    case writes(WritesReason)
    /// Any rule may say it.
    case paused

    public var explanation: Explanation {
        switch self {
        case .archive(let reason): reason.explanation
        case .backoff(let reason): reason.explanation
        case .bootstrap(let reason): reason.explanation
        case .candidate(let reason): reason.explanation
        case .eligibility(let reason): reason.explanation
        case .failsafe(let reason): reason.explanation
        case .follow(let reason): reason.explanation
        case .hung(let reason): reason.explanation
        case .identity(let reason): reason.explanation
        case .lease(let reason): reason.explanation
        case .newcomer(let reason): reason.explanation
        case .plan(let reason): reason.explanation
        case .promotion(let reason): reason.explanation
        case .race(let reason): reason.explanation
        case .rejoin(let reason): reason.explanation
        case .request(let reason): reason.explanation
        case .rolling(let reason): reason.explanation
        case .server(let reason): reason.explanation
        case .serving(let reason): reason.explanation
        case .slot(let reason): reason.explanation
        case .store(let reason): reason.explanation
        case .synchronous(let reason): reason.explanation
        case .writes(let reason): reason.explanation
        case .paused: Explanation("paused", "the cluster is paused")
        }
    }

    /// What is wrong and what an operator can do about it, in sentences; nil where nothing waits for one.
    public var needsOperator: String? {
        switch self {
        case .archive(let reason): reason.needsOperator
        case .bootstrap(let reason): reason.needsOperator
        case .failsafe(let reason): reason.needsOperator
        case .follow(let reason): reason.needsOperator
        case .hung(let reason): reason.needsOperator
        case .identity(let reason): reason.needsOperator
        case .plan(let reason): reason.needsOperator
        case .promotion(let reason): reason.needsOperator
        case .race(let reason): reason.needsOperator
        case .rejoin(let reason): reason.needsOperator
        case .server(let reason): reason.needsOperator
        case .serving(let reason): reason.needsOperator
        case .backoff, .candidate, .eligibility, .lease, .newcomer, .request, .rolling, .slot, .store,
            .synchronous, .writes, .paused:
            nil
        }
    }

    /// What programs go by: it stays as it is when the sentence changes.
    public var code: String { explanation.code }

    /// `{"code": "leader-key-held-by", "facts": {"leader": "pg-b"}}`.
    public var json: JSONObject {
        let explanation = explanation
        return ["code": .string(explanation.code), "facts": .object(explanation.facts)]
    }
}

extension Reason: CustomStringConvertible {
    /// The sentence for the log. Parts of it are compared by other programs (observable-text.md §1); they are kept.
    public var description: String { explanation.sentence }
}

/// A reason in three ways: for programs, for whoever computes with it, and for people.
public struct Explanation: Sendable, Hashable {
    /// Lower case, with hyphens; stable.
    public var code: String
    /// What was compared: names, positions in bytes, times in seconds (`…_seconds`).
    public var facts: JSONObject
    public var sentence: String

    init(_ code: String, _ facts: JSONObject, _ sentence: String) {
        self.code = code
        self.facts = facts
        self.sentence = sentence
    }

    init(_ code: String, _ sentence: String) { self.init(code, [:], sentence) }
}

extension JSONValue {
    /// A fact that may not be known.
    static func fact(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }

    /// In seconds, to the tenth.
    static func fact(_ duration: Duration?) -> JSONValue {
        duration.map { .double(Double($0.nanoseconds / 100_000_000) / 10) } ?? .null
    }

    static func fact(_ position: WALPosition?) -> JSONValue { position?.json ?? .null }

    static func fact<Number: BinaryInteger>(_ number: Number) -> JSONValue { .int(Int64(clamping: number)) }
}

/// `12.3s`.
func seconds(_ duration: Duration) -> String {
    let tenths = duration.nanoseconds / 100_000_000
    return (tenths < 0 ? "-" : "") + "\(abs(tenths) / 10).\(abs(tenths) % 10)s"
}
