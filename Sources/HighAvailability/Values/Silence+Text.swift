import ClusterModel

extension Silence: CustomStringConvertible {
    public var description: String {
        let length = "for \(Self.seconds(lasted)) of \(Self.seconds(bound))"
        switch kind {
        case .statements: return "PostgreSQL has not answered \(length)" + processesText
        case .connections: return "PostgreSQL has let nobody in \(length)" + processesText
        case .flushes: return "no WAL has reached the disk \(length), and sessions wait for it"
        case .checkpoints:
            let why = processes.stopped > 0 ? "is stopped" : "hangs in the kernel, as on a dead disk"
            return "no checkpoint can be made \(length): the checkpointer \(why)"
        case .observation: return "PostgreSQL could not be looked at \(length)"
        case .operation: return "what is under way has not returned \(length)"
        }
    }

    private var processesText: String {
        if processes.total == 0 { return "" }
        let parts = [
            processes.isPostmasterStopped ? "its postmaster is stopped" : "",
            processes.stopped > 0 ? "\(processes.stopped) of \(processes.total) processes are stopped" : "",
            processes.uninterruptible > 0 ? "\(processes.uninterruptible) hang in the kernel" : "",
            isStill ? "none does anything" : "some of them work",
        ]
        return ": " + parts.filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private static func seconds(_ duration: Duration) -> String {
        let tenths = (duration.inSeconds * 10).rounded() / 10
        return "\(tenths) s"
    }
}
