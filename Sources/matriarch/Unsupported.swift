import ClusterModel
import Configuration

/// Settings that a later version will honour. One that protects something must not be passed over in silence: it ends
/// the start. One that only adds something is a warning.
enum Unsupported {
    static func problems(_ effective: EffectiveConfiguration) -> [String] {
        var problems: [String] = []
        if ["required", "require"].contains(effective.watchdog?["mode"]?.string?.lowercased() ?? "") {
            problems.append("watchdog.mode: 'required' is not supported yet; allowed are off and automatic")
        }
        if effective.citus != nil { problems.append("citus: is not supported") }
        if let bootstrap = effective.bootstrap, bootstrap.method != "initdb" {
            problems.append("bootstrap.method: '\(bootstrap.method)' is not supported yet; allowed is initdb")
        }
        if effective.postgreSQL.prePromote != nil {
            problems.append("postgresql.pre_promote: is not supported yet; remove it")
        }
        return problems
    }

    private static func isOff(_ mode: JSONValue) -> Bool {
        mode.bool == false || ["off", "disable", "disabled"].contains(mode.string?.lowercased() ?? "")
    }

    static func warnings(_ effective: EffectiveConfiguration) -> [String] {
        var warnings: [String] = []
        if !effective.postgreSQL.callbacks.isEmpty {
            warnings.append("postgresql.callbacks: not supported yet, none is run")
        }
        if effective.postgreSQL.beforeStop != nil {
            warnings.append("postgresql.before_stop: not supported yet, it is not run")
        }
        if effective.postgreSQL.replicaMethods.contains(where: { $0.name != "basebackup" }) {
            warnings.append("postgresql.create_replica_methods: only basebackup is supported yet, it is used alone")
        }
        if let mode = effective.watchdog?["mode"], !isOff(mode) {
            warnings.append("watchdog.mode: not supported yet, no watchdog is used; the guardian ends PostgreSQL")
        }
        if let document = effective.bootstrap?.dynamicConfiguration {
            warnings += UnbuiltSetting.found(in: document).map { "bootstrap.dcs.\($0)" }
        }
        return warnings
    }
}
