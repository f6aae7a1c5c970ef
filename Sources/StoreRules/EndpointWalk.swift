public import ClusterModel

/// One call's way through the endpoints: one after the other, round by round, until one answers, etcd itself refuses,
/// or time is up (dcs.md §5.7, 5.8).
public struct EndpointWalk: Sendable, Hashable {
    /// What comes next.
    public enum Step: Sendable, Hashable {
        /// Ask this one, until `limit` at most.
        case ask(EtcdEndpoint, limit: BootInstant)
        /// None of a round has answered: the next one begins after this.
        case pause(Duration)
        /// No time is left.
        case exhausted
    }

    private let deadline: BootInstant
    private let retryTimeout: Duration
    /// Who is asked in this round, and how long; nil before it begins.
    private var plan: AttemptPlan?
    private var order: [EtcdEndpoint] = []
    private var tried = 0
    private var hasAsked = false
    private var round = 0

    /// A call that has not asked anybody yet.
    public init(deadline: BootInstant, retryTimeout: Duration) {
        self.deadline = deadline
        self.retryTimeout = retryTimeout
    }

    /// The step after all that were asked have failed. A round that is over turns `endpoints`.
    public mutating func next(
        _ endpoints: inout EndpointList, at now: BootInstant, jitter: inout JitterSource
    ) -> Step {
        let plan: AttemptPlan
        if let begun = self.plan {
            plan = begun
        } else {
            order = endpoints.order
            plan = AttemptPlan.sharing(deadline - now, among: order.count, retryTimeout: retryTimeout)
            tried = 0
            self.plan = plan
        }
        let limit = min(deadline, now + plan.timeout)
        if tried < min(plan.nodes, order.count), limit > now {
            tried += 1
            hasAsked = true
            return .ask(order[tried - 1], limit: limit)
        }
        guard hasAsked else { return .exhausted }
        endpoints.allFailed(tried: plan.nodes)
        self.plan = nil
        let pause = RetryPause.length(round: round, jitter: jitter.next(), retryTimeout: retryTimeout)
        round += 1
        return now + pause >= deadline ? .exhausted : .pause(pause)
    }
}
