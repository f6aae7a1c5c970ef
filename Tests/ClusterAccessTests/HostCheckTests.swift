import ClusterAccess
import Configuration
import TestSupport
import Testing

/// Whether a host is as its configuration takes it to be.
@Suite struct HostCheckTests {
    private func messages(_ problems: [ConfigurationProblem], of path: String) -> [String] {
        problems.filter { $0.path.description == path }.map(\.message)
    }

    /// Each program is looked for by its name, and must be one that can be run.
    @Test func programsThatAreNotThereAreNamed() throws {
        let directory = try TemporaryDirectory("hostcheck")
        defer { withExtendedLifetime(directory) {} }
        try makeProgram("\(directory.path)/pg_ctl", "#!/bin/sh\n".utf8)
        try directory.write("initdb", "#!/bin/sh\n")
        let found = HostCheck.findings(atStartOf: try Example.effective(directory.path))
        let lines = messages(found, of: "postgresql.bin_dir")
        #expect(lines.count == 5 && lines.count == found.count, "\(found)")
        #expect(lines.first?.contains("does not contain 'initdb', or it cannot be run") == true, "\(found)")
        #expect(!lines.contains { $0.contains("'pg_ctl'") })

        let nowhere = HostCheck.findings(atStartOf: try Example.effective("\(directory.path)/nowhere"))
        #expect(messages(nowhere, of: "postgresql.bin_dir") == ["\(directory.path)/nowhere does not exist"])
    }

    /// A directory with something in it is PostgreSQL's, or nobody may begin there.
    @Test func aDataDirectoryIsOneOrEmpty() throws {
        let directory = try TemporaryDirectory("hostcheck")
        defer { withExtendedLifetime(directory) {} }
        func problems() throws -> [String] {
            let effective = try Example.effective(directory.path)
            let found = HostCheck.findings(effective, ignoringListenPorts: true).problems
            return messages(found, of: "postgresql.data_dir")
        }
        #expect(try problems() == [])
        try directory.write(".hidden", "")
        #expect(try problems() == [])
        try directory.write("letters", "")
        #expect(try problems().first?.contains("it has no PG_VERSION") == true)
        try directory.write("PG_VERSION", "15\n")
        #expect(try problems().first?.contains("doesn't contain \"pg_wal\" directory") == true)
        try directory.write("pg_wal", "")
        #expect(try problems() == [])
    }

    /// An operator wants to know of each endpoint that does not answer; a daemon that starts asks none.
    @Test func aStoreThatDoesNotAnswerIsNamed() throws {
        let effective = try Example.effective("/nowhere")
        let found = HostCheck.findings(effective, ignoringListenPorts: true).problems
        #expect(messages(found, of: "etcd3.hosts") == ["127.0.0.2:1 is not reachable"])
        #expect(messages(HostCheck.findings(atStartOf: effective), of: "etcd3.hosts") == [])
    }

    /// Other nodes would find themselves there; but in a lab on one host that is what is meant.
    @Test func addressesOfOneHostAreWarnedOfWhereTheStoreIsElsewhere() throws {
        let warnings = HostCheck.findings(try Example.effective("/nowhere"), ignoringListenPorts: true).warnings
        let itself = "connect_address: other nodes find themselves at"
        #expect(warnings.count == 2, "\(warnings)")
        #expect(warnings.first?.contains("restapi.\(itself) 127.0.0.1") == true, "\(warnings)")
        #expect(warnings.last?.contains("postgresql.\(itself) localhost") == true, "\(warnings)")
        let lab = try Example.effective("/nowhere", store: "127.0.0.1:1")
        #expect(HostCheck.findings(lab, ignoringListenPorts: true).warnings == [])
    }
}
