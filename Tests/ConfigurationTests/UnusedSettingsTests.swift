import Posix
import Testing

@testable import Configuration

/// A setting that is parsed and read by nobody is a promise that nobody keeps: whoever sets it must be told. These look
/// through the sources, because no test of behaviour misses what does not happen.
@Suite struct UnusedSettingsTests {
    /// For tools and tests, or read by another property of the same file.
    private static let exempt: Set<String> = [
        "tree", "storePrefix", "listenAddresses", "configurationBaseName", "removesDataDirectoryOnRewindFailure",
        "removesDataDirectoryOnDivergedTimelines",
    ]
    /// Slots that are of no member are left alone whether they stand there or not.
    private static let needless: Set<String> = ["ignore_slots"]

    private struct Source {
        let path: String
        let text: String
    }

    private static func sources() throws -> [Source] {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return try swiftFiles("\(root)/Sources").map { path in
            Source(path: String(path.dropFirst(root.count + 1)), text: try Files.readText(path))
        }
    }

    private static func swiftFiles(_ directory: String) throws -> [String] {
        try Files.list(directory).flatMap { name -> [String] in
            let path = "\(directory)/\(name)"
            if Files.kind(followingLinks: path) == .directory { return try swiftFiles(path) }
            return name.hasSuffix(".swift") ? [path] : []
        }
    }

    /// The names of the properties that a file declares for others.
    private static func properties(_ text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let first = words.firstIndex(of: "public"), words.count > first + 2 else { return nil }
            guard ["let", "var"].contains(words[first + 1]) else { return nil }
            return String(words[first + 2].prefix { $0.isLetter || $0.isNumber })
        }
    }

    private static func isRead(_ name: String, in text: String) -> Bool {
        var rest = text[...]
        while let found = rest.firstRange(of: ".\(name)") {
            rest = rest[found.upperBound...]
            guard let next = rest.first, next.isLetter || next.isNumber || next == "_" else { return true }
        }
        return false
    }

    @Test func everyParsedSettingHasAReader() throws {
        let sources = try Self.sources()
        let declaring = sources.filter { source in
            source.path.hasPrefix("Sources/Configuration/Settings/")
                || [
                    "ClusterModel/Settings/DynamicConfiguration", "PostgreSQL/Instance/LocalPostgreSQLConfiguration",
                ].contains { source.path == "Sources/\($0).swift" }
        }
        #expect(declaring.count > 8)
        // The wiring hands a setting on, which is not reading it; the simulation is no part of the daemon.
        let readers = sources.filter { source in
            !source.path.hasPrefix("Sources/Configuration/") && !source.path.hasPrefix("Sources/Simulation/")
        }
        for file in declaring {
            let isHandedOn = file.path.hasPrefix("Sources/Configuration/")
            let others = readers.filter { $0.path != file.path && (isHandedOn || !$0.path.hasSuffix("Wiring.swift")) }
            for name in Self.properties(file.text) where !Self.exempt.contains(name) {
                #expect(others.contains { Self.isRead(name, in: $0.text) }, "\(file.path): nobody reads \(name)")
            }
        }
    }

    /// Whoever sets a key is heard, or told that it has no effect.
    @Test func everyKnownKeyIsReadOrWarnedOf() throws {
        let text = try Self.sources()
            .filter { source in
                source.path.hasPrefix("Sources/Configuration/")
                    && !source.path.hasPrefix("Sources/Configuration/Keys/")
                    && !source.path.hasSuffix("EnvironmentTable.swift")
                    || ["DynamicConfiguration", "ClusterTimings", "FailsafeTimeout", "PermanentSlots"].contains {
                        source.path == "Sources/ClusterModel/Settings/\($0).swift"
                    }
            }
            .map(\.text).joined()
        let warned = Set(SettingTable.keys.filter { $0.withoutEffect != nil }.map(\.path))
        let sections =
            ["", "log", "bootstrap", "bootstrap.dcs", "restapi", "ctl", "postgresql", "guardian", "watchdog"]
            + StoreSettings.spokenSections
        for section in sections {
            for key in SettingTable.keys(of: section) where !Self.needless.contains(key) {
                let path = section.isEmpty ? key : "\(section).\(key)"
                // A section is read by its keys.
                if !SettingTable.keys(of: path).isEmpty { continue }
                let isRead = ["\"\(path)\"", ").\(key)\"", "\"\(key)\""].contains { text.contains($0) }
                #expect(isRead || warned.contains(path), "nobody reads \(path), and nobody says so")
            }
        }
    }
}
