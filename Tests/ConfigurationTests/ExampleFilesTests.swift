import ClusterModel
import Configuration
import Posix
import Testing

/// Configurations that we hand to operators: they are read without an error or a warning, and lead to a node that can
/// reach its own PostgreSQL.
@Suite struct ExampleFilesTests {
    private static let root =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

    private func effective(_ text: String, environment: [String: String] = [:]) throws -> EffectiveConfiguration {
        let local = try LocalConfiguration.parse(text, environment: environment)
        return try EffectiveConfiguration.effective(
            local: local, dynamic: local.tree["bootstrap"]?["dcs"]?.object)
    }

    /// The blocks of a page that are YAML.
    private func blocks(_ page: String) throws -> [String] {
        var blocks: [[Substring]] = []
        var isInside = false
        let text = try Files.readText("\(Self.root)/\(page)")
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isInside = line == "```yaml"
                if isInside { blocks.append([]) }
            } else if isInside, let last = blocks.indices.last {
                blocks[last].append(line)
            }
        }
        return blocks.map { $0.joined(separator: "\n") }
    }

    /// Our own connections go to localhost wherever PostgreSQL listens at every address.
    private func expectSound(_ configuration: EffectiveConfiguration, _ place: String) throws {
        #expect(configuration.warnings == [], "\(place)")
        let settings = configuration.postgreSQL
        let lines = try #require(settings.hostBasedAuthentication, "\(place)")
        let own = lines.contains { line in
            let words = line.split(separator: " ")
            return words.first == "host" && words.count > 4 && ["all", "localhost"].contains(words[3])
                && words[1] == "all" && words[2] == "all"
        }
        #expect(own, "\(place): the superuser is not let in from localhost")
        #expect(settings.listen.hosts == ["0.0.0.0"] && settings.usesRewind && settings.rewindUser != nil, "\(place)")
    }

    /// What another user of the host is kept from (docs/security.md); `scripts/check-package` has systemd judge all.
    @Test(arguments: ["matriarch.service", "matriarch@.service"])
    func theUnitsKeepOthersOut(_ name: String) throws {
        let text = try Files.readText("\(Self.root)/packaging/systemd/\(name)")
        let lines = Set(text.split(separator: "\n").map(String.init))
        for line in [
            "UMask=0077", "LimitCORE=0", "PrivateDevices=yes", "ProtectKernelTunables=yes", "NoNewPrivileges=yes",
            "CapabilityBoundingSet=", "RuntimeDirectoryMode=0700", "KillMode=process",
        ] {
            #expect(lines.contains(line), "\(name): \(line)")
        }
        #expect(lines.contains { $0.hasPrefix("RestrictAddressFamilies=") }, "\(name)")
    }

    @Test func theQuickStart() throws {
        let blocks = try blocks("docs/quickstart.md")
        #expect(blocks.count == 1)
        for block in blocks { try expectSound(effective(block), "docs/quickstart.md") }
    }

    @Test func thePackage() throws {
        let text = try Files.readText("\(Self.root)/packaging/debian/matriarch.yml")
        try expectSound(effective(text), "the package's example")
    }

    @Test(arguments: ["compose.yaml", "compose.small.yaml"]) func theContainers(file: String) throws {
        let text = try Files.readText("\(Self.root)/packaging/container/matriarch.yml")
        let services = try LocalConfiguration.parse(try Files.readText("\(Self.root)/\(file)")).tree["services"]?.object
        let nodes = services?.members.filter { $0.key.hasPrefix("n") } ?? []
        #expect(nodes.count >= 2)
        for node in nodes {
            let variables = node.value["environment"]?.object?.members ?? []
            let environment = Dictionary(uniqueKeysWithValues: variables.map { ($0.key, $0.value.comparableText) })
            try expectSound(effective(text, environment: environment), "\(file): \(node.key)")
        }
    }

    /// Pages name the file that the unit starts with.
    @Test func thePagesAndTheUnit() throws {
        let unit = try Files.readText("\(Self.root)/packaging/systemd/matriarch.service")
        let name = "/etc/matriarch/matriarch.yml"
        #expect(unit.contains("\nExecStart=/usr/bin/matriarch \(name)\n") && unit.contains("PathExists=\(name)\n"))
        for page in ["quickstart", "operations", "migration"] {
            let text = try Files.readText("\(Self.root)/docs/\(page).md")
            #expect(text.contains(name), "\(page)")
            #expect(!text.contains("/etc/matriarch/patroni.yml"), "\(page)")
        }
    }
}
