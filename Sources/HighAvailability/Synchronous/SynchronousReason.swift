import ClusterModel

/// What stands in the way of synchronous standbys, or changes among them.
public enum SynchronousReason: Sendable, Hashable {
    case turnedOff
    /// Nobody streams who may be synchronous: commits go on alone.
    case nobody
    /// The same, and commits wait.
    case nobodyAndStrict
    /// A standby is no longer one that is wanted.
    case leaves(String, StandbySelection.Obstacle?)
    /// They are named, and are not known to have everything yet.
    case waitsFor([String])
    /// PostgreSQL does not go by what stands in its file.
    case notInForce(written: String)
    /// It has read it, and goes by another value.
    case overridden(written: String, inForce: String)
    /// Before a promotion `/sync` says whose commits count from now on.
    case claims
    /// There is no standby in another zone.
    case zonesShared([String])

    var explanation: Explanation {
        switch self {
        case .turnedOff: Explanation("sync-turned-off", "synchronous mode is off: /sync goes")
        case .nobody:
            Explanation("sync-nobody", "no standby streams that may be synchronous: commits wait for nobody")
        case .nobodyAndStrict:
            Explanation(
                "sync-nobody-strict",
                "No active replication connections from Patroni members and synchronous_mode_strict is requested")
        case .leaves(let name, let obstacle):
            Explanation(
                "sync-leaves", ["member": .fact(name), "why": .fact(obstacle?.code)],
                "\(name) is to be no synchronous standby any more" + (obstacle.map { ": \($0)" } ?? ""))
        case .waitsFor(let names):
            Explanation(
                "sync-waits-for", ["members": .array(names.map { .string($0) })],
                "\(names.joined(separator: ", ")): not known to have received everything yet")
        case .notInForce(let written):
            Explanation(
                "sync-not-in-force", ["written": .fact(written)],
                "PostgreSQL does not go by synchronous_standby_names = '\(written)' yet, which stands in its file")
        case .overridden(let written, let inForce):
            Explanation(
                "sync-overridden", ["written": .fact(written), "in_force": .fact(inForce)],
                "PostgreSQL has read synchronous_standby_names = '\(written)' and goes by '\(inForce)': something "
                    + "overrides its file, ALTER SYSTEM perhaps")
        case .claims: Explanation("sync-claimed", "/sync is written before the promotion")
        case .zonesShared(let zones):
            Explanation(
                "sync-zones-shared", ["zones": .array(zones.map { .string($0) })],
                "no synchronous standby stands in a zone of its own: \(zones.joined(separator: ", ")) is shared")
        }
    }
}

extension StandbySelection.Obstacle: CustomStringConvertible {
    var code: String {
        switch self {
        case .unnameable: "unnameable"
        case .nosync: "nosync"
        case .unproven: "unproven"
        case .notStreaming: "not-streaming"
        case .notRunning: "not-running"
        case .cascades: "cascades"
        case .lagging: "lagging"
        }
    }

    public var description: String {
        switch self {
        case .unnameable:
            "its name is no plain text of at most 63 bytes without a comma, or another member's but for the case"
        case .nosync: "it is tagged nosync"
        case .notStreaming: "it does not stream from here"
        case .notRunning: "it does not run"
        case .unproven: "its data directory was restored and may lack acknowledged commits"
        case .cascades(let source): "it is to stream from \(source)"
        case .lagging(let behind, let allowed): "it is \(behind) bytes behind, allowed are \(allowed)"
        }
    }
}
