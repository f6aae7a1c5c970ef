import Synchronization

/// How many requests tasks may work on at once, over all loops.
final class AnswerSlots: Sendable {
    private let free: Mutex<Int>

    init(_ count: Int) { free = Mutex(max(1, count)) }

    /// Takes one; false when none is free.
    func take() -> Bool {
        free.withLock { free in
            if free == 0 { return false }
            free -= 1
            return true
        }
    }

    func giveBack() { free.withLock { $0 += 1 } }
}

/// The slots of each kind: readers that wait for a store that is away keep no command out, and neither keeps a health
/// check out.
struct AnswerSlotsByKind: Sendable {
    private let urgent: AnswerSlots
    private let reading: AnswerSlots
    private let changing: AnswerSlots

    init(_ configuration: HTTPServerConfiguration) {
        urgent = AnswerSlots(configuration.urgentAnswersMax)
        reading = AnswerSlots(configuration.readingAnswersMax)
        changing = AnswerSlots(configuration.changingAnswersMax)
    }

    subscript(_ kind: HTTPRequestKind) -> AnswerSlots {
        switch kind {
        case .urgent: urgent
        case .reading: reading
        case .changing: changing
        }
    }
}
