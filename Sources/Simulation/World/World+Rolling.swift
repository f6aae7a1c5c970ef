import ClusterModel
import HighAvailability
import Ports

/// Rolling restarts: asked for by operators, and carried out by whoever leads.
extension World {
    /// A rolling restart is under way, as the store has it.
    var isRolling: Bool {
        mutating get { store.view(now).rollingRestart?.state == .running }
    }

    /// What the API of any node would refuse is not asked for.
    mutating func requestRollingRestart() {
        guard storeIsDown == 0 else { return }
        let view = store.view(now)
        let settings = view.config.flatMap { DynamicConfiguration(document: $0.data) } ?? DynamicConfiguration()
        var request = RollingRestartRequest()
        switch view.rollingRestart?.state {
        case .failed?, .calledOff?: request.resumes = true
        case .running?:
            // Somebody calls off what is under way, some time.
            guard generator.oneIn(4), var rolling = view.rollingRestart else { return }
            rolling.state = .calledOff
            rolling.turn = nil
            return putRolling(rolling)
        case .done?, nil: break
        }
        guard let rolling = try? request.rollingRestart(view, settings, now: "\(events)") else { return }
        note("a rolling restart is asked for")
        putRolling(rolling)
    }

    private mutating func putRolling(_ rolling: RollingRestart) {
        rollingDriver = nil
        store.put(DCSKey.rollingRestart.rawValue, .object(rolling.json))
        tellWatchers()
    }

    /// A node has written where it stands.
    mutating func followRolling(by index: Int) {
        guard let rolling = store.view(now).rollingRestart else { return }
        switch rolling.state {
        case .running:
            if let rollingDriver, rollingDriver != index { coverage.count(.rollingInherited) }
            rollingDriver = index
        case .failed: coverage.count(.rollingStopped)
        case .done:
            coverage.count(.rollingDone)
            checkRolled(rolling)
        case .calledOff: break
        }
        note("the rolling restart: \(rolling.state.rawValue)" + (rolling.turn.map { ", \($0.member)" } ?? ""))
    }

    /// What counts as done was done: no server is the one that was there when it was asked for.
    private mutating func checkRolled(_ rolling: RollingRestart) {
        for entry in rolling.entries {
            guard let index = index(of: entry.name), nodes[index].postgreSQL.process == .running else { continue }
            if "start \(nodes[index].postgreSQL.pid)" == entry.startedAt {
                violate(.progress, "\(entry.name) counts as restarted and was not")
            }
        }
    }

    /// With nothing wrong any more a rolling restart comes to its end, or says why not.
    mutating func lookForRollingEnd(_ since: BootInstant) {
        // One that waits for what never comes gives up by itself, after the time for one member.
        let patience = Duration.seconds(800) + .seconds(60 * nodes.count)
        if now - since > Self.wholeBound + patience { violate(.L2, "a rolling restart neither goes on nor stops") }
    }
}
