import ClusterModel
import Glibc
import Posix

/// What a data directory's mark remembers of a copy or a bootstrap that is under way (S11): enough to take it up again
/// in another life of the daemon, and to know afterwards what is half of ours and what an operator has put there.
struct UnfinishedMark: Sendable, Hashable {
    enum Work: String, Sendable, Hashable {
        case bootstrap, copy
    }

    enum Phase: String, Sendable, Hashable {
        /// What stood there is being removed, `global/pg_control` first.
        case emptying
        /// A tool fills the draft. `global/pg_control` stands in the directory only when the work is complete.
        case filling
        /// A command of the operator's runs, or what it left was not looked at yet: whatever stands there is half of
        /// something.
        case handedOver
    }

    /// A tablespace of the cluster that stood there: where its link led.
    struct Tablespace: Sendable, Hashable {
        var oid: String
        var path: String
    }

    var work: Work
    var phase = Phase.emptying
    /// When the control file that is to be removed was last written: another one was put there by somebody else.
    var controlStamp: Int64?
    /// Of the cluster that initdb has made.
    var systemIdentifier: UInt64?
    /// Of a bootstrap: a command of the operator's brings the cluster, whose identifier others may have, too.
    var isRestored = false
    /// Of a bootstrap: all is done, and only the others do not know yet.
    var isComplete = false
    /// The major version of the cluster that stood there: only its files in a tablespace's directory are ours.
    var version = 0
    /// The version of its catalogue, where the control file told it.
    var catalogue: UInt32?
    /// Where `pg_wal` led to, out of the directory or to another file system: the next one is put there too.
    var walDirectory: String?
    var tablespaces: [Tablespace] = []
    /// Directories outside that were empty before a copy began to fill them: all that stands there is that copy's.
    var filled: [String] = []
    /// The major version of what is copied; 0 where nothing is.
    var sourceVersion = 0
    /// Places of `walDirectory` and `tablespaces` in which nothing of ours stands any more: they say where the next
    /// copy goes, and not what may be removed.
    var emptied: [String] = []
    /// The entries of a draft that are being moved up, with their inodes, which they keep: what else stands in the
    /// directory is not ours.
    var moved: [String: UInt64] = [:]
    /// Where the draft was complete before anything went: the entries of the cluster that stood there until then. They
    /// are set aside, and nothing else is.
    var replaced: [String: UInt64] = [:]
    /// Where a command of the operator's fills a draft beside a cluster: the sum of that one. As long as it is the same
    /// nothing has happened to it.
    var standing: UInt64?

    init(_ work: Work) { self.work = work }
}

extension UnfinishedMark {
    /// One fact a line: `name value`. Line breaks and backslashes in paths are escaped.
    var text: String {
        var lines = ["work \(work.rawValue)", "phase \(phase.rawValue)", "version \(version)"]
        if let catalogue { lines.append("catalogue \(catalogue)") }
        if sourceVersion != 0 { lines.append("source \(sourceVersion)") }
        if let controlStamp { lines.append("control \(controlStamp)") }
        if let systemIdentifier { lines.append("identifier \(systemIdentifier)") }
        if isRestored { lines.append("restored yes") }
        if isComplete { lines.append("complete yes") }
        if let standing { lines.append("standing \(standing)") }
        if let walDirectory { lines.append("wal \(Self.escaped(walDirectory))") }
        lines += tablespaces.map { "tablespace \($0.oid) \(Self.escaped($0.path))" }
        lines += filled.map { "filled \(Self.escaped($0))" }
        lines += emptied.map { "emptied \(Self.escaped($0))" }
        for (word, entries) in [("moved", moved), ("replaced", replaced)] {
            lines += entries.sorted { $0.key < $1.key }.map { "\(word) \($0.value) \(Self.escaped($0.key))" }
        }
        return """
            # Written by Matriarch while it makes or removes a data directory. With this file the directory is not
            # started. Remove it only where you have restored the whole cluster here by hand.

            """ + lines.map { $0 + "\n" }.joined()
    }

