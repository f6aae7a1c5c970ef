import Testing

@testable import HTTPServer

/// What clients owe for handshakes that they did not finish, without a socket.
@Suite struct SignatureDebtTests {
    private static let second: Int64 = 1_000_000_000

    @Test func aCrowdThatFinishesOwesNothing() {
        var debt = SignatureDebt(bearable: 100)
        // A hundred are on their way at any time.
        for _ in 0..<100 { debt.owe(now: 0) }
        for _ in 0..<10_000 {
            debt.pay()
            debt.owe(now: 0)
        }
        #expect(!debt.isUnbearable(now: 0))
    }

    @Test func aFloodIsUnbearableAmongThoseWhoFinish() {
        var debt = SignatureDebt(bearable: 100)
        for index in 0..<202 {
            debt.owe(now: 0)
            if index % 2 == 0 { debt.pay() }
        }
        #expect(debt.isUnbearable(now: 0))
    }

    /// Half of what is bearable in a second, from four times what is bearable at most.
    @Test func aFloodIsForgotten() {
        var debt = SignatureDebt(bearable: 100)
        for _ in 0..<100_000 { debt.owe(now: Self.second) }
        #expect(debt.isUnbearable(now: 6 * Self.second))
        #expect(!debt.isUnbearable(now: 7 * Self.second))
        // What is forgiven is so by time, however often something is owed.
        for part in 0..<100 as Range<Int64> { debt.owe(now: 7 * Self.second + part * Self.second / 100) }
        for _ in 0..<50 { debt.owe(now: 8 * Self.second) }
        #expect(debt.isUnbearable(now: 8 * Self.second + Self.second * 9 / 10))
        #expect(!debt.isUnbearable(now: 10 * Self.second))
    }

    /// So few that are never paid for are nobody's flood: clients that refuse the certificate, or are cut off.
    @Test func fewAreForgivenAsTheyCome() {
        var debt = SignatureDebt(bearable: 100)
        for index in 0..<10_000 as Range<Int64> {
            debt.owe(now: index * Self.second / 49)
            #expect(!debt.isUnbearable(now: index * Self.second / 49))
        }
    }

    @Test(arguments: [0, 1, Int.min]) func somethingIsAlwaysBorne(_ bearable: Int) {
        var debt = SignatureDebt(bearable: bearable)
        debt.pay()
        debt.owe(now: 0)
        #expect(!debt.isUnbearable(now: 0))
        debt.owe(now: 0)
        #expect(debt.isUnbearable(now: 0))
    }
}
