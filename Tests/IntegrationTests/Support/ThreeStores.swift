import Glibc
import Posix
import Testing

/// A store of three members in place of the one that every test begins with.
extension TestCluster {
    static let storeMembers = 1...3

    /// A member has the next port, too.
    private func storePort(_ member: Int) -> Int { freePort + 2 * member }

    func storeMember(_ member: Int) throws -> OwnedProcess { try process("etcd-\(member)") }

    /// Before any daemon was started.
    func useThreeStores() async throws {
        let etcd = try process("etcd")
        etcd.signal(SIGKILL)
        try await waitUntil("the one etcd has ended", within: 10) { !etcd.isAlive }
        for member in Self.storeMembers { try await launchStore(member) }
        for member in Self.storeMembers { try await storeAnswers(member) }
        let hosts = Self.storeMembers.map { #""127.0.0.1:\#(storePort($0))""# }.joined(separator: ", ")
        for node in nodes { try edit(node, #""127.0.0.1:\#(etcdPort)""#, hosts) }
    }

    func startStore(_ member: Int) async throws {
        let port = storePort(member)
        try await waitUntil("its ports are free", within: 30) { PortBlock.isFree(port) && PortBlock.isFree(port + 1) }
        try await launchStore(member)
        try await storeAnswers(member)
    }

    private func launchStore(_ member: Int) async throws {
        func peer(_ member: Int) -> String { "http://127.0.0.1:\(storePort(member) + 1)" }
        let client = "http://127.0.0.1:\(storePort(member))"
        try await start(
            "etcd-\(member)",
            [
                try Programs.system("etcd"), "--name", "e\(member)", "--data-dir", "\(directory)/etcd/data\(member)",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer(member), "--initial-advertise-peer-urls", peer(member),
                "--initial-cluster", Self.storeMembers.map { "e\($0)=\(peer($0))" }.joined(separator: ","),
            ])
    }

    /// It is healthy where it knows of a leader.
    private func storeAnswers(_ member: Int) async throws {
        try await waitUntil("etcd \(member) is healthy", within: 60) {
            await call("GET", port: storePort(member), "/health")?.body.contains("true") == true
        }
    }
}
