/// `failsafe_timeout`, a setting of ours: how long a primary without the store waits for the word of the others. It is
/// between the end of the requests to the store and `stopBy`, so its bounds follow from the ttl (docs/failsafe.md). S1
/// does not depend on it: what comes after `stopBy` counts for nothing, whatever stands here.
extension LeaseArithmetic {
    /// A packet that is lost on the way to one member must not cost the primary: a round trip, and a second
    /// transmission.
    public static let failsafePatienceMin = Duration.milliseconds(500)

    /// More would take from the store what it needs to answer a renewal. At a ttl of 3 s, the least, that is 0.6 s.
    public static func failsafePatienceMax(ttl: Duration) -> Duration { ttl / 5 }

    /// How long the others' word is waited for under a lease of `ttl`, which may be another than the configured one.
    public static func failsafePatience(_ timings: ClusterTimings, ttl: Duration) -> Duration {
        min(timings.failsafeTimeout ?? peerPatience(ttl: ttl), failsafePatienceMax(ttl: ttl))
    }
}

extension ClusterTimings {
    static let failsafeTimeoutKey = "failsafe_timeout"

    /// As it counts, and what was adjusted. A value that is no time counts as none, as of other keys.
    static func failsafeTimeout(_ document: JSONObject, ttl: Duration) -> (timeout: Duration?, warning: String?) {
        guard let seconds = ValueParsing.real(document[failsafeTimeoutKey]), seconds.isFinite else { return (nil, nil) }
        let (least, most) = failsafeTimeoutBounds(ttl: ttl)
        let counts = min(max(seconds, least), most)
        let timeout = Duration.milliseconds(Int64((counts * 1000).rounded()))
        if counts == seconds { return (timeout, nil) }
        return (
            timeout,
            "failsafe_timeout=\(text(seconds)) must be between \(text(least)) and \(text(most)) (a fifth of ttl), "
                + "adjusting to \(text(counts))"
        )
    }

    /// Why `failsafe_timeout` of `document` is not taken: it is outside of the bounds that the ttl sets, and was not
    /// before. Who makes the ttl shorter is told, too.
    static func objection(
        toFailsafeTimeoutOf document: JSONObject, inPlaceOf present: JSONObject
    ) -> DynamicDocumentRules.Objection? {
        guard let value = document[failsafeTimeoutKey], let seconds = ValueParsing.real(value),
            let ttl = (try? adjusted(document: document))?.timings.ttl,
            failsafeTimeout(document, ttl: ttl).warning != nil || !seconds.isFinite
        else { return nil }
        if value == present[failsafeTimeoutKey], let before = (try? adjusted(document: present))?.timings.ttl,
            failsafeTimeout(present, ttl: before).warning != nil
        {
            return nil
        }
        let (least, most) = failsafeTimeoutBounds(ttl: ttl)
        return DynamicDocumentRules.Objection(
            key: failsafeTimeoutKey,
            reason: "found \(value.comparableText), allowed is at least \(text(least)) and at most \(text(most)) "
                + "seconds, a fifth of ttl")
    }

    private static func failsafeTimeoutBounds(ttl: Duration) -> (least: Double, most: Double) {
        (LeaseArithmetic.failsafePatienceMin.inSeconds, LeaseArithmetic.failsafePatienceMax(ttl: ttl).inSeconds)
    }

    /// `2`, or `0.5`.
    private static func text(_ seconds: Double) -> String {
        seconds.magnitude < 1e15 && seconds == seconds.rounded() ? "\(Int64(seconds))" : "\(seconds)"
    }
}
