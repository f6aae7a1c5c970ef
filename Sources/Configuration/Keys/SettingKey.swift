import ClusterModel

/// One key of the configuration, with all that anybody says of it: the reader of values, the warning of unknown keys,
/// `--print`, the check of `PATCH /config` and the reference in `docs/configuration.md`.
struct SettingKey: Sendable, Hashable {
    /// Whose configuration it may stand in.
    enum Level: String, Sendable {
        /// The node's own: files and variables.
        case local
        /// `/config` in the store, which all nodes share.
        case dynamic
        /// Both; the node's own wins.
        case both
    }

    /// When a change counts.
    enum Application: String, Sendable {
        /// With SIGHUP or `POST /reload`; a dynamic one with the next cycle.
        case now
        /// The files are written at once; what in them needs a restart of PostgreSQL waits for one.
        case server
        /// With a restart of the daemon.
        case daemon
        /// Only where a new cluster is made.
        case create
    }

    /// From the top: `restapi.listen`. `<method>` stands for any name.
    let path: String
    let kind: SettingKind
    /// What holds where nobody sets it; nil for nothing, or for what `standardInWords` tells.
    let standard: JSONValue?
    let standardInWords: String?
    let level: Level
    let application: Application
    let sentence: String
    /// Why setting it does nothing here; nil for a key that does what it says.
    let withoutEffect: String?

    /// Reads a row: `path | kind | default | level application | sentence [| why it has no effect]`. A default in
    /// parentheses is told in words, `-` is none. Nil for what is no row.
    init?(row: Substring) {
        let cells = row.split(atByte: "|").map { String(Substring($0).withoutBlanks) }
        guard cells.count == 5 || cells.count == 6, let kind = SettingKind(cells[1]) else { return nil }
        let words = cells[3].split(separator: " ").map { String($0) }
        guard words.count == 2, let level = Level(rawValue: words[0]), let when = Application(rawValue: words[1])
        else { return nil }
        path = cells[0]
        self.kind = kind
        let standard = cells[2]
        let isInWords = standard.hasPrefix("(") && standard.hasSuffix(")")
        standardInWords = isInWords ? String(standard.dropFirst().dropLast()) : nil
        self.standard = isInWords || standard == "-" ? nil : (try? YAML.parse(standard))?.value
        self.level = level
        application = when
        sentence = cells[4]
        withoutEffect = cells.count == 6 ? cells[5] : nil
    }

    /// What may stand there, in words.
    var allowed: String { kind.allowed }
}
