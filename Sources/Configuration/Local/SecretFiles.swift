import ClusterModel
import Posix

/// Passwords that stand in files, as containers mount them: `<variable>_FILE`, and `password_file` beside `username`.
/// Ours. Blocking: it reads files.
struct SecretFiles {
    /// The variables, with those of files resolved.
    private(set) var environment: [String: String]
    private(set) var warnings: [String] = []
    /// Files that cannot be read.
    private(set) var problems: [ConfigurationProblem] = []

    init(_ environment: [String: String]) {
        self.environment = environment
        for row in EnvironmentTable.mayStandInFiles {
            let name = EnvironmentVariables.prefix + row.name
            guard let file = environment["\(name)_FILE"], !file.isEmpty else { continue }
            if environment[name]?.isEmpty == false {
                warnings.append("\(name)_FILE does not count beside \(name)")
                continue
            }
            let origin = SettingOrigin.environment("\(name)_FILE")
            switch SecretFiles.read(file) {
            case .success(let text): self.environment[name] = text
            case .failure(let failure):
                problems.append(ConfigurationProblem(SettingPath(dotted: row.path), failure.reason, origin))
            }
        }
    }

    /// Puts what the files say that `password_file` keys name where the password would stand.
    static func fill(_ settings: inout OriginatedTree) -> (warnings: [String], problems: [ConfigurationProblem]) {
        var (warnings, problems) = ([String](), [ConfigurationProblem]())
        for key in SettingTable.keys {
            let path = SettingPath(dotted: key.path)
            guard path.elements.last == "password_file", let file = settings.value(at: path)?.string, !file.isEmpty
            else { continue }
            let origin = settings.origin(of: path)
            let target = SettingPath(Array(path.elements.dropLast()) + ["password"])
            if settings.value(at: target)?.isTruthy == true {
                warnings.append(
                    ConfigurationProblem(path, "does not count beside \(target)", origin).description)
                continue
            }
            switch read(file) {
            case .success(let text): settings.set(target, .string(text), origin: origin ?? .byDefault)
            case .failure(let failure): problems.append(ConfigurationProblem(path, failure.reason, origin))
            }
            warnings += SecretFiles.warnings(file, origin)
        }
        return (warnings, problems)
    }

    private struct Failure: Error {
        let reason: String
    }

    /// A text without the line break at its end.
    private static func read(_ file: String) -> Result<String, Failure> {
        guard let path = PathText.absolute(file, from: PathText.workingDirectory) else {
            return .failure(Failure(reason: "names a file with a null byte"))
        }
        var bytes: [UInt8]
        do throws(SystemError) { bytes = try Files.read(path, limit: 64 << 10) } catch {
            return .failure(Failure(reason: "the file cannot be read: \(error)"))
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        if bytes.isEmpty { return .failure(Failure(reason: "the file \(path) is empty")) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return .failure(Failure(reason: "the file \(path) is no text"))
        }
        return .success(text)
    }

    private static func warnings(_ file: String, _ origin: SettingOrigin?) -> [String] {
        guard let mode = Files.mode(file), mode & 0o004 != 0 else { return [] }
        return [ConfigurationProblem(SettingPath(), "everybody on this host can read \(file)", origin).description]
    }
}
