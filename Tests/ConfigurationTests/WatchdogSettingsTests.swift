import Configuration
import Testing

@Suite struct WatchdogSettingsTests {
    private func settings(_ yaml: String) throws -> (settings: WatchdogSettings, warnings: [String]) {
        let effective = try Example.effective(yaml)
        return (effective.watchdog, effective.warnings.filter { $0.utf8.firstRange(of: "watchdog".utf8) != nil })
    }

    @Test(
        "Modes are Patroni's words; an unknown one is off, with a warning",
        arguments: [
            ("{}", WatchdogSettings.Mode.automatic, 0), ("watchdog: {device: /dev/x}", .automatic, 0),
            ("watchdog: {mode: off}", .off, 0), ("watchdog: {mode: 'Disabled'}", .off, 0),
            ("watchdog: {mode: auto}", .automatic, 0), ("watchdog: {mode: Required}", .required, 0),
            ("watchdog: {mode: require}", .required, 0), ("watchdog: {mode: on}", .off, 1),
            ("watchdog: {mode: odd}", .off, 1), ("watchdog: {driver: ipmi}", .off, 1),
        ])
    func modes(_ yaml: String, _ mode: WatchdogSettings.Mode, _ warnings: Int) throws {
        let found = try settings(yaml)
        #expect(found.settings.mode == mode)
        #expect(found.warnings.count == warnings, "\(found.warnings)")
    }

    @Test func valuesAndTheirDefaults() throws {
        let standard = try settings("{}").settings
        #expect(standard.device == "/dev/watchdog" && standard.safetyMargin == 5 && !standard.isTesting)
        let given = try settings(
            "watchdog: {mode: required, device: /dev/w1, safety_margin: -1, driver: testing}"
        ).settings
        #expect(given.device == "/dev/w1" && given.safetyMargin == -1 && given.isTesting)
        #expect(throws: ConfigurationError.self) { try settings("watchdog: {safety_margin: -2}") }
        #expect(throws: ConfigurationError.self) { try settings("watchdog: {mode: required, driver: ipmi}") }
    }
}
