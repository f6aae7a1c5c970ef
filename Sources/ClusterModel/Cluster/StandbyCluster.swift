/// The section `standby_cluster`: this cluster follows a primary elsewhere, and accepts no writes (ha-loop.md §19).
public struct StandbyCluster: Sendable, Hashable {
    /// Where that primary is, several hosts with commas between; nil where its archive alone is read.
    public let address: HostPort?
    /// The slot that it keeps for this cluster; nil for none.
    public let slotName: String?
    /// What recovery goes by beside the connection: `restore_command`, `archive_cleanup_command`,
    /// `recovery_min_apply_delay`, those that are set.
    public let recovery: [String: String]

    private static let recoveryKeys = ["restore_command", "archive_cleanup_command", "recovery_min_apply_delay"]

    /// Nil where the section says nothing of whom to follow.
    public init?(_ section: JSONObject) {
        guard ["host", "port", "restore_command"].contains(where: { section[$0]?.isTruthy == true }) else { return nil }
        address = Self.address(section)
        slotName = section["primary_slot_name"]?.string.flatMap { $0.isEmpty ? nil : SlotName.of(member: $0) }
        let set = Self.recoveryKeys.compactMap { key in
            section[key].flatMap { $0.isTruthy && !$0.isNull ? (key, $0.comparableText) : nil }
        }
        recovery = Dictionary(set) { first, _ in first }
    }

    /// A port alone is that of a tunnel on this machine.
    private static func address(_ section: JSONObject) -> HostPort? {
        let (host, port) = (section["host"], section["port"])
        guard host?.isTruthy == true || port?.isTruthy == true else { return nil }
        let number = port?.isTruthy == true ? ValueParsing.integer(port) ?? 0 : 5432
        let text = host?.isTruthy == true ? host?.comparableText ?? "" : "localhost"
        let hosts = text.split(atByte: ",").map { String($0.withoutBlanks) }
        let address = HostPort(host: hosts.joined(separator: ","), port: Int(clamping: number))
        return hosts.allSatisfy { HostPort(host: $0, port: address.port).isUsable } ? address : nil
    }

    /// What a node of this cluster follows in place of a member. `leads`: as the standby leader.
    public func upstream(leads: Bool) -> Upstream {
        Upstream(
            name: address.map { "\($0)" } ?? "the archive", address: address ?? HostPort(host: "", port: 0),
            remote: .init(slotName: slotName, leads: leads))
    }
}
