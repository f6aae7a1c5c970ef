import ClusterModel

/// When the node looks and decides: the cycle that runs, and when the next one comes.
struct Schedule: Sendable {
    /// Nil while the node waits for the timer or for a wake-up.
    var cycle: Cycle?
    /// When the cycle that runs began, or the last one.
    private(set) var began: BootInstant
    private(set) var next: BootInstant
    private(set) var timer: BootInstant?
    /// The chores of a look between two cycles are done; once is enough, however often others ask for a look.
    private var isBetweenDone = false
    var backOff = BackOff()

    init(now: BootInstant) {
        began = now
        next = now
    }

    mutating func begin(at now: BootInstant) {
        cycle = Cycle(at: now)
        began = now
        isBetweenDone = false
    }

    /// True for the first look that comes so long after the last cycle began.
    mutating func isBetween(at now: BootInstant, after pause: Duration) -> Bool {
        guard !isBetweenDone, cycle == nil, now - began >= pause else { return false }
        isBetweenDone = true
        return true
    }

    /// True where another one is to follow at once.
    mutating func end(next: BootInstant) -> Bool {
        defer { cycle = nil }
        self.next = next
        return cycle?.again ?? false
    }

    mutating func moveNext(to instant: BootInstant) { next = instant }

    /// Never later than it would come anyway.
    mutating func hasten(to instant: BootInstant) { next = min(next, instant) }

    /// False where the timer stands there already.
    mutating func setsTimer(to instant: BootInstant) -> Bool {
        defer { timer = instant }
        return timer != instant
    }

    mutating func timerFired() { timer = nil }
}
