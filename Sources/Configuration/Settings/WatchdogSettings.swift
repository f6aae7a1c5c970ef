import ClusterModel

/// The `watchdog` section (configuration.md §3.8).
public struct WatchdogSettings: Sendable, Hashable {
    public enum Mode: Sendable, Hashable {
        case off
        /// Used where there is one.
        case automatic
        /// Without one this node does not lead.
        case required
    }

    public let mode: Mode
    public let device: String
    /// Seconds that it resets the host before a ttl has passed; -1 is half of the ttl.
    public let safetyMargin: Int
    /// `driver: testing`: a file or pipe that is written to as a device (observable-text.md §6).
    public let isTesting: Bool

    init(_ reader: inout SettingReader) {
        _ = reader.object("watchdog")
        device = reader.path("watchdog.device") ?? "/dev/watchdog"
        safetyMargin = Int(reader.integer("watchdog.safety_margin"))
        let driver = reader.filledText("watchdog.driver") ?? "default"
        isTesting = driver == "testing"
        let wanted = WatchdogSettings.mode(&reader)
        let isKnown = ["default", "testing"].contains(driver)
        if !isKnown, wanted == .required { reader.wrong("watchdog.driver", "default, testing") }
        if !isKnown, wanted == .automatic {
            reader.warn("watchdog.driver", "there is no such driver: no watchdog is used")
        }
        mode = isKnown ? wanted : .off
    }

    private static func mode(_ reader: inout SettingReader) -> Mode {
        guard let value = reader.raw("watchdog.mode") else { return .automatic }
        if value.bool == false { return .off }
        switch value.string?.lowercased() {
        case "off"?, "disable"?, "disabled"?: return .off
        case "auto"?, "automatic"?: return .automatic
        case "require"?, "required"?: return .required
        case nil, _?:
            reader.warn("watchdog.mode", "allowed are off, automatic and required: no watchdog is used")
            return .off
        }
    }
}
