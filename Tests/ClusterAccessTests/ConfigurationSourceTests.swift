import ClusterAccess
import Configuration
import Peers
import TestSupport
import Testing

/// The configuration as it is read again, and what it means for the clients of the other members.
@Suite struct ConfigurationSourceTests {
    /// What is wrong, or waits for a restart, leaves what was read before.
    @Test func onlyWhatMayChangeIsTakenOver() async throws {
        let directory = try TemporaryDirectory("source")
        defer { withExtendedLifetime(directory) {} }
        try directory.write("patroni.yml", Example.text(directory.path))
        let source = try await ConfigurationSource("\(directory.path)/patroni.yml")
        #expect(try await !source.reload())

        try directory.write("patroni.yml", Example.text(directory.path, besides: "log: {level: DEBUG}"))
        #expect(try await source.reload())
        #expect(try await !source.reload())
        #expect(try source.effective(nil).log.level == "DEBUG")

        try directory.write("patroni.yml", Example.text(directory.path, scope: "other"))
        let fixed = await #expect(throws: ConfigurationError.self) { try await source.reload() }
        #expect(fixed?.problems.map(\.path.description) == ["scope"])
        try directory.write("patroni.yml", "scope: lab")
        await #expect(throws: ConfigurationError.self) { try await source.reload() }
        #expect(try source.effective(nil).log.level == "DEBUG")
        #expect(try source.effective(nil).scope == "lab")
    }

    @Test func peersAreAskedAsConfigured() throws {
        let effective = try Example.effective(
            "/nowhere", besides: "ctl: {authentication: {username: u, password: p}, cacert: /ca.pem}")
        let options = StoreWiring.peers(effective)
        #expect(options.userAgent == "Patroni/\(Version.patroni) Matriarch/\(Version.own)")
        #expect(options.username == "u" && options.password == "p")
        #expect(options.cacert == "/ca.pem" && options.certfile == nil)
    }
}
