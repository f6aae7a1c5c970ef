import ClusterModel
import HighAvailability
import Ports

/// One cycle: when it began, and what the rules have asked in it. Nothing of it is left for the next one.
struct Cycle: Sendable {
    /// A rule that asks more than this in one cycle waits for the next.
    static let mostQuestions = 8

    let began: BootInstant
    private var asked = 0
    var renewal: Observation.Renewal?
    var peers: [String: PeerAnswer]?
    var divergence: Observation.Divergence?

    init(began: BootInstant) { self.began = began }

    /// Counts a question; false where it is one too many.
    mutating func mayAsk() -> Bool {
        asked += 1
        return asked <= Self.mostQuestions
    }
}
