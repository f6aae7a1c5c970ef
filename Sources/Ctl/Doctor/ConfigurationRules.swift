import ClusterModel
import Configuration

/// What of a daemon's own file commonly goes wrong.
enum ConfigurationRules {
    static func findings(_ local: LocalConfiguration, _ live: JSONObject?) -> [Finding] {
        let dynamic = live ?? local.tree["bootstrap"]?["dcs"]?.object
        var found: [Finding] = []
        do throws(ConfigurationError) {
            let effective = try EffectiveConfiguration.effective(local: local, dynamic: dynamic)
            found += effective.warnings.map {
                Finding(severity: .notice, what: $0, remedy: "see docs of the setting, and change it")
            }
        } catch {
            found += error.problems.map {
                Finding(
                    severity: .problem, what: "\($0)", remedy: "change it: the daemon does not start with it")
            }
        }
        return found + bootstrap(local.tree, live) + access(local.tree, live)
    }

    /// `bootstrap.dcs` counts once, when the cluster is made: who changes it later changes nothing.
    private static func bootstrap(_ tree: JSONObject, _ live: JSONObject?) -> [Finding] {
        guard let live, let planned = tree["bootstrap"]?["dcs"]?.object else { return [] }
        return differences(.object(planned), .object(live), "").map { path in
            Finding(
                severity: .notice, what: "bootstrap.dcs says something else of \(path) than the cluster goes by",
                remedy: "\(Program.name) edit-config changes a cluster; bootstrap.dcs is for new ones")
        }
    }

    private static func differences(_ planned: JSONValue, _ live: JSONValue?, _ path: String) -> [String] {
        guard let object = planned.object else { return live.map(planned.deepEquals) == true ? [] : [path] }
        return object.members.flatMap { member in
            differences(member.value, live?[member.key], path.isEmpty ? member.key : "\(path).\(member.key)")
        }
    }

    /// Replicas log in from elsewhere, as the user of replication.
    private static func access(_ tree: JSONObject, _ live: JSONObject?) -> [Finding] {
        let settings = tree["postgresql"]
        // Lines of the cluster's configuration count where the file has none.
        let own = settings?["pg_hba"]?.array.flatMap { $0.isEmpty ? nil : $0 }
        guard let lines = (own ?? live?["postgresql"]?["pg_hba"]?.array)?.compactMap(\.string), !lines.isEmpty else {
            return []
        }
        let user = settings?["authentication"]?["replication"]?["username"]?.string ?? "replicator"
        let lets = lines.contains { line in
            let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
            guard words.count > 3, words[0].hasPrefix("host"), words.last != "reject" else { return false }
            let users = words[2].split(separator: ",").map(String.init)
            return words[1].split(separator: ",").contains("replication")
                && (users.contains(user) || users.contains("all"))
        }
        if lets { return [] }
        return [
            Finding(
                severity: .problem, what: "postgresql.pg_hba has no line that lets \(user) in for replication",
                remedy: "add: host replication \(user) <network of the members> scram-sha-256")
        ]
    }
}
