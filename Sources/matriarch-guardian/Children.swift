import CGuardian
import Glibc
import Guardian
import Processes

/// Starting programs.
enum Children {
    /// Starts a child; its pid.
    static func spawn(_ launch: GuardianRequest.Launch, deathSignal: Int32) throws(Failure) -> Int32 {
        var arguments: [UnsafeMutablePointer<CChar>?] = launch.arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = launch.environment.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        var pid: pid_t = 0
        let code = gd_spawn(
            launch.executable, &arguments, &environment, launch.workingDirectory, deathSignal, &pid)
        guard code == 0 else { throw Failure("cannot start \(launch.executable)", code) }
        return pid
    }
}

/// Whether two paths lead to one directory. It waits for their file systems: to be asked while nothing is guarded.
func isSame(_ path: String, _ other: String) -> Bool {
    guard let one = DirectoryIdentity(path) else { return false }
    return one == DirectoryIdentity(other)
}

/// Tells of input on `descriptor`, with its number as the mark.
func watchForInput(_ descriptor: Int32, _ poll: Int32) -> Bool {
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = UInt64(descriptor)
    return epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) == 0
}
