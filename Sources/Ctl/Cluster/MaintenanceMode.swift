import ClusterModel
import HTTPClient

/// The `pause` of the dynamic configuration, and how it comes to be known (ctl.md §11).
enum MaintenanceMode {
    static func set(_ paused: Bool, _ options: PauseOptions, _ session: Session) async throws {
        let group = options.group.number ?? session.group
        let cluster = try Cluster(try session.clusterName(options.clusterName), group: group, session)
        let picture = try await cluster.load()
        if picture.settings.isPaused == paused {
            throw CtlError.refused("Cluster is \(paused ? "already" : "not") paused")
        }
        let body: JSONObject = ["pause": paused ? true : .null]
        session.terminal.setInterruptionNote(
            "A member may have been asked already: \(Program.name) list shows whether the cluster is paused.")
        guard let answer = try await ask(body, picture, session) else {
            throw CtlError.refused("Can not find accessible cluster member")
        }
        guard answer.status == 200 else {
            let word = paused ? "pause" : "resume"
            let text = "Failed: \(word) cluster management status code=\(answer.status), (\(answer.body))\n"
            return session.terminal.write(text)
        }
        if options.isWaiting { try await wait(paused, cluster, picture, session) }
        session.terminal.write("Success: cluster management is \(paused ? "paused" : "resumed")\n")
    }

    private static func ask(
        _ body: JSONObject, _ picture: ClusterPicture, _ session: Session
    ) async throws -> MemberClient.Answer? {
        let client = try MemberClient(session)
        for member in picture.leaderFirst {
            do throws(HTTPClientError) {
                return try await client.send("PATCH", "config", to: member, body: body)
            } catch {
                session.warn("\(error)")
                session.warn("Member \(member.name) is not accessible")
            }
        }
        return nil
    }

    /// Those whose key has not changed since are taken for dead: nobody can wait for them.
    private static func wait(
        _ paused: Bool, _ cluster: Cluster, _ picture: ClusterPicture, _ session: Session
    ) async throws {
        let word = paused ? "pause" : "resume"
        session.terminal.write("'\(word)' request sent, waiting until it is recognized by all nodes\n")
        session.terminal.setInterruptionNote("The request was accepted; members take it up with their next cycle.")
        let before = picture.view.members.filter { $0.apiURL != nil }
        let loopWait = picture.settings.timings.loopWait
        let deadline = session.now + loopWait + .seconds(1)
        while true {
            let now = try await cluster.load().view
            let behind = before.compactMap { now.member($0.name) }.filter { $0.isPaused != paused }
            if behind.isEmpty { return }
            guard session.now >= deadline else {
                await session.pause(.seconds(1))
                continue
            }
            let alive = behind.filter { member in picture.view.member(member.name)?.revision != member.revision }
            if alive.isEmpty { return }
            let seconds = loopWait.components.seconds
            session.terminal.write(
                "\(MemberSelection.names(alive)) members didn't recognized pause state after \(seconds) seconds\n")
            throw CtlError.ended(0)
        }
    }
}
