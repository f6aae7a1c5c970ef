import Posix
import Testing

/// Every edge of the package's graph: what a file imports is declared, what is declared is imported, and some arrows
/// are never drawn, whatever is declared.
@Suite struct GraphTests {
    private static let manifest = Result { try Manifest.read() }
    private static let sources = Result { try SourceFile.all(under: "Sources") + SourceFile.all(under: "Tests") }

    @Test func theManifestIsRead() throws {
        let targets = try Self.manifest.get().targets
        #expect(targets["HighAvailability"]?.dependencies == ["ClusterModel"])
        #expect(targets["CTLSShims"]?.dependencies == ["COpenSSL"])
        #expect(targets["CYAML"]?.dependencies == [])
        #expect(targets["TidyTests"]?.dependencies == ["Posix"])
        #expect(targets.count > 40)
        let folders = Set(try Self.sources.get().map(\.target))
        #expect(folders.subtracting(targets.keys) == [], "folders without a target")
    }

    /// The compiler finds the modules of indirect dependencies, too: then an arrow exists that nobody has drawn.
    @Test func whatIsImportedIsDeclared() throws {
        let targets = try Self.manifest.get().targets
        for file in try Self.sources.get() {
            guard let target = targets[file.target] else { continue }
            for entry in file.imports where targets[entry.module] != nil && entry.module != file.target {
                guard !target.dependencies.contains(entry.module) else { continue }
                Issue.record("\(file.path):\(entry.line): \(entry.module) is no dependency of \(file.target)")
            }
        }
    }

    @Test func whatIsDeclaredIsImported() throws {
        var imported: [String: Set<String>] = [:]
        for file in try Self.sources.get() { imported[file.target, default: []].formUnion(file.imports.map(\.module)) }
        for (name, target) in try Self.manifest.get().targets {
            guard let imported = imported[name] else { continue }
            let unused = target.dependencies.subtracting(imported)
            #expect(unused == [], "\(name) imports none of these")
        }
    }

    /// What each of our targets may know of the others, and no more: an arrow is drawn here, too, or not at all.
    @Test(arguments: Graph.allowed) func arrowsAreAllowed(target: String, allowed: Set<String>) throws {
        let manifest = try Self.manifest.get()
        let known = try #require(manifest.targets[target]?.dependencies)
        #expect(known == allowed, "\(target): the table in Graph.swift and Package.swift differ")
    }

    @Test func everyTargetStandsInTheTable() throws {
        let names = try Self.manifest.get().targets.filter { !$0.value.isSystem && !$0.value.isTest }.map(\.key)
        #expect(Set(names) == Set(Graph.allowed.map(\.0)))
    }

    /// Dependencies point one way: a target stands below all that use it.
    @Test func theTableHasAnOrder() {
        var below: Set<String> = []
        for (target, allowed) in Graph.allowed {
            let unknown = allowed.subtracting(below).subtracting(Graph.systemLibraries)
            #expect(unknown == [], "\(target) stands above these")
            below.insert(target)
        }
    }

    /// Whom a target never reaches, however far round.
    @Test(
        arguments: [
            ("Posix", ["ClusterModel", "CCurl", "COpenSSL"]), ("HTTPServer", ["ClusterModel", "CCurl", "CLibPQ"]),
            ("simulate", ["CCurl", "COpenSSL", "CLibPQ", "CYAML"]),
            ("matriarch-guardian", ["Posix", "ClusterModel", "CCurl", "COpenSSL", "CLibPQ", "CYAML", "CJansson"]),
            ("ClusterAccess", ["PostgreSQL", "CLibPQ", "GuardianClient", "HTTPServer", "Node", "ControlAPI"]),
            ("RestService", ["Node", "PostgreSQL", "GuardianClient"]),
            ("PostgreSQL", ["Guardian", "CGuardian", "HTTPClient", "HTTPServer"]),
            ("ControlAPI", ["Node", "Etcd", "PostgreSQL", "Configuration"]), ("Node", ["Posix", "Etcd", "PostgreSQL"]),
        ] as [(String, Set<String>)])
    func neverReaches(target: String, forbidden: Set<String>) throws {
        let reached = try Self.manifest.get().reached(from: target)
        #expect(!reached.isEmpty)
        #expect(reached.intersection(forbidden) == [], "\(target) reaches these")
    }
}
