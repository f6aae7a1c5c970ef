import ClusterModel
import HighAvailability
import Ports

/// Comparisons with a leader that give the same again and again: each costs both sides connections, and is asked for in
/// every cycle for as long as the node does not stream. The next one waits, each time a longer while, unless something
/// that it rests on has changed.
struct Comparisons: Sendable {
    static let firstPause = Duration.seconds(1)
    static let longestPause = Duration.seconds(30)

    /// What an answer rests on, as far as it is known without asking.
    private struct Scene: Sendable, Hashable {
        var leader: String?
        var leaderAddress: HostPort?
        /// Who is asked in its place.
        var elsewhere: StandbyCluster?
        var leaderTimeline: TimelineID?
        var leaderRole: NodeRole?
        var checkpointAfterPromote: Bool?
        var postmaster: Int32?
        var control: ControlData?
        var unfinished: PostgreSQLStatus.UnfinishedWork?
        var timeline: TimelineID?
        var position: WALPosition?

        init(_ seen: Observation) {
            let member = seen.view?.leaderMember
            leader = member?.name
            elsewhere = seen.settings.standbyCluster
            leaderAddress = member.flatMap { Upstream($0)?.address }
            leaderTimeline = member?.timeline
            leaderRole = member?.role
            checkpointAfterPromote = member?.checkpointAfterPromote
            postmaster = seen.local.postmaster
            control = seen.local.control
            unfinished = seen.local.unfinished
            timeline = seen.local.facts?.timeline
            position = seen.local.facts?.position
        }
    }

    private var scene: Scene?
    private var last: Observation.Divergence?
    private var retries = Memory.Retries()
    /// When the last answer was given.
    private(set) var comparedAt: BootInstant?

    /// The last answer, where the scene is still its own and the next question is not due; nil otherwise.
    func answer(for seen: Observation) -> Observation.Divergence? {
        guard let last, let notBefore = retries.notBefore, seen.now < notBefore, scene == Scene(seen) else {
            return nil
        }
        return last
    }

    mutating func note(_ answer: Observation.Divergence, in seen: Observation) {
        let scene = Scene(seen)
        if self.scene != scene { retries = Memory.Retries() }
        self.scene = scene
        last = answer
        comparedAt = seen.now
        retries.note("", at: seen.now, first: Self.firstPause, longest: Self.longestPause)
    }
}
