import ClusterModel

/// The `guardian` section, which Patroni does not know: the process that holds PostgreSQL and ends it with the lease
/// (architecture.md §4).
public struct GuardianSettings: Sendable, Hashable {
    /// `mode`, on unless it is set to off. Off, nothing stops PostgreSQL where the daemon dies or hangs.
    public let isOn: Bool
    /// `safety_margin`: kept free before the end of the lease for killing PostgreSQL; nil is a tenth of the ttl, at
    /// least a second.
    public let safetyMargin: Duration?
    /// `restart_daemon`: the guardian starts a daemon again that died. For hosts where no service manager does.
    public let restartsDaemon: Bool

    init(_ reader: inout SettingReader) {
        isOn = reader.bool("guardian.mode")
        safetyMargin = GuardianSettings.margin(&reader)
        restartsDaemon = reader.bool("guardian.restart_daemon")
    }

    /// Seconds, or a time with a unit. Below half a second nothing could be promised; no lease is longer than a day.
    private static func margin(_ reader: inout SettingReader) -> Duration? {
        let path = "guardian.safety_margin"
        guard let value = reader.raw(path) else { return nil }
        if let seconds = ValueParsing.real(value, unit: .seconds), (0.5...86_400).contains(seconds) {
            return .milliseconds(Int64(seconds * 1000))
        }
        reader.wrong(path, "a time from 500ms to a day, without a unit in seconds")
        return nil
    }
}
