import ClusterModel

/// The output of pg_controldata, run in the C locale (postgresql.md §8): `Name:   value` on each line.
struct ControlDataOutput: Sendable, Hashable {
    /// The names as printed, without the first "Current ".
    let fields: [String: String]
    /// The file's checksum is right; false for a file that is damaged, or another version's.
    let isWhole: Bool

    init(_ text: String) {
        isWhole = text.firstRange(of: "CRC checksum does not match") == nil
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            var name = line[..<colon].trimmed
            if let current = name.firstRange(of: "Current ") { name.removeSubrange(current) }
            if fields[name] == nil { fields[name] = line[line.index(after: colon)...].trimmed }
        }
        self.fields = fields
    }

    /// What the rules need; nil where the output is not that of a readable control file.
    var controlData: ControlData? {
        guard let state = fields["Database cluster state"].flatMap(ControlData.ClusterState.init(rawValue:)),
            let identifier = fields["Database system identifier"],
            let checkpoint = position("Latest checkpoint location"),
            let timeline = number("Latest checkpoint's TimeLineID")
        else { return nil }
        let checksums = number("Data page checksum version") ?? 0
        return ControlData(
            state: state, systemIdentifier: identifier, checkpoint: checkpoint, checkpointTimeline: timeline,
            minimumRecoveryEnd: position("Minimum recovery ending location") ?? .zero,
            minimumRecoveryTimeline: number("Min recovery ending loc's timeline") ?? 0,
            supportsRewind: fields["wal_log_hints setting"] == "on" || checksums != 0)
    }

    /// The segment from which recovery would begin; of a server that was shut down, the one with its last checkpoint.
    var lastSegment: String? {
        fields["Latest checkpoint's REDO WAL file"].flatMap { $0.count == 24 && $0.allSatisfy(\.isHexDigit) ? $0 : nil }
    }

    /// The files of the WAL below a data directory.
    func walFiles(in dataDirectory: String) -> WALFiles? {
        WALFiles(
            directory: dataDirectory + "/pg_wal", segmentSize: fields["Bytes per WAL segment"].flatMap { Int($0) },
            pageSize: fields["WAL block size"].flatMap { Int($0) })
    }

    /// The values that a standby must not undercut (postgresql.md §12.4), by parameter.
    var minimumsOfStandby: [(parameter: String, value: Int)] {
        let names = [
            ("max_connections", "max_connections setting"),
            ("max_worker_processes", "max_worker_processes setting"),
            ("max_wal_senders", "max_wal_senders setting"),
            ("max_prepared_transactions", "max_prepared_xacts setting"),
            ("max_locks_per_transaction", "max_locks_per_xact setting"),
        ]
        return names.compactMap { parameter, field in fields[field].flatMap { Int($0) }.map { (parameter, $0) } }
    }

    private func position(_ name: String) -> WALPosition? { fields[name].flatMap { WALPosition($0) } }
    private func number(_ name: String) -> UInt32? { fields[name].flatMap { UInt32($0) } }
}
