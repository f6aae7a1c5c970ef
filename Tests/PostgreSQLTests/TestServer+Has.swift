import ClusterModel
import Posix

@testable import PostgreSQL

extension TestServer {
    /// Observes until `condition` holds, for at most 20 s.
    func has(_ condition: () async throws -> Bool) async -> Bool {
        let deadline = BootClock.now() + .seconds(20)
        while BootClock.now() < deadline {
            _ = await observe()
            if (try? await condition()) == true { return true }
            try? await Task.sleep(for: .milliseconds(20))
        }
        return false
    }
}