    /// Nil where the text is no mark.
    init?(_ text: String) {
        var work: Work?
        var rest = UnfinishedMark(.copy)
        for line in text.split(separator: "\n") where line.utf8.first != UInt8(ascii: "#") {
            let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard words.count == 2 else { return nil }
            switch words[0] {
            case "work": work = Work(rawValue: words[1])
            case "phase":
                guard let phase = Phase(rawValue: words[1]) else { return nil }
                rest.phase = phase
            case "version": rest.version = Int(words[1]) ?? 0
            case "catalogue": rest.catalogue = UInt32(words[1])
            case "source": rest.sourceVersion = Int(words[1]) ?? 0
            case "emptied": rest.emptied.append(Self.unescaped(words[1]))
            case "control": rest.controlStamp = Int64(words[1])
            case "identifier": rest.systemIdentifier = UInt64(words[1])
            case "restored": rest.isRestored = true
            case "complete": rest.isComplete = true
            case "standing": rest.standing = UInt64(words[1])
            case "wal": rest.walDirectory = Self.unescaped(words[1])
            case "tablespace":
                guard let (oid, path) = Self.pair(words[1]) else { return nil }
                rest.tablespaces.append(Tablespace(oid: oid, path: path))
            case "moved", "replaced":
                guard let (number, name) = Self.pair(words[1]), let inode = UInt64(number) else { return nil }
                if words[0] == "moved" { rest.moved[name] = inode } else { rest.replaced[name] = inode }
            case "filled": rest.filled.append(Self.unescaped(words[1]))
            // A later version of ours may know more.
            default: continue
            }
        }
        guard let work else { return nil }
        self = rest
        self.work = work
    }

    /// What it says of a cluster that stands there by halves.
    var left: PostgreSQLStatus.UnfinishedWork {
        switch work {
        case .copy: .copy
        case .bootstrap: isRestored && !isComplete ? .restore : .bootstrap
        }
    }

    private static func pair(_ text: String) -> (String, String)? {
        guard let space = text.firstIndex(of: " ") else { return nil }
        return (String(text[..<space]), unescaped(String(text[text.index(after: space)...])))
    }

