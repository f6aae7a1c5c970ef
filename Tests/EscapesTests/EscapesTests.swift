import CLibPQ
import ClusterModel
import JSON
import Logging
import Testing

@testable import ControlAPI
@testable import HTTPServer
@testable import Logs
@testable import PostgreSQL

/// Text from outside that goes into other programs. They read bytes: a quote with a combining mark behind it is a quote
/// to all of them, and "\r\n" holds a line feed. Every escaper is given every special character, alone and grown
/// together with marks, and what it wrote is read as the other program reads it.
@Suite struct EscapesTests {
    static let specials = [
        "'", "\"", "\\", "\n", "\r", "\r\n", "\t", " ", ":", "=", "&", "<", ">", "#", "$", "`", ";", "%", ",", "*", "/",
        "\u{1B}", "\u{9B}", "\u{0B}", "\u{85}", "\u{2028}",
    ]
    static let texts = specials.flatMap { special in
        ["", "\u{301}", "\u{200D}", "\u{FE0F}", "\u{1F1E6}"].flatMap { mark in
            ["x\(special)\(mark)y", "\(special)\(mark)", "\(mark)\(special)", "\(special)\(mark)\(special)\(mark)"]
        }
    }

    /// Swift takes texts for equal that other programs do not.
    private func isSame(_ left: some StringProtocol, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    /// What stands between quotes, each of `escapes` taking the byte behind it along; nil where the closing quote is
    /// not the last byte.
    private func unquoted(_ text: some StringProtocol, _ quote: Unicode.Scalar, _ escapes: [Unicode.Scalar]) -> String?
    {
        var bytes = Array(text.utf8)[...]
        guard bytes.popFirst() == UInt8(ascii: quote) else { return nil }
        let escapes = escapes.map { UInt8(ascii: $0) }
        var value: [UInt8] = []
        while let byte = bytes.popFirst() {
            if escapes.contains(byte), let next = bytes.first, byte != UInt8(ascii: quote) || next == byte {
                value.append(next)
                bytes = bytes.dropFirst()
            } else if byte == UInt8(ascii: quote) {
                return bytes.isEmpty ? String(decoding: value, as: UTF8.self) : nil
            } else {
                value.append(byte)
            }
        }
        return nil
    }

    private func onOneLine(_ text: String) -> String {
        String(
            decoding: text.utf8.map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? UInt8(ascii: " ") : $0 },
            as: UTF8.self)
    }

    /// What a terminal is told of a configuration: one line, and no orders.
    @Test(arguments: texts) func oneLine(_ text: String) {
        let line = text.onOneLine
        #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
        #expect(!line.unicodeScalars.contains("\u{2028}") && line.onOneLine == line)
        #expect("a\nb\u{1B}[31m\u{9B}\u{85}\u{2028}ä".onOneLine == #"a\nb\x1b[31m\x9b\x85\u2028ä"#)
    }

    @Test(arguments: texts) func postgresqlConf(_ text: String) throws {
        let line = ConfigurationText.quote(text)
        #expect(!line.hasByte("\n") && !line.hasByte("\r"))
        let value = try #require(unquoted(line, "'", ["'", "\\"]), "\(line.debugDescription) ends early or never")
        #expect(isSame(value, onOneLine(text)))
        let read = try #require(ConfigurationText.setting(Substring("a.b = \(line) # '")))
        #expect(read.name == "a.b" && isSame(read.value, onOneLine(text)))
        let file = ConfigurationText.main(
            include: text, parameters: ["application_name": text, "name\(text)": "1", text: "2"],
            hostBasedAuthenticationFile: text, identityFile: text, recovery: ["restore_command": text])
        let lines = file.split(atByte: "\n").filter { !$0.isEmpty && $0.utf8.first != UInt8(ascii: "#") }
        #expect(lines.count == 5, "\(file)")
        #expect(isSame(ConfigurationText.recovery(in: file)["restore_command"] ?? "none", onOneLine(text)))
    }

