import ClusterModel
import Glibc
import HTTPServer
import HighAvailability
import Logging
import Ports
import Posix
import Subprocess
import TestSupport
import Testing

@testable import ControlAPI

/// The program, where there is one.
private let schemathesis = getenv("MATRIARCH_SCHEMATHESIS").map { String(cString: $0) }

/// Another choice of what is tried than that of every run.
private let seed = getenv("MATRIARCH_CONTRACT_SEED").map { String(cString: $0) }

/// Walks `openapi/matriarch.yaml` against the server over HTTP, with what it allows and with what it does not, by
/// schemathesis (`scripts/test contract` installs it and names it): any answer that the contract does not have is a
/// failure. What is tried is the same in every run, unless `MATRIARCH_CONTRACT_SEED` is set.
@Suite(.serialized, .timeLimit(.minutes(10)), .enabled(if: schemathesis != nil))
struct ContractServerTests {
    /// The node in the situations whose answers differ most.
    enum Situation: CaseIterable {
        case leader, replicaWithoutStore, busyBehindAPassword, withoutThePassword

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
            case .busyBehindAPassword, .withoutThePassword:
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
        let contract = try contractText()
        let (status, output) = try await walk(contract, situation, situation.options)
        #expect(status == .exited(0), "\(output)")
    }

    /// What the walk must not pass over: an answer to what is allowed, one to what is not, a body of another type.
    enum Deviation: CaseIterable {
        case goodAnswer, refusal, contentType

        var path: String {
            switch self {
            case .goodAnswer: "/liveness"
            case .refusal: "/switchover"
            case .contentType: "/reload"
            }
        }

        /// Within the path's part of the contract: what is replaced by what.
        var change: (String, String) {
            switch self {
            case .goodAnswer: ("\"200\"", "\"201\"")
            case .refusal: ("\"400\"", "\"418\"")
            case .contentType: ("text/html", "text/csv")
            }
        }

        var finding: String { self == .contentType ? "Undocumented Content-Type" : "Undocumented status code" }
    }

    @Test(arguments: Deviation.allCases) func anAnswerThatIsNotInTheContractFails(_ deviation: Deviation) async throws {
        var contract = try contractText()
        let path = try #require(contract.firstRange(of: "\n  \(deviation.path):\n"))
        let (old, new) = deviation.change
        let rest = path.upperBound..<contract.endIndex
        contract.replaceSubrange(try #require(contract[rest].firstRange(of: old)), with: new)
        let (status, output) = try await walk(contract, .leader, ["--include-path", deviation.path])
        #expect(status == .exited(1) && output.contains(deviation.finding), "\(output)")
    }

    private func contractText() throws -> String {
        try #require(String(validating: PackageResources.matriarch_yaml, as: UTF8.self))
    }

    /// How schemathesis ended, and the end of what it said.
    private func walk(
        _ contract: String, _ situation: Situation, _ options: [String]
    ) async throws -> (TerminationStatus, String) {
        // The program keeps what it has found, which is nothing for the next run, nor for the working directory.
        let directory = try makeTemporaryDirectory("contract")
        defer { try? Files.removeTree(directory) }
        try Files.replace("\(directory)/contract.yaml", with: contract.utf8, mode: 0o600)
        var configuration = HTTPServerConfiguration(listen: [ListenAddress(host: "127.0.0.1", port: 0)])
        configuration.settings.serverName = "Matriarch"
        let bench = situation.bench
        // Streams end at once, so that `/events` does.
        bench.node.end()
        let server = HTTPServer(configuration: configuration, handler: bench.api, logger: bench.logger)
        let port = try await server.start().first?.port ?? 0
        // A proxy of the environment must not come between.
        let words = ["--chdir=\(directory)", "NO_PROXY=*", "no_proxy=*", schemathesis ?? ""]
        let result = try await Subprocess.run(
            .name("env"), arguments: Arguments(words + command(port) + options),
            output: .string(limit: 4 << 20), error: .string(limit: 1 << 20))
        await server.stop(drain: .zero)
        let (said, complained) = (result.standardOutput, result.standardError)
        return (result.terminationStatus, "\(said.suffix(6000))\n\(complained.suffix(1000))")
    }

    private func command(_ port: UInt16) -> [String] {
        let choice = seed.map { ["--seed", $0, "--generation-database", "none"] } ?? ["--generation-deterministic"]
        let checks = ["status_code", "content_type", "response_headers", "response_schema"].map { "\($0)_conformance" }
        return [
            "run", "contract.yaml", "--url", "http://127.0.0.1:\(port)", "--phases", "examples,coverage,fuzzing",
            "--mode", "all", "--max-examples", "5", "--no-color", "--continue-on-failure", "--checks",
            checks.joined(separator: ","),
        ] + choice
    }
}
