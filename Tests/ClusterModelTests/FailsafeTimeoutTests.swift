import ClusterModel
import Testing

/// `failsafe_timeout`: its bounds, what becomes of what is outside of them, and what a lease makes of it.
@Suite struct FailsafeTimeoutTests {
    private static func timings(_ value: JSONValue?, ttl: Int64 = 30) throws -> (Duration?, [String]) {
        var document: JSONObject = ["ttl": .int(ttl), "loop_wait": 1, "retry_timeout": .int(ttl < 20 ? 1 : 3)]
        document["failsafe_timeout"] = value
        let found = try ClusterTimings.adjusted(document: document)
        return (found.timings.failsafeTimeout, found.warnings)
    }

    @Test(
        arguments: [
            (nil, 30, nil), (.int(2), 30, 2000), (.int(6), 30, 6000), (.double(0.5), 30, 500),
            (.string("1.1"), 30, 1100),
            (.double(0.6), 3, 600), (.double(1.4), 7, 1400), (.null, 30, nil), (.bool(true), 30, nil),
            ("soon", 30, nil),
        ] as [(JSONValue?, Int64, Int64?)])
    func whatIsWithinTheBoundsCounts(_ value: JSONValue?, ttl: Int64, milliseconds: Int64?) throws {
        let (timeout, warnings) = try Self.timings(value, ttl: ttl)
        #expect(timeout == milliseconds.map { .milliseconds($0) } && warnings.isEmpty)
    }

    @Test(
        arguments: [
            (.double(6.1), 30, 6000, "failsafe_timeout=6.1 must be between 0.5 and 6 (a fifth of ttl), adjusting to 6"),
            (0, 30, 500, "adjusting to 0.5"), (-3, 30, 500, "adjusting to 0.5"), (2, 5, 1000, "adjusting to 1"),
            (.double(1e300), 3, 600, "adjusting to 0.6"), (.int(.min), 30, 500, "adjusting to 0.5"),
        ] as [(JSONValue, Int64, Int64, String)])
    func whatIsOutsideIsBroughtWithinAndTold(
        _ value: JSONValue, ttl: Int64, milliseconds: Int64, told: String
    ) throws {
        let (timeout, warnings) = try Self.timings(value, ttl: ttl)
        #expect(timeout == .milliseconds(milliseconds))
        #expect(warnings.count == 1 && warnings[0].hasSuffix(told), "\(warnings)")
    }

    @Test func aTTLThatIsRaisedRaisesTheBound() throws {
        let document: JSONObject = ["ttl": 5, "failsafe_timeout": 4]
        #expect(try ClusterTimings.adjusted(document: document).timings.failsafeTimeout == .seconds(1))
        #expect(try ClusterTimings.adjusted(document: document, isShared: true).timings.failsafeTimeout == .seconds(4))
    }

    @Test(
        arguments: [
            (["failsafe_timeout": 7], [:], "found 7, allowed is at least 0.5 and at most 6 seconds, a fifth of ttl"),
            (
                ["failsafe_timeout": 4, "ttl": 10, "loop_wait": 2, "retry_timeout": 4], ["failsafe_timeout": 4],
                "found 4"
            ),
            (["failsafe_timeout": 0], ["failsafe_timeout": 9], "found 0"),
            (["failsafe_timeout": 6], [:], nil), (["failsafe_timeout": 0.5], ["failsafe_timeout": 9], nil),
            // It stands there already, and something else is changed.
            (["failsafe_timeout": 9, "pause": true], ["failsafe_timeout": 9], nil), (["ttl": 60], ["ttl": 30], nil),
            // Whose times are none is refused for that.
            (["failsafe_timeout": 9, "ttl": "long"], [:], nil),
        ] as [(JSONObject, JSONObject, String?)])
    func whatIsRefused(_ document: JSONObject, inPlaceOf present: JSONObject, why: String?) {
        let found = DynamicDocumentRules.objections(to: document, inPlaceOf: present)
        #expect(found.map(\.key) == (why == nil ? [] : ["failsafe_timeout"]))
        if let why { #expect(found.first?.reason.hasPrefix(why) == true, "\(found)") }
    }

    /// Whatever is set: the store has its time after a renewal is due, and the answers come before `stopBy`.
    @Test(arguments: 3...60) func theLeaseHasRoomForBoth(ttl: Int64) throws {
        let lease = Lease(since: BootInstant(nanoseconds: 0), ttl: .seconds(ttl))
        for value in [nil, .double(0.5), .int(ttl), .double(1e9)] as [JSONValue?] {
            var document: JSONObject = ["ttl": .int(ttl)]
            document["failsafe_timeout"] = value
            let timings = try ClusterTimings.adjusted(document: document).timings
            let patience = LeaseArithmetic.failsafePatience(timings, ttl: lease.ttl)
            #expect(patience >= .milliseconds(500) && patience <= lease.ttl / 5)
            let due = lease.since + LeaseArithmetic.renewalInterval(timings)
            let askBy = LeaseArithmetic.askBy(lease, timings)
            #expect(askBy + patience == LeaseArithmetic.stopBy(lease))
            #expect(askBy - due >= lease.ttl / 5)
        }
        #expect(LeaseArithmetic.failsafePatience(ClusterTimings(), ttl: .seconds(ttl)) <= .seconds(2))
    }

    /// A lease may be shorter than `/config` says by now.
    @Test func aShorterLeaseHasAShorterPatience() {
        let timings = ClusterTimings(failsafeTimeout: .seconds(6))
        #expect(LeaseArithmetic.failsafePatience(timings, ttl: .seconds(30)) == .seconds(6))
        #expect(LeaseArithmetic.failsafePatience(timings, ttl: .seconds(10)) == .seconds(2))
    }
}
