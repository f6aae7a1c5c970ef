/// Which connection ends for a new one where there is no room. Pure.
///
/// A source that holds more than an eighth of all loses its own first. Then, there or among all: who was refused and
/// lingers; of a share that is overfull, the oldest; the oldest that has dawdled for a second; who is idle after an
/// answer; and of those in their first second, who has begun a request and not ended it, unless these are so few that
/// the silent are the flood. The share comes last.
struct Eviction {
    let waits: TimeoutQueues
    let heaviest: Int?
    /// How many connections the share holds.
    let shareMax: Int
    let now: Int64

    /// Whoever has said nothing yet has so long to begin, in nanoseconds.
    static let firstSecond: Int64 = 1_000_000_000

    /// The slot of the connection; nil where none waits for anything.
    var victim: Int? {
        if let heaviest, let slot = victim(of: heaviest) { return slot }
        return victim(of: nil) ?? waits.oldest(.idleInShare)?.slot
    }

    private func victim(of source: Int?) -> Int? {
        if let refused = waits.oldest(.lingering, of: source) { return refused.slot }
        if waits.count(.idleInShare) > shareMax, let surplus = waits.oldest(.idleInShare, of: source) {
            return surplus.slot
        }
        if let dawdler = oldest([.silent, .handshaking, .reading, .writing], of: source),
            now - dawdler.since >= Eviction.firstSecond
        {
            return dawdler.slot
        }
        if let idle = waits.oldest(.idle, of: source) { return idle.slot }
        return newcomer(of: source) ?? waits.oldest(.writing, of: source)?.slot
    }

    private func newcomer(of source: Int?) -> Int? {
        let speaking = oldest([.reading, .handshaking], of: source)?.slot
        let silent = waits.oldest(.silent, of: source)?.slot
        let speakingCount = waits.count(.reading, of: source) + waits.count(.handshaking, of: source)
        let isFlood = speakingCount * 8 >= speakingCount + waits.count(.silent, of: source)
        return isFlood ? speaking ?? silent : silent ?? speaking
    }

    private func oldest(_ kinds: [TimeoutQueues.Wait], of source: Int?) -> (slot: Int, since: Int64)? {
        kinds.compactMap { waits.oldest($0, of: source) }.min { $0.since < $1.since }
    }
}
