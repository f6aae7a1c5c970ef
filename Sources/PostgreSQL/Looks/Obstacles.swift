import ClusterModel
import Glibc
import Posix

/// What stands in the data directory of a server that is down, and keeps it from coming up. The files tell, in every
/// language and whatever the server's log is set to. Blocking, a few calls each.
extension DataDirectory {
    /// `control` is what pg_controldata says of it; nil where it says nothing.
    func obstacle(_ control: ControlDataOutput?) -> PostgreSQLStatus.Obstacle? {
        if let what = foreignFiles() { return .permissions(what) }
        guard let names = (try? Files.list(path + "/pg_wal")).map({ Set($0) }) else {
            return .permissions("\(path)/pg_wal cannot be read")
        }
        if let text = try? Files.readText(path + "/backup_label") {
            // Recovery begins where the label says, whatever the control file knows.
            guard let file = BackupLabel.firstFile(text), !Self.has(file, in: names) else { return nil }
            return .staleBackupLabel(file: file)
        }
        guard let control else { return nil }
        // A standby goes on to look for it; anything else ends there.
        if !hasStandbySignal, let start = control.unfinishedBackup { return .backupNotEnded(start: start) }
        for file in control.filesOfCheckpoint where !Self.has(file, in: names) {
            return .checkpointWithoutWAL(file: file)
        }
        guard let timeline = control.controlData?.checkpointTimeline, timeline > 1 else { return nil }
        let history = TimelineHistoryFile.name(timeline)
        return names.contains(history) ? nil : .historyMissing(file: history)
    }

    /// The segment that `backup_label` sends recovery to; nil where there is none.
    var labelledFile: String? { (try? Files.readText(path + "/backup_label")).flatMap(BackupLabel.firstFile) }

    /// Whether `pg_wal` has a segment, of whatever timeline.
    func hasSegment(_ file: String) -> Bool {
        Self.has(file, in: Set((try? Files.list(path + "/pg_wal")) ?? []))
    }

    private static func has(_ file: String, in names: Set<String>) -> Bool {
        WALNames.hasSegment(String(file.suffix(16)), in: names)
    }

    /// What PostgreSQL refuses, or cannot open, in words.
    private func foreignFiles() -> String? {
        var directory = stat()
        guard stat(path, &directory) == 0 else { return nil }
        let mode = directory.st_mode & 0o7777
        if mode & 0o027 != 0 { return "\(path) has mode 0\(String(mode, radix: 8)), which lets others in" }
        // Root starts the server as the directory's owner.
        if geteuid() != 0, directory.st_uid != geteuid() { return "\(path) belongs to another user than the daemon's" }
        for name in ["PG_VERSION", "global", "global/pg_control", "base", "pg_wal"] {
            let file = "\(path)/\(name)"
            var found = stat()
            guard stat(file, &found) == 0 else { continue }
            if found.st_uid != directory.st_uid { return "\(file) belongs to another user than the data directory" }
            let needed: mode_t = name == "PG_VERSION" ? 0o400 : 0o600
            if found.st_mode & needed != needed { return "\(file) cannot be read or written by its owner" }
        }
        return nil
    }
}

/// The file `backup_label` of a base backup. Pure.
enum BackupLabel {
    /// The segment with which recovery begins: `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)`.
    static func firstFile(_ text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix("START WAL LOCATION:") {
            guard let found = line.firstRange(of: "(file ") else { return nil }
            let name = line[found.upperBound...].utf8.prefix { $0 != UInt8(ascii: ")") }
            return name.count == 24 ? String(decoding: name, as: UTF8.self) : nil
        }
        return nil
    }
}

extension ControlDataOutput {
    /// The segments that recovery from the last checkpoint reads first.
    var filesOfCheckpoint: [String] {
        guard let redo = fields["Latest checkpoint's REDO WAL file"], redo.utf8.count == 24 else { return [] }
        guard let size = fields["Bytes per WAL segment"].flatMap({ UInt64($0) }),
            let checkpoint = controlData?.checkpoint, let segment = WALNames.segment(checkpoint.bytes, size: size)
        else { return [redo] }
        let file = redo.prefix(8) + segment
        return file == redo ? [redo] : [redo, String(file)]
    }
}
