import ClusterModel
import Posix
import Synchronization

/// A line of `pg_basebackup --progress`: `  3123/25130 kB (12%), 0/1 tablespace`; or of `pg_rewind --progress`:
/// `  3123/25130 kB (12%) copied`.
struct BaseBackupProgress: Sendable, Hashable {
    var doneKilobytes: Int64
    var totalKilobytes: Int64
    var percent: Int

    init?(_ line: String) {
        guard let unit = line.firstRange(of: " kB ("), let sign = line.firstRange(of: "%)") else { return nil }
        let sizes = line[..<unit.lowerBound].trimmed.split(separator: "/")
        guard sizes.count == 2, let done = Int64(sizes[0]), let total = Int64(sizes[1]),
            unit.upperBound < sign.lowerBound, let percent = Int(line[unit.upperBound..<sign.lowerBound].trimmed)
        else { return nil }
        doneKilobytes = done
        totalKilobytes = total
        self.percent = percent
    }
}

/// Picks the lines of progress that go into the log: one for every tenth, or every five seconds while it moves.
final class ProgressGate: Sendable {
    private let last = Mutex<(percent: Int, at: BootInstant)?>(nil)

    /// Whether the line is worth telling at `now`.
    func admits(_ progress: BaseBackupProgress, now: BootInstant) -> Bool {
        last.withLock { last in
            if let last, progress.percent / 10 == last.percent / 10,
                now - last.at < .seconds(5) || progress.percent == last.percent
            {
                return false
            }
            last = (progress.percent, now)
            return true
        }
    }
}
