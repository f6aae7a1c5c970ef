import ClusterAccess
import ClusterModel
import JSON
import Logging
import Ports
import Posix
import PostgreSQL

/// `patroni.dynamic.json` in the data directory: the dynamic configuration for a start without the store
/// (configuration.md §1.8).
struct DynamicConfigurationCache: ConfigurationCache {
    let dataDirectory: String
    let logger: Logger

    private var path: String { "\(dataDirectory)/patroni.dynamic.json" }

    func store(_ document: JSONObject) async {
        let path = path
        let directory = dataDirectory
        do {
            try await offPool {
                // As readable as the directory is for the group.
                let groupReads = (Files.mode(directory) ?? 0o700) & 0o050 == 0o050
                try Files.replace(path, with: JSON.text(document).utf8, mode: groupReads ? 0o640 : 0o600)
            }
        } catch {
            logger.warning("the dynamic configuration could not be cached: \(error)")
        }
    }

    /// What was cached; nil where nothing was, or nothing that can be read, or not soon: a disk that hangs must not
    /// keep the daemon from its start.
    func load(within patience: Duration = .seconds(2)) async -> JSONObject? {
        let answer = FirstAnswer<JSONObject?>()
        let timeout = Task {
            try? await Task.sleep(for: patience)
            if Task.isCancelled { return }
            logger.warning("\(path) has not answered: the cached dynamic configuration is left aside")
            answer.give(nil)
        }
        Task {
            answer.give(await read())
            timeout.cancel()
        }
        return await answer.wait()
    }

    private func read() async -> JSONObject? {
        let path = path
        do {
            return try await offPool { Files.exists(path) ? try JSON.parse(Files.readText(path)).object : nil }
        } catch {
            logger.warning("the cached dynamic configuration is left aside: \(error)")
            return nil
        }
    }
}
