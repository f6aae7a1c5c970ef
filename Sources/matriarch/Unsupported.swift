import Configuration

/// Settings that a later version will honour. One that protects something must not be passed over in silence: it ends
/// the start. One that only adds something is a warning.
enum Unsupported {
    static func problems(_ effective: EffectiveConfiguration) -> [String] {
        var problems: [String] = []
        if effective.citus != nil { problems.append("citus: is not supported") }
        return problems
    }

    static func warnings(_ effective: EffectiveConfiguration) -> [String] {
        var warnings: [String] = []
        let path = "log.format"
        for remark in DaemonLog.remarks(effective.log) {
            let problem = ConfigurationProblem(SettingPath(dotted: path), remark, effective.origin(of: path))
            warnings.append(problem.description)
        }
        return warnings
    }
}
