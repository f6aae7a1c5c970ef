import ClusterModel
import Posix

/// Which PostgreSQL would run after a restart: packages may have been replaced under the server that runs.
struct InstalledVersion: Sendable, Hashable {
    /// As `server_version_num`; nil where the program does not say.
    var number: Int?
    /// The program that said so, and when it was written.
    var path: String
    var stamp: Int64

    /// `postgres (PostgreSQL) 15.18 (Debian 15.18-1)` is 150018, `postgres (PostgreSQL) 18beta1` is 180000.
    static func number(_ text: String) -> Int? {
        guard let mark = text.utf8.firstRange(of: "(PostgreSQL) ".utf8) else { return nil }
        var rest = text.utf8[mark.upperBound...]
        func digits() -> Int? {
            let found = rest.prefix { (0x30...0x39).contains($0) }
            rest = rest.dropFirst(found.count)
            return found.count <= 3 ? Int(String(decoding: found, as: UTF8.self)) : nil
        }
        guard let major = digits(), major >= 10 else { return nil }
        guard rest.first == UInt8(ascii: ".") else { return major * 10_000 }
        rest = rest.dropFirst()
        return digits().map { major * 10_000 + $0 }
    }
}

extension Instance {
    /// Asks the program anew when its file is another one than before; else it costs a look at the file.
    func installedVersion(
        deadline: BootInstant, isolation: isolated (any Actor)? = #isolation
    ) async -> Int? {
        guard let path = ToolRunner.find(program("postgres")), let stamp = Files.modificationTime(path) else {
            return nil
        }
        if let known = remember({ $0.installed }), known.path == path, known.stamp == stamp {
            return known.number
        }
        let invocation = ToolRunner.Invocation(
            program: path, arguments: ["--version"], environment: Self.plainLocale, deadline: deadline,
            outputLimit: 4096)
        let text = try? await tools.succeed(invocation)
        let number = text.flatMap(InstalledVersion.number)
        remember { $0.installed = InstalledVersion(number: number, path: path, stamp: stamp) }
        return number
    }
}
