import ClusterModel
import Glibc
import JSON
import Posix

/// A tool that is run to its end.
enum Tool {
    /// Runs `words`; what it printed. A tool that fails, or that takes longer than `seconds`, throws.
    static func run(_ words: [String], seconds: Double = 60) async throws -> String {
        try await Blocking.run("tool") {
            let directory = Leftovers.directory(for: "tool\(BootClock.now().nanoseconds)")
            try Files.makeDirectory(directory, mode: 0o755)
            defer { try? Files.removeTree(directory) }
            let environment = [
                "PATH": Programs.systemPlaces.joined(separator: ":"), "LANG": "C.UTF-8", "HOME": directory,
                Leftovers.mark: directory,
            ]
            // Its exit code is not ours to wait for, so a shell writes it down.
            let script = #""$@"; echo $? > "$0/status""#
            let process = try OwnedProcess.start(
                ["/bin/sh", "-c", script, directory] + words, log: "\(directory)/output", directory: directory,
                environment: environment, brief: true)
            let status = "\(directory)/status"
            let ended = Blocking.wait(upTo: seconds) { !process.isAlive }
            for left in OwnedProcess.all(with: "\(Leftovers.mark)=\(directory)") { left.signal(SIGKILL) }
            let output = (try? Files.readText("\(directory)/output")) ?? ""
            guard ended, try Files.readText(status) == "0\n" else {
                throw Unmet(description: "\(words.joined(separator: " ")) failed: \(output)")
            }
            return output
        }
    }
}
