import ClusterModel
import Configuration
import HighAvailability

/// Plans of what changes more than one member.
extension ActionPlan {
    // MARK: Restarting all

    static func rollingRestart(
        _ picture: ClusterPicture, isForPending: Bool, names: [String] = []
    ) -> ActionPlan {
        var plan = ActionPlan(title: "rolling restart of \(picture.name)")
        let (view, settings) = (picture.view, picture.settings)
        var request = RollingRestartRequest()
        request.isForPending = isForPending
        if !names.isEmpty { request.members = names }
        do throws(RollingRestartRequest.Refusal) {
            // The members judge by the same rule.
            let rolling = try request.rollingRestart(view, settings, now: "")
            let names = rolling.entries.map(\.name)
            let leader = view.leaderName.flatMap { names.contains($0) ? $0 : nil }
            plan.steps = names.filter { $0 != leader }.map {
                "\($0): a checkpoint, a fast stop, a start; the next waits until it has caught up"
            }
            if let leader {
                plan.steps.append(
                    "\(leader) hands over to a member that could take over then, and restarts as a replica")
                plan.verdicts = view.members.filter { $0.name != leader }.map { member in
                    let against =
                        Candidacy.objections(member, picture, .switchover)
                        + [Candidacy.slotObjection(member)].compactMap(\.self)
                    return "\(member.name): "
                        + (against.isEmpty ? "could take over now" : against.joined(separator: "; "))
                }
                plan.clients.append("writes fail from the hand-over until the successor has been promoted")
            }
            plan.clients.insert("sessions on each member end when its turn comes", at: 0)
            if settings.synchronousMode != .off {
                plan.clients.append("where a synchronous standby restarts, commits may wait until another one is there")
            }
        } catch {
            plan.obstacles.append(error.text)
        }
        return plan
    }

    // MARK: The configuration

    /// Of `before` and `after`, what the members take up, and what would wait for a restart.
    static func editConfig(_ picture: ClusterPicture, before: JSONObject, after: JSONObject) -> ActionPlan {
        var plan = ActionPlan(title: "change of the configuration of \(picture.name)")
        let changes = paths(before, after)
        if changes.isEmpty { plan.obstacles.append("nothing would change") }
        // What the REST API would say of it, but for the trial by a PostgreSQL.
        let judgement = DynamicCheck.judge(after, inPlaceOf: before)
        plan.obstacles += judgement.objections.map(\.description)
        plan.steps = changes.map { "\($0.path.joined(separator: ".")): \($0.from) becomes \($0.to)" }
        let seconds = picture.settings.timings.loopWait.components.seconds
        plan.steps.append(
            "every member takes it up within \(seconds) s (loop_wait), and reloads PostgreSQL where it has to")
        plan.steps += judgement.remarks
        let waiting = changes.filter { $0.path.starts(with: ["postgresql", "parameters"]) && $0.path.count == 3 }
            .map { $0.path[2] }.filter(needsRestart.contains)
        if !waiting.isEmpty {
            plan.steps.append(
                "\(waiting.joined(separator: ", ")) would wait for a restart of PostgreSQL: rolling-restart --pending")
        }
        if changes.contains(where: { $0.path == ["ttl"] }) {
            plan.clients.append("the leader's lease has another length from its next renewal on")
        }
        if changes.contains(where: { $0.path.first?.hasPrefix("synchronous_") == true }) {
            plan.clients.append("commits wait for other standbys, or for none, as soon as /sync says so")
        }
        return plan
    }

    private struct Change {
        let path: [String]
        let from: String
        let to: String
    }

    private static func paths(_ before: JSONObject, _ after: JSONObject, under: [String] = []) -> [Change] {
        let keys = before.keys + after.keys.filter { before[$0] == nil }
        return keys.flatMap { key -> [Change] in
            let (old, new) = (before[key], after[key])
            if old == new { return [] }
            if let old = old?.object, let new = new?.object { return paths(old, new, under: under + [key]) }
            if old == nil, let new = new?.object { return paths([:], new, under: under + [key]) }
            if new == nil, let old = old?.object { return paths(old, [:], under: under + [key]) }
            let text = { (value: JSONValue?) in value.map { PythonText.json($0) } ?? "what is usual" }
            return [Change(path: under + [key], from: text(old), to: text(new))]
        }
    }

    /// What PostgreSQL reads only when it starts, of what is set now and then. The members tell of the rest by
    /// themselves, when it has been written.
    private static let needsRestart: Set<String> = [
        "archive_mode", "autovacuum_max_workers", "cluster_name", "hot_standby", "huge_pages", "listen_addresses",
        "max_connections", "max_files_per_process", "max_locks_per_transaction", "max_pred_locks_per_transaction",
        "max_prepared_transactions", "max_replication_slots", "max_wal_senders", "max_worker_processes", "port",
        "shared_buffers", "shared_memory_type", "shared_preload_libraries", "superuser_reserved_connections",
        "track_activity_query_size", "track_commit_timestamp", "unix_socket_directories", "wal_buffers", "wal_level",
        "wal_log_hints",
    ]

    // MARK: Another site

    static func demoteCluster(_ picture: ClusterPicture, section: JSONObject) -> ActionPlan {
        var plan = ActionPlan(title: "demotion of the cluster \(picture.name)")
        let view = picture.view
        if picture.settings.isStandbyCluster { plan.obstacles.append("it follows another cluster already") }
        guard let leader = view.leaderName else {
            plan.obstacles.append("no member leads")
            return plan
        }
        if section.isEmpty {
            plan.obstacles.append("at least --host, --port or --restore-command says what is followed")
        }
        plan.steps = [
            "standby_cluster is written into the configuration that the cluster shares",
            "\(leader) stops PostgreSQL, and starts again as a standby of the primary elsewhere",
            "the other members go on following \(leader)",
        ]
        plan.clients = [
            "sessions on \(leader) end, and nothing can be written on this cluster until promote-cluster",
            "what this cluster has and the primary elsewhere has not is lost, where \(leader) has to be rewound",
        ]
        return plan
    }
}
