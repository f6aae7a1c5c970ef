import ClusterModel
import HighAvailability
import Ports

extension PostgreSQLError {
    /// Trying again would give the same.
    var isFinal: Bool {
        switch self {
        case .rewindRefused: true
        case .tool, .query, .timedOut, .cancelled, .failed: false
        }
    }
}

extension Memory {
    /// What a failed operation teaches: what to try next, and when again.
    mutating func learnFailure(
        of operation: PostgreSQLOperation?, in plan: Plan.Kind, _ text: String, isFinal: Bool, at now: BootInstant
    ) {
        switch operation {
        case .startPrimary?, .startStandby?:
            failedStarts += 1
            return starting.note(text, at: now, first: .seconds(1), longest: .seconds(10))
        case .rewind? where isFinal: return rewind = .failed(text)
        case .clone(let source, _)?:
            let earlier = failedCopies.flatMap { $0.source == source.name ? $0.times : nil } ?? 0
            failedCopies = .init(source: source.name, times: earlier + 1, last: now)
        case .copyLogicalSlots?: copying.why = text
        case .rewind?, .bootstrap?, .finishBootstrap?, .follow?, .resumeReplay?, .promote?, .stop?, .restart?,
            .recoverSingleUser?, .setAsideDataDirectory?, nil:
            break
        }
        // A source that died, a full disk, a network cut: the directory is what it was, or carries its mark.
        if plan == .rewind || plan == .reclone {
            rejoining.note(text, at: now, first: .seconds(5), longest: .seconds(300))
        }
    }
}
