public import ClusterModel
import Ports
import Posix

/// What a program `postgres` says of itself, before there is anything that it would run with.
public enum ServerProgram {
    /// The major version, as `PG_VERSION` of a data directory has it: `15`; nil where it does not tell. `program` is a
    /// path, or a name to be found through PATH; `helper` is the program `matriarch-guardian`.
    public static func majorVersion(_ program: String, helper: String, deadline: BootInstant) async -> String? {
        let tools = ToolRunner(helper: helper)
        let invocation = ToolRunner.Invocation(
            program: program, arguments: ["--version"], environment: Instance.plainLocale, deadline: deadline)
        return (try? await tools.succeed(invocation)).flatMap(majorVersion)
    }

    /// The parameters that it has, in lower case; nil where it does not tell.
    public static func parameters(_ program: String, helper: String, deadline: BootInstant) async -> Set<String>? {
        let invocation = ToolRunner.Invocation(
            program: program, arguments: ["--describe-config"], environment: Instance.plainLocale, deadline: deadline)
        return (try? await ToolRunner(helper: helper).succeed(invocation)).map(DescribedParameters.names)
    }

    /// Of `postgres (PostgreSQL) 15.6 (Debian 15.6-1)`, `17beta1` and `18devel`.
    static func majorVersion(in text: String) -> String? {
        guard let word = text.split(atByte: ")").dropFirst().first?.withoutBlanks else { return nil }
        let digits = word.utf8.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? nil : String(Substring(digits))
    }
}
