import ClusterModel

/// What goes wrong, and when. A world is its seed, its size and its faults: removing one gives a smaller world.
public struct Fault: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// Daemon and PostgreSQL of a node at once; both come back later.
        case killNode(Int)
        /// PostgreSQL alone.
        case killPostgreSQL(Int)
        /// The store answers nobody.
        case storeOutage
        /// A node and the store, both ways.
        case isolateFromStore(Int)
        /// Two nodes from each other: peers' questions and streaming.
        case partition(Int, Int)
        /// Every request to the store takes this much longer.
        case slowStore(milliseconds: Int)
        /// The wall clock of a node steps.
        case clockStep(Int, seconds: Int)
        /// An operator asks for a switchover away from the leader, to a node or to any.
        case switchover(to: Int?)
        /// An operator edits the configuration.
        case editConfiguration(ttl: Int)
    }

    public var kind: Kind
    /// After the world's beginning.
    public var at: Duration
    /// Until it heals.
    public var lasts: Duration

    public init(_ kind: Kind, at: Duration, lasts: Duration) {
        self.kind = kind
        self.at = at
        self.lasts = lasts
    }

    /// `count` faults, spread over `span`.
    public static func plan(_ generator: inout SeededGenerator, nodes: Int, count: Int, span: Duration) -> [Fault] {
        (0..<count).map { _ in
            let at = generator.milliseconds(in: 0...Int(span.nanoseconds / 1_000_000))
            let lasts = generator.milliseconds(in: 200...60_000)
            return Fault(kind(&generator, nodes), at: at, lasts: lasts)
        }.sorted { $0.at < $1.at }
    }

    private static func kind(_ generator: inout SeededGenerator, _ nodes: Int) -> Kind {
        let node = generator.number(in: 0...nodes - 1)
        let other = (node + generator.number(in: 1...max(1, nodes - 1))) % nodes
        switch generator.number(in: 0...9) {
        case 0, 1: return .killNode(node)
        case 2: return .killPostgreSQL(node)
        case 3: return .storeOutage
        case 4, 5: return .isolateFromStore(node)
        case 6: return .partition(node, other)
        case 7: return .slowStore(milliseconds: generator.number(in: 10...3000))
        case 8:
            return generator.oneIn(3)
                ? .clockStep(node, seconds: generator.number(in: -7200...7200)) : .killPostgreSQL(node)
        default:
            return generator.oneIn(4)
                ? .editConfiguration(ttl: generator.number(in: 20...60))
                : .switchover(to: generator.oneIn(2) ? other : nil)
        }
    }
}
