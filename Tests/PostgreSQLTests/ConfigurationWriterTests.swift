import ClusterModel
import Glibc
import Posix
import Synchronization
import Testing

@testable import PostgreSQL

/// The files that are generated, in a directory where somebody else has been at work (postgresql.md §11).
@Suite struct ConfigurationWriterTests {
    private final class Notices: Sendable {
        let texts = Mutex<[String]>([])
    }

    private func text(_ root: String, _ name: String) -> String { (try? Files.readText("\(root)/\(name)")) ?? "none" }

    private func run(
        _ files: [String: String], change: (inout LocalPostgreSQLConfiguration) -> Void = { _ in },
        check: (String, [String]) throws -> Void
    ) throws {
        let root = "/tmp/matriarch-writer-\(getpid())-\(BootClock.now().nanoseconds)"
        try Files.makeDirectory(root)
        defer { try? Files.removeTree(root) }
        for (name, text) in files { try Files.replace("\(root)/\(name)", with: text.utf8, mode: 0o600) }
        var configuration = LocalPostgreSQLConfiguration(
            name: "n1", scope: "s", listenAddresses: "*", port: 5432,
            connectAddress: HostPort(host: "h", port: 5432), dataDirectory: root, passwordFile: root + "/pgpass",
            superuser: .init([:]), replication: .init([:]), parameters: ["work_mem": "4MB"])
        change(&configuration)
        let notices = Notices()
        let writer = ConfigurationWriter(configuration: configuration) { text in
            notices.texts.withLock { $0.append(text) }
        }
        try writer.write(.primary, parameters: configuration.parameters)
        try check(root, notices.texts.withLock { $0 })
    }

    @Test("A generated file never becomes the base: without one an empty one is made, and it is said")
    func baseDeleted() throws {
        let generated = ConfigurationText.header + "include 'postgresql.base.conf'\nshared_buffers = '1MB'\n"
        try run(["postgresql.conf": generated, "pg_hba.conf": ""]) { root, notices in
            #expect(text(root, "postgresql.base.conf") == "")
            #expect(text(root, "postgresql.conf").contains("work_mem = '4MB'"))
            #expect(notices.count == 1)
        }
        // What an earlier version has made of it.
        try run(["postgresql.base.conf": generated, "pg_hba.conf": ""]) { root, notices in
            #expect(text(root, "postgresql.base.conf") == "")
            #expect(notices.count == 1)
        }
    }

    @Test("An administrator's file becomes the base as it is; one that includes itself loses that line")
    func base() throws {
        try run(["postgresql.conf": "work_mem = 1MB\n", "pg_hba.conf": ""]) { root, notices in
            #expect(text(root, "postgresql.base.conf") == "work_mem = 1MB\n")
            #expect(notices.isEmpty)
        }
        let including =
            "include 'other.conf'\n include_if_exists = './postgresql.base.conf' # x\nINCLUDE postgresql.conf\na = 1"
        try run(["postgresql.conf": including, "pg_hba.conf": ""]) { root, notices in
            #expect(
                text(root, "postgresql.base.conf")
                    == "include 'other.conf'\n#  include_if_exists = './postgresql.base.conf' # x\n"
                    + "# INCLUDE postgresql.conf\na = 1")
            #expect(notices.count == 1)
        }
    }

    @Test("custom_conf that names the generated file gives way to the base")
    func custom() throws {
        let change = { (configuration: inout LocalPostgreSQLConfiguration) in
            configuration.customConfiguration = "postgresql.conf"
        }
        try run(["postgresql.conf": "a = 1\n", "pg_hba.conf": ""], change: change) { root, notices in
            #expect(text(root, "postgresql.conf").contains("include 'postgresql.base.conf'"))
            #expect(text(root, "postgresql.base.conf") == "a = 1\n")
            #expect(!notices.isEmpty)
        }
    }

    @Test("Rules for clients that nobody has made are not invented, and their absence is said")
    func hostBasedAuthentication() throws {
        try run([:]) { root, notices in
            #expect(!Files.exists(root + "/pg_hba.conf"))
            #expect(notices.contains { $0.contains("pg_hba.conf is missing") })
        }
        let change = { (configuration: inout LocalPostgreSQLConfiguration) in
            configuration.configurationDirectory += "/etc"
        }
        try run(["pg_hba.conf": ConfigurationText.lines(["host all all all trust"])], change: change) { root, _ in
            #expect(!Files.exists(root + "/etc/pg_hba.conf"))
        }
        try run(["pg_hba.conf": "local all all peer\n"], change: change) { root, _ in
            #expect(text(root, "etc/pg_hba.conf") == "local all all peer\n")
        }
    }

    @Test("Passwords go where the home directory is not, unless somebody has named a file")
    func passwordFile() throws {
        let root = "/tmp/matriarch-home-\(getpid())-\(BootClock.now().nanoseconds)"
        try Files.makeDirectory(root)
        defer { try? Files.removeTree(root) }
        #expect(PasswordFile.place(root + "/new/pgpass", isDefault: true, otherwise: "/p") == root + "/new/pgpass")
        #expect(PasswordFile.place("/etc/passwd/pgpass", isDefault: true, otherwise: "/p") == "/p")
        #expect(PasswordFile.place("/proc/pgpass", isDefault: false, otherwise: "/p") == "/proc/pgpass")
    }
}
