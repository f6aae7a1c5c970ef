import ClusterModel
import HighAvailability
import Ports

/// The end of the daemon.
extension CycleMachine {
    /// Between two operations, as a daemon that is killed; but no operation is cut off, and no answer is lost.
    mutating func leave(_ run: inout Run) {
        guard life == .leaving, progress == nil else { return }
        run.log(.info, "the daemon ends; PostgreSQL and its guardian stay")
        life.end()
        run.emit(.local(.exit(code: 0)))
    }

    mutating func shutDown(_ run: inout Run) {
        life.shutDown()
        if settings.isPaused {
            run.log(.info, "the cluster is paused: PostgreSQL and the leader key are left as they are")
            return end(&run)
        }
        let plan = shutdownPlan(me, view, settings, isLeading: isLeading)
        guard let progress else { return begin(plan, &run) }
        if progress.kind != .shutdown, progress.successor?.kind != .shutdown { breakOff(for: plan, &run) }
    }

    mutating func end(_ run: inout Run) {
        // The member key tells the others that we stopped; it ends with the session.
        if local.dataDirectory == .initialized && !settings.isPaused {
            sight.assumeGone()
            if namesake == nil { run.emit(touch(run)) }
        }
        life.end()
        run.isNews = true
        run.emit(.local(.exit(code: life.exitCode)))
    }
}