    private static func escaped(_ path: String) -> String {
        var bytes: [UInt8] = []
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case UInt8(ascii: "\n"): bytes += "\\n".utf8
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func unescaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                bytes.append(byte == UInt8(ascii: "n") ? UInt8(ascii: "\n") : byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

// MARK: - In the directory

/// Marks stand in the data directory itself: whatever becomes of it (a volume that is mounted elsewhere, a directory
/// that is moved aside, a link that leads to another), the mark goes where the half-made files go. Nothing of it needs
/// the directory above to be writable.
extension DataDirectory {
    private static let markName = ".matriarch-unfinished"
    private static let rewindMarkName = ".matriarch-rewind"
    /// The tools fill a directory below ours: they ask for an empty one, which a mount point with its `lost+found`, or
    /// a directory with a mark, is not. Complete, its files are moved up, the control file last.
    private static let draftName = ".matriarch-new"
    /// What a complete draft has replaced, until it is removed.
    private static let oldName = ".matriarch-old"
    /// A password while initdb reads it, and the passwords of the tools where the home directory takes none.
    private static let secretName = ".matriarch-secret"
    private static let passwordsName = ".matriarch-pgpass"
    /// Of a copy that may lack what was acknowledged to the one before (UnprovenMark.swift).
    static let unprovenName = ".matriarch-unproven"
    static let ownNames: Set = [
        markName, rewindMarkName, draftName, oldName, secretName, passwordsName, unprovenName,
    ]

    var mark: String { "\(path)/\(Self.markName)" }
    /// A named pipe. pg_rewind removes every file, directory and link that its source does not have, and looks past
    /// everything else: of all that could stand here, only such a thing outlives it.
    var rewindMark: String { "\(path)/\(Self.rewindMarkName)" }
    var draft: String { "\(path)/\(Self.draftName)" }
    var old: String { "\(path)/\(Self.oldName)" }
    var secret: String { "\(path)/\(Self.secretName)" }
    /// What a bootstrap or a copy that was broken off may have left beside a cluster.
    var leavings: [String] { [secret, draft, old] }

    /// The mark of a copy or a bootstrap; nil without one. Throws where it cannot be read, or is none of ours.
    func readMark() throws(SystemError) -> UnfinishedMark? {
        for place in [mark, markBeside] where try Files.look(place) != .missing {
            guard let found = UnfinishedMark(try Files.readText(place)) else {
                throw SystemError(call: "parse", subject: place, code: EILSEQ)
            }
            return found
        }
        return nil
    }

    func write(_ content: UnfinishedMark) throws(SystemError) {
        try put(content, in: mark)
        try removeDurably(markBeside)
    }

    /// A new cluster has all that it is to have.
    func markComplete() throws(SystemError) {
        guard var content = try readMark() else { return }
        content.isComplete = true
        try write(content)
    }

    private func put(_ content: UnfinishedMark, in place: String) throws(SystemError) {
        try Files.replace(place, with: content.text.utf8, mode: 0o600, durably: true)
        giveToOwner(of: place)
    }

    /// Only after everything that the mark stands for is durable.
    func removeMark() throws(SystemError) {
        try removeDurably(mark)
        try removeDurably(markBeside)
    }

    /// Beside the directory, while a command of the operator's fills that itself: it wants an empty one, and may remove
    /// what it does not know. A mount point, a link, and a directory above that is not ours to write in leave only the
    /// place within.
    private var markBeside: String { "\(Files.parent(path))/.\(lastComponent(path)).matriarch-unfinished" }

    /// What stands in the directory, and what comes to stand there, is half of something from now on.
    func handOver(_ content: UnfinishedMark) throws(SystemError) {
        var content = content
        content.phase = .handedOver
        guard Files.kind(path) == .directory, !Files.isMountPoint(path), access(Files.parent(path), W_OK) == 0 else {
            return try write(content)
        }
        try put(content, in: markBeside)
        try removeDurably(mark)
    }

    /// The same while a command of the operator's fills a draft: one that fills the directory all the same (from what
    /// it knows by itself) leaves half of something there. Programs that restore backups want an empty draft.
    func handOverDraft(_ content: UnfinishedMark) throws(SystemError) {
        var content = content
        content.phase = .handedOver
        try write(content)
        try Files.makeDirectory(draft)
        giveToOwner(of: draft)
    }

    /// Also where it cannot be looked at: then it is taken to be there.
    var hasRewindMark: Bool { (try? Files.look(rewindMark)) != .missing }

    func markRewind() throws(SystemError) {
        guard mkfifo(rewindMark, 0o600) == 0 || errno == EEXIST else {
            throw SystemError(call: "mkfifo", subject: rewindMark)
        }
        giveToOwner(of: rewindMark)
        try Files.synchronize(directory: path)
    }

    func removeRewindMark() throws(SystemError) { try removeDurably(rewindMark) }

    func removeDurably(_ file: String) throws(SystemError) {
        // Nothing is asked of a file system that is not ours to write on.
        if try Files.look(file) == .missing { return }
        if unlink(file) == 0 { return try Files.synchronize(directory: Files.parent(file)) }
        guard errno == ENOENT else { throw SystemError(call: "unlink", subject: file) }
    }

    /// What the mark says of what stands in the directory now; nil where it says nothing (any more): while a directory
    /// is emptied its own control file goes first, and while one is filled there is none, so that another one was put
    /// there by an operator who has restored the cluster, or by us when all was complete.
    func unfinished(_ mark: UnfinishedMark?) throws(SystemError) -> PostgreSQLStatus.UnfinishedWork? {
        let rewind: PostgreSQLStatus.UnfinishedWork? = try Files.look(rewindMark) == .missing ? nil : .rewind
        guard let mark else { return rewind }
        // A control file that cannot be looked at is not one that has gone.
        let isThere = try Files.look(controlFile, followingLinks: true) != .missing
        let stamp = isThere ? Files.modificationTime(controlFile) ?? 0 : nil
        if isThere, let isWhole = isReplacedWhole(mark) { return isWhole ? rewind : .copy }
        if isThere, isMixed(mark) { return mark.left }
        switch mark.work {
        case .copy where mark.phase == .handedOver: return .copy
        case .bootstrap where mark.phase == .handedOver: return .restore
        case .copy where stamp != nil && (mark.phase == .filling || stamp != mark.controlStamp): return rewind
        case .copy: return .copy
        case .bootstrap where stamp != nil && mark.systemIdentifier != systemIdentifier: return rewind
        case .bootstrap: return mark.left
        }
    }

    /// The first eight bytes of the control file, in every version.
    private var systemIdentifier: UInt64? { Self.systemIdentifier(controlFile) }

    static func systemIdentifier(_ controlFile: String) -> UInt64? {
        guard let bytes = try? Files.read(controlFile, limit: 64 << 10), bytes.count >= 8 else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }

    /// The owner of the directory above becomes a new file's where we are root: the server is not.
    func giveToOwner(of path: String) {
        var status = stat()
        guard geteuid() == 0, stat(Files.parent(path), &status) == 0 else { return }
        lchown(path, status.st_uid, status.st_gid)
    }
}
