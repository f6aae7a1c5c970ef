import ClusterModel
import Glibc
import HTTPServer
import HighAvailability
import Logging
import Ports
import Subprocess
import Testing

@testable import ControlAPI

/// The program, where there is one.
private let schemathesis = getenv("MATRIARCH_SCHEMATHESIS").map { String(cString: $0) }

/// Walks `openapi/matriarch.yaml` against the server over HTTP, with what it allows and with what it does not, by
/// schemathesis (`scripts/test contract` installs it and names it): any answer that the contract does not have is a
/// failure. What is tried is the same in every run.
@Suite(.serialized, .timeLimit(.minutes(10)), .enabled(if: schemathesis != nil))
struct ContractServerTests {
    /// The node in the situations whose answers differ most.
    enum Situation: CaseIterable {
        case leader, replicaWithoutStore, busyBehindAPassword

        var bench: Bench {
            switch self {
            case .leader:
                Bench(
                    Scene.leading(), store: FakeStore([.success(Scene.view(leader: "pg-b"))]),
                    peers: ["pg-a": Scene.usable()])
            case .replicaWithoutStore:
                Bench(
                    Scene.snapshot(Scene.silent(.starting), storeFailure: "gone"),
                    store: FakeStore([.failure(.unreachable("gone"))]))
            case .busyBehindAPassword:
                Bench(
                    Scene.snapshot(view: Scene.view(leader: "pg-a", config: nil)),
                    store: FakeStore([.success(Scene.view(leader: "pg-a"))], outcomes: [.success(.refused)]),
                    peers: ["pg-a": Scene.usable()], access: AccessRules(username: "u", password: "p"),
                    outcome: .busy("restart"))
            }
        }

        /// What schemathesis is told on top.
        var options: [String] { self == .busyBehindAPassword ? ["--auth", "u:p"] : [] }
    }

    @Test(arguments: Situation.allCases) func everyAnswerIsInTheContract(_ situation: Situation) async throws {
        var configuration = HTTPServerConfiguration(listen: [ListenAddress(host: "127.0.0.1", port: 0)])
        configuration.settings.serverName = "Matriarch"
        let bench = situation.bench
        // Streams end at once, so that `/events` does.
        bench.node.end()
        let server = HTTPServer(configuration: configuration, handler: bench.api, logger: bench.logger)
        let port = try await server.start().first?.port ?? 0
        let result = try await Subprocess.run(
            .name("env"),
            arguments: Arguments(
                [
                    schemathesis ?? "", "run", "http://127.0.0.1:\(port)/openapi.yaml", "--phases",
                    "examples,coverage,fuzzing", "--mode",
                    "all", "--max-examples", "5", "--seed", "5", "--generation-deterministic",
                    "--no-color", "--continue-on-failure", "--checks",
                    "status_code_conformance,content_type_conformance,response_headers_conformance,"
                        + "response_schema_conformance",
                ] + situation.options),
            output: .string(limit: 4 << 20), error: .string(limit: 1 << 20))
        await server.stop(drain: .zero)
        #expect(
            result.terminationStatus == .exited(0),
            "\(result.standardOutput.suffix(6000))\n\(result.standardError.suffix(1000))")
    }
}
