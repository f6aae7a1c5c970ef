import ClusterModel
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// What keeps a server from starting although each value can be read.
@Suite struct StartRuleTests {
    private func names(_ parameters: ParameterMap, version: Int = 150_000) -> [String] {
        let ground = StartRule.Ground(memory: 4 << 30, libraries: ["plpgsql", "pg_stat_statements"])
        return StartRule.objections(parameters, version: version, ground).map(\.name)
    }

    @Test func connectionsThatAreKeptLeaveSome() {
        #expect(
            names(["max_connections": "30", "superuser_reserved_connections": "30"]) == [
                "superuser_reserved_connections"
            ])
        #expect(names(["max_connections": "30", "superuser_reserved_connections": "29"]) == [])
        #expect(
            names(["max_connections": "30", "reserved_connections": "28"], version: 160_000) == ["reserved_connections"]
        )
        #expect(names(["max_connections": "30", "reserved_connections": "28"]) == [])
    }

    @Test func memoryAndLibrariesAreThere() {
        #expect(names(["shared_buffers": "5GB"]) == ["shared_buffers"])
        #expect(names(["shared_buffers": "1000000"]) == ["shared_buffers"])
        #expect(names(["shared_buffers": "128MB"]) == [])
        #expect(names(["shared_preload_libraries": "pg_stat_statements, none_such"]) == ["shared_preload_libraries"])
        #expect(names(["shared_preload_libraries": "$libdir/plpgsql, pg_stat_statements.so,/opt/x.so"]) == [])
    }

    @Test(
        arguments: [
            ("postgres (PostgreSQL) 15.6 (Debian 15.6-1)\n", "15"), ("postgres (PostgreSQL) 17beta1", "17"),
            ("postgres (EnterpriseDB) 16.2\n", "16"), ("postgres", nil), ("", nil), ("postgres (x) devel", nil),
        ] as [(String, String?)])
    func versionOfAProgram(_ text: String, _ version: String?) {
        #expect(ServerProgram.majorVersion(in: text) == version)
    }

    @Test(
        arguments: [
            ("", nil), ("# a comment", nil), ("local all all trust", nil), ("local  all,b  \"a b\" peer map=x", nil),
            ("host all all 127.0.0.1/32 md5", nil), ("host all all 10.0.0.0 255.0.0.0 md5 # x", nil),
            ("hostssl all all ::/0 cert clientcert=verify-full", nil), ("host all all samenet scram-sha-256", nil),
            ("host all all .example.org gss include_realm=0", nil), ("host a, b all all reject", nil),
            ("hots all all 127.0.0.1/32 md5", "hots is no type of connection"), ("host all", "names no user"),
            ("local", "names no database"), ("host all all", "names no address"),
            ("host all all 127.0.0.1 md5", "the address 127.0.0.1 has no mask: 127.0.0.1/32 is one host"),
            ("host all all 127.0.0.1/33 md5", "127.0.0.1/33 has a mask of other than 0 to 32 bits"),
            ("host all all pg-a/32 md5", "pg-a/32 is no network"),
            ("host all all 127.0.0.1/32", "names no method of authentication"),
            ("host all all 127.0.0.1/32 scram", "scram is no method of authentication"),
            ("host all all all peer", "peer is for local connections only"),
            ("local all all \"md5", "a quote is not closed"),
            ("local all all md5 map", "map is no option: name=value is one"),
        ] as [(String, String?)])
    func accessRule(_ line: String, _ mistake: String?) {
        #expect(AccessRuleText.mistake(in: line) == mistake)
    }
}

@Suite(
    "A configuration on trial", .serialized, .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(2)))
struct ConfigurationTrialServerTests {
    @Test("PostgreSQL says what it would not start with, and nothing is changed")
    func trial() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            func keys(_ parameters: JSONObject) async -> [String] {
                await server.controller.objections(to: ["parameters": .object(parameters)]).map(\.key)
            }
            #expect(await keys(["work_mem": "8MB", "a.b": "x"]) == [])
            #expect(await keys(["work_mem": "plenty"]) == ["postgresql.parameters.work_mem"])
            #expect(await keys(["no_such_thing": 1]) == ["postgresql.parameters.no_such_thing"])
            #expect(await keys(["shared_buffers": "900TB"]) == ["postgresql.parameters.shared_buffers"])
            #expect(
                await keys(["timezone": "Nowhere/Land"]) == ["postgresql.parameters.timezone"], "it asks the server")
            #expect(
                await keys(["shared_preload_libraries": "nope"]) == ["postgresql.parameters.shared_preload_libraries"])
            let rules = await server.controller.objections(to: ["pg_hba": ["local all all trust", "host all all x"]])
            #expect(rules.map(\.key) == ["postgresql.pg_hba.1"])
            let missing = await server.controller.objections(to: ["custom_conf": "/missing"])
            #expect(missing.map(\.key) == ["postgresql.custom_conf"])
            try Files.replace(root + "/custom.conf", with: "work_mem = 8MB\n".utf8, mode: 0o644)
            #expect(await server.controller.objections(to: ["custom_conf": .string(root + "/custom.conf")]).isEmpty)
            #expect(try Files.list("\(root)/n1").filter { $0.hasPrefix(".matriarch-trial") } == [])
            #expect(try await server.sql("SELECT 1") == [["1"]])
        }
    }
}
