import ClusterModel
import HighAvailability
import Testing

@testable import Node

/// When there is a cycle.
@Suite struct ScheduleTests {
    private let now = BootInstant(nanoseconds: 1_000_000_000)

    @Test func aCycleLeavesNothingForTheNext() {
        var schedule = Schedule(now: now)
        schedule.begin(at: now + .seconds(1))
        schedule.cycle?.again = true
        schedule.cycle?.answers.renewal = .held
        let isAgain = schedule.end(next: now + .seconds(10))
        #expect(isAgain && schedule.cycle == nil)
        schedule.begin(at: now + .seconds(2))
        #expect(
            schedule.cycle?.answers.renewal == nil && schedule.cycle?.stage == .observing(local: false, store: false))
        let isAgainLater = schedule.end(next: now + .seconds(10))
        #expect(!isAgainLater && schedule.began == now + .seconds(2))
    }

    @Test func whatHappensMeanwhileNeverPutsACycleOff() {
        var schedule = Schedule(now: now)
        _ = schedule.end(next: now + .seconds(10))
        schedule.hasten(to: now + .seconds(20))
        #expect(schedule.next == now + .seconds(10))
        schedule.hasten(to: now + .seconds(3))
        #expect(schedule.next == now + .seconds(3))
    }

    @Test func theTimerIsSetOnce() {
        var schedule = Schedule(now: now)
        let set = [schedule.setsTimer(to: now), schedule.setsTimer(to: now), schedule.setsTimer(to: now + .seconds(1))]
        #expect(set == [true, false, true])
        schedule.timerFired()
        let again = schedule.setsTimer(to: now + .seconds(1))
        #expect(again)
    }
}
