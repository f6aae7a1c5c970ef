import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// A plan that is being carried out.
@Suite struct ProgressTests {
    private let now = BootInstant(nanoseconds: 1_000_000_000)
    private var local: PostgreSQLStatus {
        PostgreSQLStatus(dataDirectory: .initialized, state: .stopped, observedAt: now)
    }

    private func begun(_ plan: Plan, claim: Revision? = nil) -> Plans {
        var plans = Plans()
        plans.begin(plan, local, claim: claim, at: now)
        return plans
    }

    @Test func stepsFollowOneAnother() {
        var plans = begun(Plan(.handOver, [.confirmReceipt(by: []), .releaseLeader]))
        #expect(plans.running?.currentStep == .confirmReceipt(by: []) && plans.running?.beganWritable == false)
        plans.running?.finishStep(at: now + .seconds(1))
        #expect(plans.running?.currentStep == .releaseLeader && plans.running?.stepBegan == now + .seconds(1))
        plans.running?.append(.publishBootstrap)
        #expect(plans.running?.rest == Plan(.handOver, [.releaseLeader, .publishBootstrap]))
        plans.running?.finishStep(at: now)
        #expect(plans.running?.currentStep == .publishBootstrap)
        plans.running?.finishStep(at: now)
        #expect(plans.running?.currentStep == nil)
    }

    /// An answer to an operation of an earlier plan is none of this one's.
    @Test func everyPlanHasItsNumber() {
        var plans = begun(Plan(.demote, []))
        let first = plans.end()
        let none = plans.end()
        plans.begin(Plan(.restart, []), local, claim: nil, at: now)
        #expect(first?.kind == .demote && none == nil && first?.number != plans.running?.number)
    }

    @Test func oneTakesOverAndNoOther() {
        var plans = begun(Plan(.restart, []))
        let takes = [Plan(.demote, []), Plan(.shutdown, [])].map { plans.running?.giveWay(to: $0, until: now) }
        #expect(takes == [true, false] && plans.running?.successor?.kind == .demote)
        #expect(plans.running?.brokenOffUntil == now)
    }

    @Test func patienceCountsFromTheFirstQuestion() {
        var plans = begun(Plan(.handOver, []))
        #expect(plans.running?.receiptUntil == nil)
        plans.running?.receiptBegins(at: now)
        plans.running?.receiptBegins(at: now + .seconds(3))
        #expect(plans.running?.receiptUntil == now + ReceiptRule.patience)
    }

    @Test func theEndOfTheWALIsNewsOnce() {
        var plans = begun(Plan(.handOver, []))
        let end = ShutdownPositions(checkpoint: WALPosition(9), required: WALPosition(8), timeline: 1)
        let news = (0..<2).map { _ in plans.running?.tookDown(at: end) }
        #expect(news == [true, false] && plans.running?.positions == end)
    }

    /// The mark in `/initialize` is taken away as long as it may be nobody's but ours.
    @Test func whatIsTakenBackOfANewCluster() {
        #expect(begun(bootstrapPlan(DynamicConfiguration()), claim: 7).running?.publication == .claimed(7))
        #expect(begun(bootstrapPlan(DynamicConfiguration())).running?.publication == nil)
        let claims = [Progress.Publication.claimed(1), .underWay(2), .unknown(3), .done].map(\.claim)
        #expect(claims == [1, 2, 3, nil])
    }
}
