import Glibc
import Posix
import Testing

/// A configuration with a mistake ends the daemon before it does anything: with a message that says where and what, and
/// with exit code 1.
extension ClusterIntegrationTests {
    private static let brokenCount = 300

    @Test("Three hundred broken configurations say where and what, and start nothing", .timeLimit(.minutes(5)))
    func brokenConfigurations() async throws {
        Leftovers.sweep()
        let directory = Leftovers.directory(for: "broken")
        try Files.makeDirectory(directory, mode: 0o755)
        defer { Leftovers.end(directory: directory) }
        let node = "\(directory)/node"
        try Files.makeDirectory(node, mode: 0o755)
        if let user = User.unprivileged { chown(node, user.uid, user.gid) }
        var maker = BrokenConfigurations(seed: 20_261_126)
        var mistakes: [String] = []
        for index in 0..<Self.brokenCount {
            let (text, mistake) = maker.broken(directory: node)
            mistakes.append(mistake)
            try Files.replace("\(directory)/\(index).yml", with: text.utf8, mode: 0o644)
        }
        // As the daemon itself is started, so that what begins in spite of a mistake would be seen: whoever is killed
        // for its long life has overlooked it.
        let daemon = try Programs.command(.subject).joined(separator: " ")
        let script = """
            cd \(directory) && for i in $(seq 0 \(Self.brokenCount - 1)); do
                timeout -s KILL 20 \(daemon) \(directory)/$i.yml >$i.said 2>&1 </dev/null; echo $? >$i.code
            done
            """
        _ = try await Tool.run(["/bin/sh", "-c", script], seconds: 280)
        for (index, mistake) in mistakes.enumerated() {
            let code = try Files.readText("\(directory)/\(index).code").trimmingNewline
            let said = try Files.readText("\(directory)/\(index).said")
            #expect(code == "1", "\(index), \(mistake): ended with \(code)\n\(said)")
            let lines = said.split(separator: "\n")
            let place = "\(directory)/\(index).yml:"
            #expect(
                !lines.isEmpty && lines.count <= 3
                    && lines.allSatisfy { line in
                        line.hasPrefix(place) && line.dropFirst(place.utf8.count).first?.isNumber == true
                    }, "\(index), \(mistake): says\n\(said)")
            #expect(!said.contains("s3cret"), "\(index): \(said)")
        }
        #expect(try Files.list(node) == [], "nothing was begun")
    }
}

extension String {
    fileprivate var trimmingNewline: String { hasSuffix("\n") ? String(dropLast()) : self }
}
