/// The postmaster under guard.
struct Postmaster {
    var pid: Int32
    /// Of one that is not our child; -1 for a child, whose end SIGCHLD tells, -3 for one that is looked at now and then,
    /// where the kernel gives no pidfd.
    var descriptor: Int32

    var isChild: Bool { descriptor == -1 }
    var isPolled: Bool { descriptor == -3 }
}
