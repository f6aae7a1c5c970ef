import ArgumentParser
import ClusterModel
import Configuration
import Ports

/// `edit-config` (ctl.md §12).
struct EditConfigCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "edit-config", "Changes the configuration that a cluster shares.",
            "Without options the configuration is opened in $EDITOR.",
            examples: [
                "edit-config batman -s ttl=20 -s postgresql.use_slots=false",
                "edit-config batman -p work_mem=8MB --force",
                "edit-config batman --apply changes.yml",
            ])
    }

    @OptionGroup var group: GroupOption

    @Flag(name: [.customShort("q"), .customLong("quiet")], help: "Do not show what changes.")
    var isQuiet = false

    @Option(
        name: [.customShort("s", allowingJoined: true), .customLong("set")], parsing: .unconditionalSingleValue,
        help: "One setting: PATH=VALUE in YAML, an empty value to remove it.")
    var settings: [String] = []

    @Option(
        name: [.customShort("p", allowingJoined: true), .customLong("pg")], parsing: .unconditionalSingleValue,
        help: "One parameter of PostgreSQL: NAME=VALUE.")
    var parameters: [String] = []

    @Option(help: "Merge what stands in this file; - for standard input.", completion: .file())
    var apply: String?

    @Option(help: "Replace all by what stands in this file; - for standard input.", completion: .file())
    var replace: String?

    @Flag(name: .customLong("force"), help: "Ask nothing.")
    var isForced = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    /// `-sttl=20` and `-pwork_mem=8MB` with a space after the letter: the parser would take what stands before the `=`
    /// for the option.
    static func spaced(_ words: [String]) -> [String] {
        let end = words.firstIndex(of: "--") ?? words.count
        return words[..<end].flatMap { word -> [String] in
            let isJoined = (word.hasPrefix("-s") || word.hasPrefix("-p")) && word.utf8.count > 2
            return isJoined ? [String(word.prefix(2)), String(word.dropFirst(2))] : [word]
        } + words[end...]
    }

    func run(_ session: Session) async throws {
        let name = try session.clusterName(clusterName)
        let cluster = try Cluster(name, group: group.number ?? session.group, session)
        guard let config = try await cluster.load().view.config else {
            throw CtlError.refused("The config key does not exist in the cluster \(name)")
        }
        let before = YAML.text(.object(config.data))
        let (after, text) = try await changed(config.data, before, name, session)
        if JSONValue.object(after) == .object(config.data) || YAML.text(.object(after)) == before {
            if !isQuiet { session.terminal.write("Not changed\n") }
            return
        }
        if !isQuiet { try await DiffView.show(before, text, session) }
        // It goes past the members, who would have refused it: whoever does it knows.
        for objection in DynamicCheck.judge(after, inPlaceOf: config.data).objections {
            session.warn("the members cannot go by this: \(objection)")
        }
        if apply == "-" || replace == "-", !isForced {
            return session.terminal.write("Use --force option to apply changes\n")
        }
        if !isForced, try await !session.confirms("Apply these changes?") { return }
        guard try await cluster.write(.config, after, asSeen: config.revision) else {
            throw CtlError.refused("Config modification aborted due to concurrent changes")
        }
        session.terminal.write("Configuration changed\n")
    }

    /// The document as it is to be, and the text of it that is compared.
    private func changed(
        _ document: JSONObject, _ before: String, _ name: String, _ session: Session
    ) async throws -> (JSONObject, String) {
        let isEdited = replace == nil && apply == nil && settings.isEmpty && parameters.isEmpty
        if isEdited {
            let text = try await Editor.edit(before, name: name, session)
            return (try Self.object(Array(text.utf8), "the edited text"), text)
        }
        var after = document
        if let replace {
            after = JSONObject()
            after.apply(patch: try Self.object(try await Self.read(replace, session), replace))
        }
        if let apply { after.apply(patch: try Self.object(try await Self.read(apply, session), apply)) }
        for pair in settings { try SettingChange(pair).apply(to: &after) }
        for pair in parameters { try SettingChange("postgresql.parameters.\(pair)").apply(to: &after) }
        return (after, YAML.text(.object(after)))
    }

    private static func read(_ path: String, _ session: Session) async throws -> [UInt8] {
        path == "-" ? try await session.terminal.readAll() : try await Editor.read(path)
    }

    /// An empty text is a mistake, not the wish for an empty configuration.
    private static func object(_ bytes: [UInt8], _ place: String) throws(CtlError) -> JSONObject {
        do throws(YAMLError) {
            if let object = try YAML.parse(bytes: bytes).value.object { return object }
        } catch {
            throw .refused("\(place): \(error)")
        }
        throw .refused("\(place) does not contain a mapping of keys to values")
    }
}