    @Test(arguments: texts) func hostBasedAuthentication(_ text: String) {
        let lines = ConfigurationText.lines(["a\(text)", "b"]).split(atByte: "\n")
        #expect(lines.count == 5 && lines.last?.isEmpty == true && lines[3] == "b")
    }

    @Test(arguments: texts) func automaticConfiguration(_ text: String) {
        let other = "work_mem = '1'\(onOneLine(text))"
        let cleaned = ConfigurationText.withoutRecovery("\(other)\n\u{301}\nprimary_conninfo = 'x'\n\(other)\n")
        #expect(isSame(cleaned, "\(other)\n\u{301}\n\(other)\n"))
    }

    /// By libpq's own reader.
    @Test(arguments: texts) func connectionStrings(_ text: String) throws {
        let parameters: ParameterMap = ["host": text, "user": text, "application_name": "me"]
        let written = ConnectionString.render(parameters)
        var read: [String: String] = [:]
        let options = try #require(PQconninfoParse(written, nil), "\(written.debugDescription)")
        defer { PQconninfoFree(options) }
        var at = options
        while let keyword = at.pointee.keyword {
            if let value = at.pointee.val { read[String(cString: keyword)] = String(cString: value) }
            at += 1
        }
        #expect(read.count == 3)
        for entry in parameters.entries { #expect(isSame(read[entry.name] ?? "none", entry.value)) }
        let ours = try #require(ConnectionString.parse(written))
        #expect(ours.entries.count == 3 && isSame(ours["host"] ?? "none", text))
    }

    @Test(arguments: texts) func passwordFiles(_ text: String) {
        // Hosts with a comma are many; those with a line break are refused where they are read.
        let line = PasswordFile.render(host: "h", port: 1, user: text, password: text)
        var fields: [[UInt8]] = [[]]
        var bytes = Array(line.utf8.dropLast())[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "\\"), let next = bytes.popFirst() {
                fields[fields.count - 1].append(next)
            } else if byte == UInt8(ascii: ":") {
                fields.append([])
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        #expect(
            fields.map { String(decoding: $0, as: UTF8.self) }.map { Array($0.utf8) } == [
                Array("h".utf8), Array("1".utf8), Array("*".utf8), Array(text.utf8), Array(text.utf8),
            ])
    }

    @Test(arguments: texts) func sql(_ text: String) throws {
        #expect(isSame(try #require(unquoted(SQLText.identifier(text), "\"", ["\""])), text))
        let literal = SQLText.literal(text)
        if literal.utf8.first == UInt8(ascii: "'") {
            // Backslashes mean something or not, as the server is set.
            #expect(!text.hasByte("\\"))
            #expect(isSame(try #require(unquoted(literal, "'", ["'"])), text))
        } else {
            #expect(literal.utf8.starts(with: " E'".utf8))
            #expect(isSame(try #require(unquoted(literal.utf8Dropping(2), "'", ["'", "\\"])), text))
        }
    }

    @Test(arguments: texts) func metricsLabels(_ text: String) throws {
        let label = "\"\(MetricsDocument.escaped(text))\""
        #expect(!label.hasByte("\n"))
        let value = try #require(unquoted(label, "\"", ["\\"]))
        #expect(value.utf8.count == text.utf8.count)
    }

    @Test(arguments: texts) func errorPages(_ text: String) {
        let written = HTTPResponse.escaped(text)
        #expect(!written.hasByte("<") && !written.hasByte(">"))
        let entities = written.split(atByte: "&").dropFirst()
        #expect(entities.allSatisfy { part in ["amp;", "lt;", "gt;"].contains { part.utf8.starts(with: $0.utf8) } })
    }

    @Test(arguments: texts) func logLines(_ text: String) throws {
        var options = LogOptions()
        options.layout = .json([LogOptions.Field(name: "message", key: "message")])
        let record = LogRecord(
            level: .info, label: "x", message: text, time: 0, metadata: [(key: "k", value: text)])
        let json = LineFormat(options).line(record)
        let object = try JSON.parse(json)
        #expect(isSame(object["message"]?.string ?? "none", text) && isSame(object["k"]?.string ?? "none", text))
        #expect(json.split(atByte: "\n").count == 2)
        options.layout = .plain("%(levelname)s: %(message)s")
        let lines = LineFormat(options).line(record).split(atByte: "\n")
        #expect(lines.last?.isEmpty == true)
        #expect(lines.dropFirst().dropLast().allSatisfy { $0.utf8.first == UInt8(ascii: "\t") })
        #expect(lines.joined().unicodeScalars.allSatisfy { $0 == "\t" || !(0..<0x20).contains($0.value) })
        #expect(!lines.joined().unicodeScalars.contains { (0x7F..<0xA0).contains($0.value) })
    }

    @Test(arguments: texts) func documents(_ text: String) throws {
        for style in [JSON.Style.compact, .spaced] {
            let object = try JSON.parse(JSON.text(JSONObject([(text, .string(text))]), style)).object
            #expect(isSame(object?.members.first?.key ?? "none", text))
            #expect(isSame(object?.members.first?.value.string ?? "none", text))
        }
    }

    /// No spelling of an option gets past the list of those that are forbidden.
    @Test(arguments: texts) func optionsOfTools(_ text: String) {
        let names = ["pgdata\(text)=", "pgdata=\(text)", "pgdat", "pgdata=/x"]
        for name in names where !name.utf8.starts(with: "pgdatax=".utf8) {
            let items: [JSONValue] = [.string(name), .object(JSONObject([(name, .string(text))]))]
            #expect(ToolOptions("initdb", .array(items), forbidden: ["pgdata"]).arguments == [])
        }
        let free = ToolOptions("initdb", .array([.string("locale=\(text)")]), forbidden: ["pgdata"]).arguments
        #expect(free.count == 1 && free[0].utf8.starts(with: "--locale=".utf8))
    }

    @Test(arguments: ["db1.example.org", "192.0.2.7", "2001:db8::7", "fe80::1%eth0", "/run/postgresql"])
    func hostsThatMembersHave(_ host: String) {
        let key = Member(name: "m", data: ["conn_kwargs": ["host": .string(host), "port": 5432]])
        #expect(Upstream(key)?.address.host == host)
    }

    /// Parameters of libpq behind a blank are none of a host.
    @Test(arguments: ["\t", " ", "\n", "\u{0B}"], ["passfile", "service", "sslkey", "application_name"])
    func parametersBehindAHost(_ blank: String, _ parameter: String) {
        for host in ["db1\(blank)\(parameter)=/x", "\(blank)\(parameter)=/x"] {
            let key = Member(name: "m", data: ["conn_kwargs": ["host": .string(host), "port": 5432]])
            let url = Member(name: "m", data: ["conn_url": .string("postgres://\(host):5432/postgres")])
            for member in [key, url] {
                let found = Upstream(member)?.address.host ?? ""
                #expect(!found.contains("=") && !found.contains(parameter), "\(found)")
            }
        }
    }

    @Test(arguments: texts) func hostsOfMembers(_ text: String) {
        for host in ["a\(text)b", "\(text)a"] where !["-", ".", ":", "/", "%"].contains(text) {
            let key = Member(name: "m", data: ["conn_kwargs": ["host": .string(host), "port": 5432]])
            let url = Member(name: "m", data: ["conn_url": .string("postgres://\(host):5432/postgres")])
            for member in [key, url] {
                guard let upstream = Upstream(member) else { continue }
                #expect(upstream.address.host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
                #expect(!upstream.address.host.utf8.contains { "'\"\\=,;".utf8.contains($0) })
            }
        }
    }
}

extension String {
    fileprivate func utf8Dropping(_ count: Int) -> Substring { Substring(utf8.dropFirst(count)) }
}
