import Posix
import Testing

@Suite struct TidyTests {
    private static let sources = Result { try SourceFile.all(under: "Sources") }
    private static let tests = Result { try SourceFile.all(under: "Tests") }

    private func expectNone(_ found: [String]) {
        for line in found { Issue.record("\(line)") }
    }

    @Test func thereAreSources() throws {
        #expect(try Self.sources.get().count > 20)
    }

    /// Monitoring compares the version that we say with the one that it knows.
    @Test func theVersionThatIsSaidIsTheOneThatIsComparedWith() throws {
        let setup = try Files.readText("\(Package.root)/scripts/setup").split(separator: "\n")
        let line = try #require(setup.first { $0.hasPrefix("patroni_version=") })
        let version = String(line.dropFirst("patroni_version=".count))
        let daemon = try Files.readText("\(Package.root)/Sources/ClusterAccess/Version.swift")
        #expect(daemon.contains("static let patroni = \"\(version)\""))
    }

    @Test func bannedWords() throws {
        expectNone(try Self.sources.get().flatMap(Rules.banned))
    }

    @Test func bannedModules() throws {
        for file in try Self.sources.get() {
            for entry in file.imports where Rules.bannedModules.contains(entry.module) {
                Issue.record(
                    "\(file.path):\(entry.line): \(entry.module) is banned; Posix, JSON and ClusterModel have it")
            }
        }
    }

    /// Their headers would become everybody's.
    @Test func systemLibrariesStayInside() throws {
        for file in try Self.sources.get() {
            for entry in file.imports
            where entry.isPublic && entry.module.hasPrefix("C") && entry.module != "ClusterModel" {
                let isOurs = ["ClusterAccess", "Configuration", "ControlAPI"].contains(entry.module)
                if !isOurs { Issue.record("\(file.path):\(entry.line): \(entry.module) must not be a public import") }
            }
        }
    }

    @Test func promisesToTheCompilerHaveReasons() throws {
        expectNone(try Self.sources.get().flatMap(Rules.unexplained))
        expectNone(try Self.tests.get().flatMap(Rules.unexplained))
    }

    @Test func nothingIsTooLong() throws {
        expectNone(try Self.sources.get().flatMap(Rules.tooLong))
        expectNone(try Self.tests.get().flatMap(Rules.tooLong))
    }

    /// The rules can be simulated because nothing else is in them.
    @Test(
        arguments: [
            ("Instants", []), ("ClusterModel", ["Instants"]), ("HighAvailability", ["ClusterModel"]),
        ] as [(String, Set<String>)])
    func thePureCoreImportsNothing(target: String, allowed: Set<String>) throws {
        let files = try Self.sources.get().filter { $0.target == target }
        #expect(!files.isEmpty)
        for file in files {
            for entry in file.imports where !allowed.contains(entry.module) {
                Issue.record("\(file.path):\(entry.line): \(target) may import \(allowed.sorted()) only")
            }
        }
    }

    /// The path is put together here so that this file does not hold it.
    @Test func noPathOfTheMachineItWasWrittenOn() throws {
        let places = ["/" + "work/", "/" + "root/"]
        for file in try Self.sources.get() + Self.tests.get() {
            for (index, line) in file.lines.enumerated() where places.contains(where: line.contains) {
                Issue.record("\(file.path):\(index + 1): a path of one machine")
            }
        }
    }
}

/// The rules themselves, on small texts.
@Suite struct RulesTests {
    private func file(_ text: String) -> SourceFile { SourceFile(path: "Sources/X/Y.swift", text: text) }

    @Test(arguments: [
        "print(x)", "let a = try! f()", "x as! Int", "let b = a!", "f()!.g", "a[0]! + 1", "Glibc.exit(1)", "  fork()",
        "\"\\(a!)\"", "\"\\(f(\"x\", try! g()))\"", "time(nil)", "fatalError()", "a /* b */ ; sleep(1)",
    ])
    func banned(text: String) {
        #expect(!Rules.banned(in: file(text)).isEmpty)
    }

    @Test(arguments: [
        "// print(x)", "/* a /* print(x) */ try! */", "\"print(x) a!\"", "\"\"\"\nprint(x) a!\n\"\"\"",
        "#\"a!\" \\(b!)\"#",
        "a != b", "!a", "if !f(), !g {", "logger.print(x)", "func print(x: Int)", "try await Task.sleep(for: x)",
        "sprint(x)", "fatalError(\"state \\(x)\")", "x as? Int", "\"a\\\"b!\"", "let localtime(x)",
    ])
    func allowed(text: String) {
        #expect(Rules.banned(in: file(text)) == [])
    }

    @Test func reasons() {
        #expect(Rules.unexplained(in: file("final class A: @unchecked Sendable {\n    let a = 1\n}")).count == 1)
        #expect(Rules.unexplained(in: file("final class A: @unchecked Sendable {\n    // Locked.\n}")) == [])
        #expect(Rules.unexplained(in: file("// Set once.\nnonisolated(unsafe) var a = 1")) == [])
        #expect(Rules.unexplained(in: file("let a = \"@unchecked Sendable\"")) == [])
    }

    @Test func lengths() {
        let body = String(repeating: "    f()\n", count: 50)
        #expect(Rules.tooLong(file("func a() {\n\(body)}")).count == 1)
        #expect(Rules.tooLong(file("init(\n    a: () -> Void = {}\n) {\n\(body)}")).count == 1)
        #expect(Rules.tooLong(file("func a()\nfunc b() {\n}\n\(body)")) == [])
        #expect(Rules.tooLong(file("var a: Int {\n\(body)}")).count == 1)
        #expect(Rules.tooLong(file("subscript(a: Int) -> Int {\n\(body)}")).count == 1)
        #expect(Rules.tooLong(file("var a: Int = {\n}()\nvar b: Int\n\(body)")) == [])
        #expect(Rules.tooLong(file(String(repeating: "x", count: 121))).count == 1)
        #expect(Rules.tooLong(file(String(repeating: "\n", count: 371))).count == 1)
    }

    @Test func imports() {
        let found = file("import A\npublic import B\n@testable import C\n// import D\n").imports
        #expect(found.map(\.module) == ["A", "B", "C"])
        #expect(found.map(\.isPublic) == [false, true, false])
    }
}
