import ArgumentParser

/// `completion`: what a shell needs to complete our words.
struct CompletionCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "completion", "Prints the completion script of a shell.",
            examples: ["completion bash > /etc/bash_completion.d/\(Program.name)"])
    }

    enum Shell: String, CaseIterable, ExpressibleByArgument {
        case bash, zsh, fish

        var kind: CompletionShell {
            switch self {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        }
    }

    @Argument(help: "The shell.")
    var shell: Shell

    func run(_ session: Session) async throws {
        session.terminal.write(Matriarchctl.completionScript(for: shell.kind) + "\n")
    }
}
