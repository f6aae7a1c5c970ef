import ClusterModel
import HighAvailability
import Ports

/// What of a cluster, as the store shows it, commonly goes wrong.
enum ClusterRules {
    static func findings(_ view: ClusterView, _ condition: StoreCondition?) -> [Finding] {
        store(condition) + leader(view) + configuration(view) + slots(view) + succession(view) + members(view)
    }

    private static func store(_ condition: StoreCondition?) -> [Finding] {
        guard let condition else {
            return [
                Finding(
                    severity: .notice, what: "the store does not tell how it is",
                    remedy: "let the tool's user ask for members and alarms, or look at them there")
            ]
        }
        var found = condition.alarms.map { alarm in
            Finding(
                severity: .problem, what: "the store has raised an alarm: \(alarm.name)", remedy: alarm.remedy)
        }
        if condition.servers == 1 {
            found.append(
                Finding(
                    severity: .warning, what: "the store is a single server: its end is the end of every failover",
                    remedy: "run it on three machines or five"))
        } else if condition.servers % 2 == 0 {
            found.append(
                Finding(
                    severity: .notice,
                    what: "the store has \(condition.servers) servers, which survive no more than one fewer would",
                    remedy: "run it on an odd number of machines"))
        }
        return found
    }

    private static func leader(_ view: ClusterView) -> [Finding] {
        if view.members.isEmpty && view.initialize == .absent {
            return [
                Finding(
                    severity: .problem, what: "the store knows of no such cluster",
                    remedy: "compare scope and namespace with those of the members")
            ]
        }
        var found: [Finding] = []
        if view.leaderName == nil {
            found.append(
                Finding(
                    severity: .problem, what: "no member leads",
                    remedy: "see what the members say of it in their logs; failover names one by hand"))
        }
        if view.initialize == .inProgress {
            found.append(
                Finding(
                    severity: .warning, what: "a member is making the cluster, or has ended while it did",
                    remedy: "where it does not go on: remove the cluster's key initialize"))
        }
        if ClusterPicture.settings(view).isPaused {
            found.append(
                Finding(
                    severity: .warning, what: "the cluster is paused: nothing fails over",
                    remedy: "\(Program.name) resume, once the maintenance is done"))
        }
        return found
    }

    private static func configuration(_ view: ClusterView) -> [Finding] {
        guard let config = view.config else {
            return view.leaderName == nil
                ? []
                : [
                    Finding(
                        severity: .problem, what: "the cluster's configuration is gone from the store",
                        remedy: "the leader writes it anew at its next start; \(Program.name) edit-config needs it")
                ]
        }
        guard config.isValid,
            let settings = DynamicConfiguration(document: config.data, isShared: view.hasMembersOfPatroni)
        else {
            return [
                Finding(
                    severity: .problem, what: "the cluster's configuration cannot be read; the last good one goes on",
                    remedy: "\(Program.name) edit-config --replace FILE")
            ]
        }
        return settings.timingWarnings.map {
            Finding(
                severity: .warning, what: "the times do not fit into one another: \($0)",
                remedy: "let ttl be at least loop_wait + 2 * retry_timeout, and 5 * failsafe_timeout where that is set "
                    + "(\(Program.name) edit-config)")
        }
    }

    /// Slots that hold more WAL than this are told of.
    private static let heldBytesMax: Int64 = 1 << 30

    private static func slots(_ view: ClusterView) -> [Finding] {
        view.status.slots.sorted { $0.key < $1.key }.compactMap { name, position in
            let held = view.status.optime - position
            guard position != .zero, held > heldBytesMax else { return nil }
            return Finding(
                severity: .warning, what: "the slot \(name) holds back \(held >> 20) MB of WAL",
                remedy: "see why nobody reads from it, or drop it; max_slot_wal_keep_size is a limit for all")
        }
    }

    private static let lagBytesMax: Int64 = 100 << 20

    private static func members(_ view: ClusterView) -> [Finding] {
        var found: [Finding] = []
        for member in view.members where member.name != view.leaderName {
            if let position = member.replayedPosition ?? member.position, position != .zero,
                view.status.optime - position > lagBytesMax
            {
                found.append(
                    Finding(
                        severity: .warning,
                        what: "\(member.name) is \((view.status.optime - position) >> 20) MB behind",
                        remedy: "see its log, its disk and the network to whom it follows"))
            }
            if !member.isRunning {
                found.append(
                    Finding(
                        severity: .problem, what: "\(member.name) does not run: \(member.state ?? "it tells no state")",
                        remedy: "see its log; reinit copies it anew"))
            }
        }
        for member in view.members where member.data["pending_restart"]?.isTruthy == true {
            found.append(
                Finding(
                    severity: .notice, what: "settings of \(member.name) wait for a restart",
                    remedy: "\(Program.name) restart CLUSTER \(member.name) --pending"))
        }
        return found
    }

    /// Who would lead when the leader ends now, by what the store knows.
    private static func succession(_ view: ClusterView) -> [Finding] {
        guard let leader = view.leaderName else { return [] }
        let eligibility = Eligibility(view, ClusterPicture.settings(view))
        let untagged = eligibility.nameable(except: [leader])
        if untagged.isEmpty {
            return [
                Finding(
                    severity: .warning, what: "no member may take over from the leader",
                    remedy: "add a replica, or take the tag nofailover from one")
            ]
        }
        guard !untagged.contains(where: { eligibility.admits($0.name, .race) }) else { return [] }
        return [
            Finding(
                severity: .warning, what: "no member may take over from the leader: /sync names nobody else",
                remedy:
                    "see why no standby is synchronous: \(Program.name) list tells who streams, and nosync whose tag "
                    + "forbids it; \(Program.name) failover names one that may lack commits")
        ]
    }
}
