import ClusterModel
import Ports
import Posix
import Testing

@testable import PostgreSQL

@Suite(
    "Rules for clients", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2)))
struct RulesServerTests {
    private static let wrong = ["host all all 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.2/32 no-such-method"]

    private func document(_ rules: [String]) -> JSONObject { ["pg_hba": .array(rules.map { .string($0) })] }

    @Test("A running server keeps its rules where the new ones cannot be read, and starts with them again")
    func reload() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let file = root + "/n1/pg_hba.conf"
            let before = try Files.readText(file)
            try await server.controller.adopt(configuration: document(Self.wrong))
            #expect(try Files.readText(file) == before)
            let mistakes = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"
            #expect(try await server.sql(mistakes) == [["0"]])
            #expect(try await server.restart() == .done)
            #expect(try await server.sql("SELECT 1") == [["1"]])
            #expect(try Files.readText(file) == before)
            // What is right afterwards is taken.
            let usual = server.configuration.hostBasedAuthentication ?? []
            try await server.controller.adopt(configuration: document(usual + ["# new"]))
            #expect(try Files.readText(file).contains("# new"))
        }
    }

    @Test("A server that is down starts with the rules of its last start where the new ones cannot be read")
    func start() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let before = try Files.readText(root + "/n1/pg_hba.conf")
            _ = try await server.controller.perform(.stop(.fast, timeout: .seconds(20)))
            var configuration = server.configuration
            configuration.hostBasedAuthentication = Self.wrong
            let next = try TestServer.controller(configuration)
            #expect(try await next.perform(.startPrimary(timeout: .seconds(30))) == .done)
            #expect(try await server.sql("SELECT 1") == [["1"]])
            // The new rules are tried on the running server, which says what is wrong with them.
            try await next.adopt(configuration: [:])
            #expect(try Files.readText(root + "/n1/pg_hba.conf") == before)
            #expect(try await server.sql("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == [["0"]])
        }
    }
}
