import ClusterModel
import Testing

/// Times that come from outside must not overflow anything: a request that ends the daemon would be a request that ends
/// the lease.
@Suite struct ExtremeTimeTests {
    @Test(arguments: [
        ("9999-12-31T23:59:59Z", false), ("2262-01-01T00:00:00Z", false), ("2261-12-31T23:59:60.999999999-18:59", true),
        ("1969-12-31T23:59:59Z", true), ("1970-01-01T00:00:00+18:59", true), ("0000-01-01T00:00:00Z", false),
        ("1700-01-01T00:00:00+18:59", true), ("1699-12-31T23:59:59Z", false),
    ])
    func years(_ text: String, _ isRead: Bool) {
        let timestamp = Timestamp(text)
        #expect((timestamp != nil) == isRead)
        if let timestamp { #expect(!timestamp.text.isEmpty) }
    }

    @Test func instantsAreCut() {
        let now = BootInstant(nanoseconds: 1_000)
        let ever = Duration.seconds(Int64.max)
        #expect(now + ever == BootInstant(nanoseconds: .max))
        #expect(now - ever == BootInstant(nanoseconds: 1_000 - Int64.max))
        #expect(BootInstant(nanoseconds: -5_000) - ever == BootInstant(nanoseconds: .min))
        #expect(now - Duration.seconds(Int64.min) == BootInstant(nanoseconds: .max))
        #expect((Duration.seconds(9_223_372_036) + .milliseconds(999)).nanoseconds == .max)
        #expect((Duration.seconds(-9_223_372_036) - .milliseconds(999)).nanoseconds == .min)
    }

    /// A request for the year 1700 in `/failover` is read by every daemon.
    @Test func latenessIsCut() throws {
        let early = try #require(Timestamp("1700-01-01T00:00:00Z"))
        #expect(early.lateness(at: 1_900_000_000_000_000_000) == .nanoseconds(Int64.max))
        #expect(early.lateness(at: early.nanosecondsSinceEpoch + 5) == .nanoseconds(5))
        let late = try #require(Timestamp("2261-01-01T00:00:00Z"))
        #expect(late.lateness(at: -1_900_000_000_000_000_000) == .nanoseconds(Int64.min))
    }
}
