import ClusterModel
import Testing

@testable import PostgreSQL

@Suite("A question that fails again and again") struct TroubleTests {
    private func at(_ seconds: Int64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func isToldOnceAMinuteAndAskedOnceASecond() {
        var trouble = Trouble()
        #expect(trouble.isDue(at: at(10)))
        let told = (10..<130).filter { trouble.fails("a", at: at($0)) }
        #expect(told == [10, 70])
        #expect(!trouble.isDue(at: at(133)))
        #expect(trouble.isDue(at: at(134)))
    }

    @Test func isAskedMoreSeldomWhereItFailsOnAndOn() {
        var trouble = Trouble()
        let asked = (Int64(0)..<100).filter { second in
            guard trouble.isDue(at: at(second)) else { return false }
            _ = trouble.fails("a", at: at(second))
            return true
        }
        #expect(asked == Array(Int64(0)..<30) + Array(stride(from: Int64(34), to: 100, by: 5)))
    }

    /// Two that take turns are two lines, not one for each turn.
    @Test func isToldWhenItsTextChanges() {
        var trouble = Trouble()
        let told = (0..<50).filter { trouble.fails($0 % 2 == 0 ? "a" : "b", at: at($0)) }
        #expect(told == [0, 1])
        let isNew = trouble.fails("c", at: at(50))
        #expect(isNew)
    }

    @Test func itsEndIsToldOnce() {
        var trouble = Trouble()
        var ends = [trouble.ends()]
        _ = trouble.fails("a", at: at(1))
        ends += [trouble.ends(), trouble.ends()]
        #expect(ends == [false, true, false])
        #expect(trouble.isDue(at: at(1)))
        let isNew = trouble.fails("a", at: at(2))
        #expect(isNew)
    }
}
