/// The value of `synchronous_standby_names` (ha-loop.md §17.3, §17.4, observable-text.md §4): how many of which
/// standbys must have a commit before it is acknowledged.
public struct SynchronousNames: Sendable, Hashable {
    /// How the standbys are chosen that must have it.
    public enum Method: Sendable, Hashable, CaseIterable {
        /// The first that stream, in the order of the names. We only ever name as many as must have it, so the order
        /// says nothing.
        case priority
        /// Any of them.
        case quorum
    }

    public var method: Method
    /// Never more than there are names; 0 for nobody: commits wait for no standby.
    public let number: Int
    public let names: Set<String>

    /// Names no standby can have: where it stands commits wait until somebody else is named. No node may be called so.
    public static let placeholder = "__patroni_strict_sync_replica_placeholder__"

    /// Commits wait for nobody.
    public static let nobody = SynchronousNames(.priority, 0, [])
    /// Commits wait, and no standby can end that.
    public static func waiting(_ method: Method) -> SynchronousNames { SynchronousNames(method, 1, [placeholder]) }

    /// Whether a member can be named: PostgreSQL cuts `application_name` at 63 bytes and replaces what is not printable
    /// ASCII, and `/sync` is read from comma to comma, without blanks at the ends.
    public static func canName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (1...63).contains(bytes.count), bytes.allSatisfy({ (0x20...0x7E).contains($0) }) else { return false }
        return !bytes.contains(UInt8(ascii: ",")) && bytes.first != 0x20 && bytes.last != 0x20
    }

    public init(_ method: Method, _ number: Int, _ names: Set<String>) {
        let count = max(0, min(number, names.count))
        self.method = count == 0 ? .priority : method
        self.number = count
        self.names = count == 0 ? [] : names
    }

    public var isEmpty: Bool { names.isEmpty }

    /// The text for a server of version 12 and above; empty for nobody. Names are sorted and quoted where PostgreSQL
    /// needs it, with no blank after a comma: peers and scripts compare it.
    public var text: String {
        if names.isEmpty { return "" }
        let list = names.sorted().map(SynchronousNames.quoted).joined(separator: ",")
        switch method {
        case .quorum: return "ANY \(number) (\(list))"
        case .priority: return names.count == 1 ? list : "\(number) (\(list))"
        }
    }

    static func quoted(_ name: String) -> String {
        let isPlain =
            name.utf8.enumerated().allSatisfy { index, byte in
                SynchronousWords.isLetter(byte) || index > 0 && SynchronousWords.isInner(byte)
            } && !name.isEmpty
        if isPlain, !["first", "any"].contains(name.lowercased()) { return name }
        var text = "\""
        for character in name.unicodeScalars {
            if character == "\"" { text += "\"" }
            text.unicodeScalars.append(character)
        }
        return text + "\""
    }

    /// Reads a value as PostgreSQL does; nil where it cannot be read. `*` is the name of nobody in particular.
    public init?(_ text: String) {
        var words = SynchronousWords(text)
        guard let all = words.all() else { return nil }
        if all.isEmpty {
            self = .nobody
            return
        }
        var rest = all[...]
        var method = Method.priority
        if rest.count > 1, case .plain(let word)? = rest.first, ["any", "first"].contains(word.lowercased()),
            case .plain(let next) = rest[rest.startIndex + 1], Int(next) != nil
        {
            method = word.lowercased() == "any" ? .quorum : .priority
            rest = rest.dropFirst()
        }
        var number = 1
        if case .plain(let word)? = rest.first, let count = Int(word), rest.dropFirst().first == .open {
            guard rest.last == .close, count > 0 else { return nil }
            number = count
            rest = rest.dropFirst(2).dropLast()
        }
        guard let names = SynchronousNames.list(rest) else { return nil }
        self.init(method, number, names)
    }

    /// Names with a comma between each two; at least one.
    private static func list(_ words: ArraySlice<SynchronousWords.Word>) -> Set<String>? {
        var names: Set<String> = []
        var isName = true
        for word in words {
            switch word {
            case .plain(let name) where isName, .quoted(let name) where isName: names.insert(name)
            case .comma where !isName: break
            case .plain, .quoted, .comma, .open, .close: return nil
            }
            isName.toggle()
        }
        return isName ? nil : names
    }
}

/// The words of a value of `synchronous_standby_names`.
private struct SynchronousWords {
    enum Word: Hashable {
        case plain(String)
        case quoted(String)
        case comma, open, close
    }

    private var bytes: ArraySlice<UInt8>

    init(_ text: String) { bytes = Array(text.utf8)[...] }

    static func isLetter(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte < 0x80 && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    static func isInner(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "$")
    }

    /// Nil where something stands there that is no word.
    mutating func all() -> [Word]? {
        var words: [Word] = []
        while let byte = bytes.first {
            switch byte {
            case UInt8(ascii: " "), 0x09...0x0D: bytes.removeFirst()
            case UInt8(ascii: ","): words.append(take(.comma))
            case UInt8(ascii: "("): words.append(take(.open))
            case UInt8(ascii: ")"): words.append(take(.close))
            case UInt8(ascii: "*"): words.append(take(.plain("*")))
            case UInt8(ascii: "\""):
                guard let name = quotedName() else { return nil }
                words.append(.quoted(name))
            default:
                // PostgreSQL takes letters beyond ASCII as well.
                let word = bytes.prefix { Self.isLetter($0) || Self.isInner($0) || $0 >= 0x80 }
                guard !word.isEmpty else { return nil }
                bytes = bytes.dropFirst(word.count)
                words.append(.plain(String(decoding: word, as: UTF8.self)))
            }
        }
        return words
    }

    private mutating func take(_ word: Word) -> Word {
        bytes.removeFirst()
        return word
    }

    private mutating func quotedName() -> String? {
        bytes.removeFirst()
        var name: [UInt8] = []
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "\"") else {
                name.append(byte)
                continue
            }
            if bytes.first != UInt8(ascii: "\"") { return String(decoding: name, as: UTF8.self) }
            bytes.removeFirst()
            name.append(byte)
        }
        return nil
    }
}

/// What stands in PostgreSQL's configuration as `synchronous_standby_names`.
public enum SynchronousSetting: Sendable, Hashable {
    /// What the user has configured, if anything: synchronous mode is off.
    case configured
    case names(SynchronousNames)
}
