import ClusterModel
import Glibc
import Ports
import Posix
import Testing

@testable import PostgreSQL

/// What our escapers write, read by PostgreSQL itself.
@Suite("Escapes before a server", .enabled(if: TestServer.binDirectory != nil), .timeLimit(.minutes(5)))
struct EscapesServerTests {
    private static let texts: [String] = {
        let specials = [
            "'", "\"", "\\", "\n", "\r\n", "\t", " ", "#", "$", "=", "%", "\u{1B}", "\u{85}", "\u{2028}", "''",
        ]
        return specials.flatMap { special in
            ["", "\u{301}", "\u{200D}", "\u{1F1E6}"].flatMap { mark in
                ["x\(special)\(mark)y", "\(special)\(mark)", "\(mark)\(special)", "\\\(special)\(mark)"]
            }
        }
    }()

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("Values of parameters, and texts and names in SQL")
    func roundTrip() async throws {
        try await withServers { root in
            let server = try TestServer("n1", in: root)
            _ = try await server.bootstrap()
            let numbered = Self.texts.enumerated().map { ("esc.v\($0.offset)", JSONValue.string($0.element)) }
            let names: [(String, JSONValue)] = Self.texts.map { ("esc.name\($0)", "1") }
            try await server.controller.adopt(configuration: ["parameters": .object(JSONObject(numbered + names))])
            let rows = try await server.sql(
                "SELECT name, setting FROM pg_file_settings WHERE name LIKE 'esc.v%' AND applied")
            #expect(rows.count == Self.texts.count)
            let errors = try await server.sql("SELECT error FROM pg_file_settings WHERE error IS NOT NULL")
            #expect(errors.isEmpty, "\(errors)")
            for (index, text) in Self.texts.enumerated() {
                let read = rows.first { $0[0] == "esc.v\(index)" }?[1] ?? "none"
                let expected = bytes(text).map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? 0x20 : $0 }
                #expect(bytes(read) == expected, "\(text.debugDescription)")
                let told = try await server.sql("SELECT \(SQLText.literal(text)) AS \(SQLText.identifier(text))")
                #expect(told.first?[0].map(bytes) == bytes(text), "\(text.debugDescription)")
            }
        }
    }
}
