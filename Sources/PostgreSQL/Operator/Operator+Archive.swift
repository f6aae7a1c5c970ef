import ClusterModel
import Glibc
import Logging
import Ports
import Posix

extension Operator {
    /// What became of one segment.
    private enum Archiving {
        case done, failed
        /// The command did not come to its end in its time.
        case hung
    }

    /// Archives what a server that is down had still to archive (postgresql.md §21.7): pg_rewind is about to remove it,
    /// and a backup may need it. What cannot be archived is logged and stays. False where the command hangs.
    @discardableResult
    func archiveReadySegments() async -> Bool {
        let status = directory.path + "/pg_wal/archive_status"
        let names = ((try? Files.list(status)) ?? []).compactMap(ArchiveCommand.segment)
        guard !names.isEmpty, let command = await archiveCommand() else { return true }
        for name in names {
            guard Files.exists("\(directory.path)/pg_wal/\(name)") else { continue }
            switch await archive(name, by: command) {
            case .done: rename("\(status)/\(name).ready", "\(status)/\(name).done")
            case .failed: return true
            case .hung: return false
            }
        }
        return true
    }

    /// The segment with the last checkpoint of a primary that was stopped and does not come back as one: it is not
    /// full, so nobody else archives it. What comes before goes first, however much it is: nobody archives it later, as
    /// a standby does not. A command that hangs holds the node up once.
    func archiveLastSegment() async {
        guard instance.postmaster() == nil, let command = await archiveCommand() else { return }
        let control = await instance.control(deadline: BootClock.now() + .seconds(10))
        guard control?.controlData?.state == .shutDown, let name = control?.lastSegment,
            Files.exists("\(directory.path)/pg_wal/\(name)")
        else { return log.warning("which segment is the last one is not known: it is not archived") }
        if Files.exists("\(directory.path)/pg_wal/archive_status/\(name).done") { return }
        // The command has just shown that it hangs.
        if instance.stillUnarchived() != nil { return log.warning("the last segment, \(name), is not archived either") }
        guard await archiveReadySegments() else {
            return log.warning("the last segment, \(name), is not archived, as archive_command hangs")
        }
        if case .done = await archive(name, by: command) {
            log.info("\(name), which has the last checkpoint, is archived")
        }
    }

    /// In the data directory, as the server runs it: a command may name its places from there.
    private func archive(_ name: String, by command: String) async -> Archiving {
        let line = ArchiveCommand.expand(command, path: "\(directory.path)/pg_wal/\(name)", name: name)
        let invocation = ToolRunner.Invocation(
            program: "sh", arguments: ["-c", #"cd -- "$1" && exec sh -c "$2""#, "sh", directory.path, line],
            environment: UserCommand.environmentOfServer(),
            deadline: BootClock.now() + configuration.archivingPatience)
        do throws(PostgreSQLError) {
            try await instance.tools.succeed(invocation)
            return .done
        } catch {
            log.warning("cannot archive \(name): \(error)")
            if case .timedOut = error { return .hung }
            return .failed
        }
    }

    /// Nil where the server does not archive.
    private func archiveCommand() async -> String? {
        guard let mode = await configured("archive_mode"), mode == "on" || mode == "always",
            let command = await configured("archive_command"), !command.isEmpty
        else { return nil }
        return command
    }

    /// The value with which the server would start.
    private func configured(_ parameter: String) async -> String? {
        let invocation = ToolRunner.Invocation(
            program: instance.program("postgres"),
            arguments: ["-D", directory.path, "--config-file=\(configuration.configurationFile)", "-C", parameter],
            environment: Instance.plainLocale, deadline: BootClock.now() + .seconds(10))
        return try? await instance.tools.succeed(invocation).trimmed
    }
}

/// `archive_command`, as the archiver understands it. Pure.
enum ArchiveCommand {
    /// How long it may take for one segment.
    static let patience = Duration.seconds(300)

    /// The segment that `000000010000000000000003.ready` speaks of; nil for other files, and for history files, which
    /// the rewound server gets again.
    static func segment(_ file: String) -> String? {
        guard file.hasSuffix(".ready") else { return nil }
        let name = String(file.dropLast(6))
        let digits = name.hasSuffix(".partial") ? name.dropLast(8) : name[...]
        return digits.count == 24 && digits.allSatisfy(\.isHexDigit) ? name : nil
    }

    /// `%p` is the path, `%f` the name, `%r` the first segment, `%%` a percent sign.
    static func expand(_ command: String, path: String, name: String) -> String {
        var result = ""
        var rest = command[...]
        while let character = rest.popFirst() {
            guard character == "%", let next = rest.first else {
                result.append(character)
                continue
            }
            rest = rest.dropFirst()
            switch next {
            case "p": result += path
            case "f": result += name
            case "r": result += "000000010000000000000001"
            case "%": result.append("%")
            default: result += "%\(next)"
            }
        }
        return result
    }
}
