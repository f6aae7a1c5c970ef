import Glibc
import Guardian
import Processes

extension Server {
    func signal(_ signal: Int32) {
        guard let postmaster else { return }
        // A child keeps its number until we collect it, and a watched process that ended is not signalled twice.
        if kill(postmaster.pid, signal) != 0 && errno != ESRCH {
            Log.line("signal \(signal) to \(postmaster.pid): \(Failure.reason())")
        }
    }

    /// SIGKILL for the postmaster and its processes; when to send it again.
    mutating func killAll(_ now: Int64, _ why: String) -> Int64 {
        guard let postmaster else { return .max }
        // Stopped, it makes no more children. They go first: they are known by their parent.
        signal(SIGSTOP)
        for pid in ProcessTable.servers(of: postmaster.pid, programs: programs) { kill(pid, SIGKILL) }
        signal(SIGKILL)
        if stop?.wasKilled != true || stop?.postmaster != postmaster.pid {
            let at = stop?.postmaster == postmaster.pid ? stop?.at : nil
            stop = GuardianReply.Stop(at: at ?? now, postmaster: postmaster.pid, wasKilled: true)
            Log.line("\(why): SIGKILL to postmaster \(postmaster.pid) and all its processes")
        }
        return now + pace.pause(now)
    }

    /// What a postmaster that is gone has left is a child of ours by now; true where there was any.
    func killOrphans() -> Bool {
        let orphans = ProcessTable.servers(of: getpid(), programs: programs)
        for pid in orphans { kill(pid, SIGKILL) }
        return !orphans.isEmpty
    }
}
