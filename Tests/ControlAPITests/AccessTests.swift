import ClusterModel
import HTTPServer
import Testing

@testable import ControlAPI

/// Who may change anything (rest-api.md §3).
@Suite struct AccessTests {
    static let unsafe = [
        ("PATCH", "/config"), ("PUT", "/config"), ("POST", "/switchover"), ("POST", "/failover"),
        ("DELETE", "/switchover"), ("POST", "/reload"), ("POST", "/mpp"), ("POST", "/citus"),
    ]
    static let access = AccessRules(username: "admin", password: "s:ecret")
    /// base64 of `admin:s:ecret`.
    static let right = "Basic YWRtaW46czplY3JldA=="

    @Test(arguments: unsafe) func withoutCredentialsNothingIsDone(_ method: String, _ path: String) async throws {
        let bench = Bench(access: Self.access)
        let missing = try await bench.ask(method, path)
        #expect(missing.status == 401 && missing.text == "no auth header received")
        #expect(missing.headers["WWW-Authenticate"] == "Basic realm=\"Patroni\"")
        #expect(missing.headers["Content-Type"] == "text/html")
        for header in [
            "Basic", "Basic ", "basic YWRtaW46czplY3JldA==", "Bearer x", "Basic YWRtaW46czplY3JldA",
            "Basic YWRtaW46czplY3JldA== ", "Basic ywrtaw46czplY3JldA==", "Basic eDp5", "",
        ] {
            let wrong = try await bench.ask(method, path, headers: ["Authorization": header])
            #expect(wrong.status == 401 && wrong.text == "not authenticated", "\(header)")
        }
        #expect(bench.store.writes.isEmpty && bench.node.calls.isEmpty)
    }

    @Test func theRightCredentialsAreLetIn() async throws {
        let bench = Bench(access: Self.access)
        let answer = try await bench.ask("PATCH", "/config", #"{"a": 1}"#, headers: ["Authorization": Self.right])
        #expect(answer.status == 200)
    }

    @Test(arguments: ["/", "/patroni", "/cluster", "/config", "/history", "/liveness"])
    func readingNeedsNothing(_ path: String) async throws {
        #expect(try await Bench(access: Self.access).ask("GET", path).status != 401)
    }

    @Test func withoutConfiguredCredentialsEverybodyIsLetIn() async throws {
        #expect(try await Bench().ask("POST", "/reload").status == 202)
        let half = Bench(access: AccessRules(username: "admin", password: nil))
        #expect(try await half.ask("POST", "/reload").status == 202)
    }
}
