import ClusterModel
import HighAvailability

/// Whether a member could take over, as far as the store tells: the members themselves judge again when it comes to it.
enum Candidacy {
    /// Whether the leader hands over by itself, or is gone or not asked.
    enum Occasion: String, Sendable, Hashable {
        case switchover, failover

        var succession: Eligibility.Succession {
            switch self {
            case .switchover: .handOver
            case .failover: .manualFailover
            }
        }
    }

    /// What stands against `member`; empty where nothing does.
    static func objections(_ member: Member, _ picture: ClusterPicture, _ occasion: Occasion) -> [String] {
        let (view, settings) = (picture.view, picture.settings)
        if member.name == view.leaderName { return ["it leads"] }
        var found: [String] = []
        if !member.isRunning { found.append("it does not run (\(member.state ?? "it tells no state"))") }
        if member.apiURL == nil { found.append("it has no API that could be asked") }
        let position = member.position ?? member.receivedPosition ?? .zero
        let lag = view.status.optime - position
        if lag > settings.maximumLagOnFailover {
            found.append(
                "it is \(lag) bytes behind, and maximum_lag_on_failover is \(settings.maximumLagOnFailover)")
        }
        if settings.checkTimeline, let timeline = member.timeline, timeline < view.timeline {
            found.append("it is on timeline \(timeline), and the cluster on \(view.timeline)")
        }
        found += Eligibility(view, settings).obstacles(to: member, occasion.succession).map { obstacle in
            switch obstacle {
            case .notAllowedToPromote: "its tags forbid it (nofailover, or failover_priority 0)"
            case .notInSynchronousSet: "it is not synchronous: commits may not have reached it"
            case .notInFailsafe: "it is not in /failsafe: a leader without the store would not ask it"
            }
        }
        return found
    }

    /// What a promotion of `member` would break for others than the cluster: it could be promoted, and readers of
    /// logical slots would miss changes there. The leader does not know of it; the member says so itself.
    static func slotObjection(_ member: Member) -> String? {
        let names = member.unreadySlots
        if names.isEmpty { return nil }
        return "its logical slots are not ready (\(names.joined(separator: ", "))): their readers would miss changes"
    }
}
