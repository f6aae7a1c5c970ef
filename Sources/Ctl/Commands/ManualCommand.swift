import ArgumentParser
import ClusterModel
import JSON

/// `manual`: the manual page, made of what `--help` says.
struct ManualCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "manual", "Prints the manual page, of the program or of one command.",
            examples: ["manual | man -l -", "manual switchover > \(Program.name)-switchover.1"])
    }

    @Argument(help: "A command; the program where none is named.")
    var command: String?

    func run(_ session: Session) async throws {
        var type: any ParsableCommand.Type = Matriarchctl.self
        if let command {
            guard let found = Matriarchctl.command(command) else {
                throw CtlError.usage("No such command '\(command)'.")
            }
            type = found
        }
        session.terminal.write(try ManualPage(type).text)
    }
}

/// A page in the language of mdoc(7).
struct ManualPage {
    private let command: JSONObject
    private let name: String

    /// ArgumentParser tells what it knows of a command as JSON.
    init(_ type: any ParsableCommand.Type) throws {
        guard let command = try JSON.parse(type._dumpHelp())["command"]?.object else {
            throw CtlError.refused("there is no description of the command")
        }
        self.command = command
        let own = command["commandName"]?.string ?? Program.name
        name = type == Matriarchctl.self ? own : "\(Program.name)-\(own)"
    }

    var text: String {
        let called = Self.escaped(name)
        var lines = [".Dd $Mdocdate$", ".Dt \(called.uppercased()) 1", ".Os", ".Sh NAME", ".Nm \(called)"]
        lines += [".Nd \(Self.escaped(command["abstract"]?.string ?? ""))", ".Sh SYNOPSIS"]
        lines += [".Nm \(Self.escaped(name.replacing("\(Program.name)-", with: "\(Program.name) ")))"]
        let arguments = (command["arguments"]?.array ?? []).filter { $0["shouldDisplay"]?.bool != false }
        lines += arguments.map { ".Op \(Self.synopsis($0))" }
        if let more = command["discussion"]?.string, !more.isEmpty {
            lines += [".Sh DESCRIPTION", ".Bd -literal"] + more.split(separator: "\n").map { Self.escaped(String($0)) }
            lines.append(".Ed")
        }
        lines += Self.list(
            "OPTIONS", arguments.map { (Self.synopsis($0), $0["abstract"]?.string ?? "") })
        let commands = (command["subcommands"]?.array ?? []).filter { $0["commandName"] != "help" }
        lines += Self.list(
            "COMMANDS", commands.map { ("Cm \($0["commandName"]?.string ?? "")", $0["abstract"]?.string ?? "") })
        lines += [".Sh EXIT STATUS", "0 where all was done or said, 1 where it was not, 2 where the words were wrong."]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func list(_ title: String, _ rows: [(term: String, text: String)]) -> [String] {
        if rows.isEmpty { return [] }
        return [".Sh \(title)", ".Bl -tag -width indent"]
            + rows.flatMap { [".It \($0.term)", escaped($0.text)] } + [".El"]
    }

    /// `Fl f , Fl -format Ar format` or `Ar cluster-name`.
    private static func synopsis(_ argument: JSONValue) -> String {
        let value = "Ar \(escaped(argument["valueName"]?.string ?? "value"))"
        let names = (argument["names"]?.array ?? []).compactMap { name -> String? in
            guard let text = name["name"]?.string else { return nil }
            return "Fl \(name["kind"] == "short" ? "" : "-")\(escaped(text))"
        }
        switch argument["kind"]?.string {
        case "flag"?: return names.joined(separator: " , ")
        case "option"?: return names.joined(separator: " , ") + " " + value
        case _: return value
        }
    }

    private static func escaped(_ text: String) -> String {
        let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
        return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
    }
}
