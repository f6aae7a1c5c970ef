import ClusterModel
import Configuration
import HTTPServer
import Logging
import Posix
import Synchronization
import TestSupport
import Testing

@testable import ControlAPI
@testable import RestService

/// What the `restapi` section means for who is let in, and for what the server says of itself.
@Suite struct RestPolicyTests {
    private func settings(_ rest: String) throws -> RestAPISettings {
        try Bench.settings("{listen: \"127.0.0.1:8008\", \(rest)}")
    }

    private func refusal(
        _ rules: AccessRules, peer: String = "127.0.0.1", authorization: String? = nil,
        security: HTTPRequest.Security = .plain
    ) async throws -> Int? {
        var headers: HTTPHeaders = [:]
        if let authorization { headers.append("Authorization", authorization) }
        let request = try HTTPRequest(
            method: "POST", target: "/restart", headers: headers, peer: peer, security: security)
        return await rules.refusal(request, members: nil)?.status
    }

    @Test func withoutAnythingEverybodyMay() async throws {
        let rules = RestPolicy.access(try settings("allowlist: []"), [:])
        #expect(try await refusal(rules, peer: "203.0.113.9") == nil)
    }

    @Test func passwordsAreAskedFor() async throws {
        let rules = RestPolicy.access(try settings("authentication: {username: u, password: p}"), [:])
        #expect(try await refusal(rules) == 401)
        #expect(try await refusal(rules, authorization: "Basic dTpw") == nil)
        #expect(try await refusal(rules, authorization: "Basic dTpx") == 401)
    }

    /// A name that stands for nothing opens nothing, also where it is all there is.
    @Test func namesCountByWhatTheyStandFor() async throws {
        let settings = try settings("allowlist: [10.0.0.0/8, admin]")
        let unknown = RestPolicy.access(settings, [:])
        #expect(try await refusal(unknown, peer: "10.1.2.3") == nil)
        #expect(try await refusal(unknown, peer: "203.0.113.9") == 403)
        let known = RestPolicy.access(settings, ["admin": ["203.0.113.9"]])
        #expect(try await refusal(known, peer: "203.0.113.9") == nil)
        let alone = RestPolicy.access(try self.settings("allowlist: [admin]"), [:])
        #expect(try await refusal(alone) == 403)
    }

    @Test func certificatesAreAskedForWhereTheyAreVerified() async throws {
        let tls = "certfile: /c, verify_client: "
        for (word, needed) in [("none", false), ("optional", true), ("required", true)] {
            let rules = RestPolicy.access(try settings(tls + word), [:])
            #expect(try await refusal(rules) == (needed ? 403 : nil))
            #expect(try await refusal(rules, security: .verified) == nil)
        }
    }

    @Test(arguments: [("original", "Matriarch/"), ("minimal", "Patroni/"), ("productonly", "Patroni")])
    func theServerSaysOfItselfWhatIsConfigured(tokens: String, name: String) throws {
        let policy = RestPolicy.serverSettings(try settings("server_tokens: \(tokens)"), nil)
        #expect(policy.serverName.hasPrefix(name))
    }

    /// Patroni's default of 5 would turn clients away at a burst.
    @Test func theBacklogIsNeverShort() throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let small = RestPolicy.configuration(try settings("request_queue_size: 5"), nil, logger)
        let large = RestPolicy.configuration(try settings("request_queue_size: 4096"), nil, logger)
        #expect(small.backlog >= 128)
        #expect(large.backlog == 4096)
    }

    // MARK: Names

    @Test func namesLetNobodyInBeforeTheyAreLookedUp() async throws {
        let settings = try Bench.settings(
            "{listen: \"127.0.0.1:\(try freePort())\", allowlist: [admin, 10.0.0.0/8, nobody]}")
        let asked = Mutexed<[String]>([])
        let bench = try await Bench(settings) { name in
            asked.change { $0.append(name) }
            return name == "admin" ? ["203.0.113.9"] : []
        }
        let first = try #require(bench.rules.value.last)
        #expect(asked.value.isEmpty)
        #expect(try await refusal(first, peer: "203.0.113.9") == 403)
        try await bench.server.start()
        #expect(try await bench.untilLogged("restapi.allowlist: 'nobody' is no network and has no address"))
        let deadline = BootClock.now() + .seconds(300)
        while try await refusal(#require(bench.rules.value.last), peer: "203.0.113.9") != nil {
            try #require(BootClock.now() < deadline)
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(Set(asked.value) == ["admin", "nobody"])
        await bench.server.stop()
    }
}
