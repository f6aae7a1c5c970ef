import ClusterModel
import HighAvailability

/// What was seen of PostgreSQL tells nothing of the present for ever. Every request asks for facts of the last quarter
/// of a second, and an observation ends within two seconds; where none has come for longer than that, the node is
/// overloaded or stuck, and whoever balances by an old fact would be sent to a server of which nothing is known.
extension NodeSnapshot {
    static let factsLast = Duration.seconds(5)

    /// Whether the last observation is too old to answer by.
    func isExpired(at now: BootInstant) -> Bool { now - local.observedAt > Self.factsLast }

    /// The same without what is too old to be trusted: health checks then answer 503, and the state of a server that
    /// should run is `unknown`.
    func withoutExpiredFacts(at now: BootInstant) -> NodeSnapshot {
        guard isExpired(at: now), local.facts != nil || local.isFull else { return self }
        var copy = self
        copy.local.facts = nil
        copy.local.isFull = false
        return copy
    }
}

extension PublishedSnapshot {
    /// Likewise; the same piece while nothing has expired.
    func withoutExpiredFacts(at now: BootInstant) -> PublishedSnapshot {
        snapshot.isExpired(at: now) ? PublishedSnapshot(snapshot.withoutExpiredFacts(at: now)) : self
    }
}
