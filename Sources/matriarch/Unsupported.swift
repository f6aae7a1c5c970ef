import Configuration

/// Settings that a later version will honour. One that protects something must not be passed over in silence: it ends
/// the start. One that only adds something is a warning.
enum Unsupported {
    static func problems(_ effective: EffectiveConfiguration) -> [ConfigurationProblem] {
        effective.citus == nil ? [] : [effective.problem("citus", "is not supported")]
    }

    static func warnings(_ effective: EffectiveConfiguration) -> [String] {
        DaemonLog.remarks(effective.log).map { effective.problem("log.format", $0).description }
    }
}
