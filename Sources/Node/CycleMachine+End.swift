import ClusterModel
import HighAvailability
import Ports

/// The end of the daemon.
extension CycleMachine {
    /// Between two operations, as a daemon that is killed; but no operation is cut off, and no answer is lost.
    mutating func leave(_ run: inout Run) {
        guard life == .leaving, progress == nil, !owesStart(at: run.now) else { return }
        run.log(.info, "the daemon ends; PostgreSQL and its guardian stay")
        life.end()
        run.emit(.local(.exit(code: 0)))
    }

    /// Who was stopped to hand over is started in pause only by who remembers that. What does not start in good time
    /// keeps no daemon from ending.
    private func owesStart(at now: BootInstant) -> Bool {
        settings.isPaused && memory.isHandingOver && memory.failedStarts == 0
            && now < sight.planEnded + settings.timings.retryTimeout
    }

    mutating func shutDown(_ run: inout Run) {
        // The next daemon would start nothing in pause. Who says it twice means now.
        if settings.isPaused, life == .running, let kind = progress?.kind, kind.startsAgain {
            life.leave()
            return run.log(
                .info, "the cluster is paused, and PostgreSQL is down for it: the daemon ends after \(kind.name)")
        }
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
