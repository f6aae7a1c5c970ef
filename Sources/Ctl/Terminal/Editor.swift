import ClusterAccess
import Configuration
import Glibc
import Posix

/// A text in the hands of whoever sits at the terminal (ctl.md §12).
enum Editor {
    /// Opens `text` in an editor; what is left of it when the editor ends.
    static func edit(_ text: String, name: String, _ session: Session) async throws -> String {
        guard let program = ChildProgram.find(session.environment["EDITOR"], ["editor", "vi"], session.environment)
        else {
            throw CtlError.refused("EDITOR environment variable is not set. editor or vi are not available")
        }
        let path = try await offPool { try temporaryFile(text, name) }
        session.terminal.setInterruptionNote("What was edited so far stands in \(path).")
        defer {
            session.terminal.setInterruptionNote(nil)
            unlink(path)
        }
        // One program, or one with options where there is none of the whole name.
        var words = [program]
        if !Files.isReadable(program) { words = program.split(separator: " ").map(String.init) }
        let found = ChildProgram.find(words.first, [], session.environment) ?? program
        let code: Int32
        do {
            code = try await ChildProgram.run(found, Array(words.dropFirst()) + [path], session)
        } catch let error as SystemError {
            throw CtlError.refused("The editor '\(program)' cannot be started: \(error)")
        }
        if code != 0 { throw CtlError.refused("Editor exited with return code \(code)") }
        return String(decoding: try await read(path), as: UTF8.self)
    }

    private static let textMax = 16 << 20

    static func read(_ path: String) async throws -> [UInt8] {
        try await offPool { try Files.read(path, limit: textMax) }
    }

    private static func temporaryFile(_ text: String, _ name: String) throws(SystemError) -> String {
        let plain = String(decoding: name.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
        var template = Array("/tmp/\(plain)-config-XXXXXX.yaml".utf8CString)
        let number = mkstemps(&template, 5)
        guard number >= 0 else { throw SystemError(call: "mkstemps", subject: "/tmp") }
        let file = FileDescriptor(owning: number)
        try file.write(text.utf8)
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A text that is longer than the terminal.
enum Pager {
    static func show(_ text: String, _ session: Session) async throws {
        guard let program = ChildProgram.find(session.environment["PAGER"], ["less", "more"], session.environment)
        else { return session.terminal.write(text) }
        let options = lastComponent(program) == "less" ? ["-FRX"] : []
        _ = try await ChildProgram.run(program, options, session, input: text)
    }
}
