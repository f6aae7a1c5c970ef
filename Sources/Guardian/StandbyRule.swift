/// Whether a server that was started as a standby has made itself a primary while no daemon looks after it. After a
/// crash of one of its processes PostgreSQL begins again by itself and goes by its signal file once more: where that
/// has gone meanwhile, it comes up without recovery, and accepts writes under nobody's lease.
///
/// A crash ends the checkpointer with all the others; a promotion leaves it at work, and is its operator's. Pure.
public struct StandbyRule: Sendable, Hashable {
    /// A process of the server's, and what it calls itself.
    public struct Part: Sendable, Hashable {
        public var pid: Int32
        public var title: String

        /// `postgres: demo: startup recovering 000000010000000000000003` is `startup`.
        public init(pid: Int32, title: String) {
            self.pid = pid
            // A cluster's name ends with the last colon before what a process is.
            let name = title.utf8.lastIndex(of: UInt8(ascii: ":")).map { title.utf8[title.utf8.index(after: $0)...] }
            let words = (name ?? title.utf8[...]).split(separator: UInt8(ascii: " "))
            self.title = words.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
    }

    private var checkpointers: Set<Int32> = []
    private var sightings = 0

    public init() {}

    /// Who is at work is known.
    public var isInformed: Bool { !checkpointers.isEmpty }

    /// A look at the server's processes. One look is none: a process has its title a moment after it has begun.
    public mutating func isPrimary(_ parts: [Part]) -> Bool {
        let now = Set(parts.filter { $0.title == "checkpointer" }.map(\.pid))
        if checkpointers.isEmpty { checkpointers = now }
        let isAnother = !now.isEmpty && checkpointers.isDisjoint(with: now)
        sightings = isAnother && !parts.contains { $0.title == "startup" } ? sightings + 1 : 0
        return sightings > 1
    }
}
