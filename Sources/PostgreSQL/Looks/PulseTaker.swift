import ClusterModel
import Glibc
import Posix
import Processes
import Synchronization

/// Takes the pulse of the running server on a thread of its own. It reads `/proc` and its own memory and looks at a
/// socket: no file of PostgreSQL's, no SQL, nothing that a dead disk or a hung server could hold up.
actor PulseTaker {
    /// Between two knocks at the door of a server that answers.
    static let knockInterval = Duration.seconds(10)
    /// What is owed for longer is reason to look at the processes.
    static let usual = Duration.milliseconds(200)

    private let instance: Instance
    private let executor: ThreadExecutor
    private var knock: Knock?
    private var knockedAt: BootInstant?
    private var work = ProcessWork()
    private var checkpointer = CheckpointerWork()
    private var pid: Int32?

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ instance: Instance) throws(SystemError) {
        self.instance = instance
        executor = try ThreadExecutor(name: "pg-pulse")
    }

    func take() -> Pulse? {
        guard let pid = instance.knownPostmaster() else {
            forget(nil)
            return nil
        }
        if pid != self.pid { forget(pid) }
        let now = BootClock.now()
        let owed = instance.owed()
        var pulse = Pulse(
            takenAt: now, postmaster: pid, unansweredSince: owed.unansweredSince,
            unflushedSince: owed.unflushedSince)
        pulse.checkpointer = lookAtCheckpointer(of: pid, now)
        let stat = ProcessTable.stat(pid)
        let isStopped = stat?.isStopped ?? false
        let isSilent = owed.unansweredSince.map { now - $0 >= Self.usual } ?? false
        pulse.closedSince = lookAtDoor(now, isSuspicious: isSilent || isStopped || stat?.state == "D")
        let isOwed = isSilent || isStopped || pulse.closedSince.map { now - $0 >= Self.usual } ?? false
        guard isOwed else {
            work = ProcessWork()
            return pulse
        }
        let tree = ProcessTable.tree(of: pid)
        pulse.processes = Pulse.Processes(
            total: tree.count, stopped: tree.count(where: \.stat.isStopped),
            uninterruptible: tree.count { $0.stat.state == "D" }, isPostmasterStopped: isStopped)
        pulse.stillSince = work.stillSince(tree, at: now)
        return pulse
    }

    private func forget(_ pid: Int32?) {
        self.pid = pid
        knock = nil
        knockedAt = nil
        work = ProcessWork()
        checkpointer = CheckpointerWork()
    }

    /// Of the process that the server named, as long as that is its child.
    private func lookAtCheckpointer(of postmaster: Int32, _ now: BootInstant) -> Pulse.Checkpointer? {
        guard let pid = instance.checkpointer(), let stat = ProcessTable.stat(pid), stat.parent == postmaster else {
            checkpointer = CheckpointerWork()
            return nil
        }
        return checkpointer.stuck(pid, state: stat.state, turns: ProcessTable.turns(pid), at: now)
    }

    /// Since when a knock has not been answered. Without a reason to ask, the server is asked seldom, and only where
    /// that leaves nothing in its log.
    private func lookAtDoor(_ now: BootInstant, isSuspicious: Bool) -> BootInstant? {
        if knock == nil, let door = instance.door() {
            let isDue = knockedAt.map { now - $0 >= Self.knockInterval } ?? true
            guard isSuspicious || isDue && door.isQuiet else { return nil }
            knock = Knock(at: door, now: now)
            knockedAt = now
        }
        guard knock != nil else { return nil }
        switch knock?.look() {
        case .none?: return knock?.since
        case .answered?, .nobody?, nil:
            knock = nil
            return nil
        }
    }
}

/// Whether the checkpointer stands still, by what the kernel counts each time that it gives a process a processor: who
/// has written one block, or has waited for one, and goes on to the next, was given one.
struct CheckpointerWork: Sendable, Hashable {
    private struct Look: Sendable, Hashable {
        var pid: Int32
        var isStopped: Bool
        var turns: UInt64
    }

    private var last: Look?
    private var since: BootInstant?

    /// Since when it is stopped, or in the kernel, and has had no turn. What sleeps, and what wants to run, does not
    /// stand still.
    mutating func stuck(_ pid: Int32, state: Character, turns: UInt64?, at now: BootInstant) -> Pulse.Checkpointer? {
        let isStopped = ProcessTable.Stat.isStopped(state)
        guard isStopped || state == "D", let turns else {
            last = nil
            return nil
        }
        let look = Look(pid: pid, isStopped: isStopped, turns: turns)
        if look != last { since = now }
        last = look
        return since.map { Pulse.Checkpointer(since: $0, isStopped: isStopped) }
    }
}

/// Whether the processes of a server work, by the time that they get from the processor.
struct ProcessWork: Sendable, Hashable {
    private var ticks: [Int32: UInt64] = [:]
    private var since: BootInstant?
    private var lookedAt: BootInstant?

    /// Since when none of `tree` has worked; nil where one did since the last look.
    mutating func stillSince(_ tree: [(pid: Int32, stat: ProcessTable.Stat)], at now: BootInstant) -> BootInstant? {
        let new = Dictionary(tree.map { ($0.pid, $0.stat.cpuTicks) }, uniquingKeysWith: { first, _ in first })
        defer {
            ticks = new
            lookedAt = now
        }
        // Ready to run, whether or not the kernel lets it: that is load.
        let wantsToRun = tree.contains { $0.stat.state == "R" }
        if wantsToRun || hasWorked(new, now) {
            since = nil
        } else if since == nil {
            since = now
        }
        return since
    }

    /// Some background process always wakes up for a moment: what counts is a twentieth of a processor, or a process
    /// that was not there before.
    private func hasWorked(_ new: [Int32: UInt64], _ now: BootInstant) -> Bool {
        guard let lookedAt else { return false }
        if new.keys.contains(where: { ticks[$0] == nil }) { return true }
        let spent = new.reduce(UInt64(0)) { $0 &+ ($1.value &- min($1.value, ticks[$1.key] ?? $1.value)) }
        let perSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return Double(spent) >= max(2, (now - lookedAt).inSeconds * perSecond / 20)
    }
}
