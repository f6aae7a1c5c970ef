public import ClusterModel

/// YAML text, read as Patroni reads it: YAML 1.1, the safe subset, one document (configuration.md §1.2).
public enum YAML {
    /// A value and where its keys and items stand.
    public struct Document: Sendable {
        public let value: JSONValue
        public let marks: [SettingPath: YAMLMark]
        /// How numbers are spelled that are not as anybody would write them: `0123` for 83.
        let spellings: [SettingPath: String]
        /// Keys that stand more than once in one mapping, at their last place.
        let doubled: [(key: String, mark: YAMLMark)]
    }

    /// Bounds for what is read: a configuration that needs more is a mistake or an attack.
    enum Limit {
        static let bytes = 4 << 20
        static let depth = 64
        /// Counted after aliases are followed, so that a few lines cannot stand for billions of values.
        static let values = 20_000
    }

    /// Reads `text`. An empty one is null.
    public static func parse(_ text: String) throws(YAMLError) -> Document { try parse(bytes: Array(text.utf8)) }

    /// Reads one document and nothing after it.
    public static func parse(bytes: [UInt8]) throws(YAMLError) -> Document {
        guard bytes.count <= Limit.bytes else {
            throw YAMLError(
                message: "the text has \(bytes.count) bytes, at most \(Limit.bytes) are read",
                mark: YAMLMark(line: 1, column: 1))
        }
        var composer = YAMLComposer(reader: try YAMLEventReader(bytes))
        guard let root = try composer.document() else {
            return Document(value: .null, marks: [:], spellings: [:], doubled: [])
        }
        var marks: [SettingPath: YAMLMark] = [:]
        var spellings: [SettingPath: String] = [:]
        root.collect(under: SettingPath(), &marks, &spellings)
        return Document(value: root.value, marks: marks, spellings: spellings, doubled: composer.doubled)
    }
}

/// A value of the document with its place.
struct YAMLNode {
    indirect enum Kind {
        case scalar(JSONValue)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    struct Entry {
        let key: String
        let mark: YAMLMark
        let node: YAMLNode
    }

    let kind: Kind
    let mark: YAMLMark
    /// Of a number that is written in a way of its own.
    let spelling: String?
    /// How many values the node stands for, aliases followed.
    let count: Int
    /// How deep it is; 1 for a scalar.
    let depth: Int

    init(_ kind: Kind, mark: YAMLMark, spelling: String? = nil) {
        self.kind = kind
        self.mark = mark
        self.spelling = spelling
        let children: [YAMLNode] =
            switch kind {
            case .scalar: []
            case .sequence(let nodes): nodes
            case .mapping(let entries): entries.map(\.node)
            }
        count = 1 + children.reduce(0) { $0 + $1.count }
        depth = 1 + (children.map(\.depth).max() ?? 0)
    }

    var value: JSONValue {
        switch kind {
        case .scalar(let value): value
        case .sequence(let nodes): .array(nodes.map(\.value))
        case .mapping(let entries): .object(JSONObject(entries.map { ($0.key, $0.node.value) }))
        }
    }

    func collect(
        under path: SettingPath, _ marks: inout [SettingPath: YAMLMark], _ spellings: inout [SettingPath: String]
    ) {
        switch kind {
        case .scalar: if let spelling { spellings[path] = spelling }
        case .sequence(let nodes):
            for (index, node) in nodes.enumerated() {
                let path = path.appending(String(index))
                marks[path] = node.mark
                node.collect(under: path, &marks, &spellings)
            }
        case .mapping(let entries):
            for entry in entries {
                let path = path.appending(entry.key)
                marks[path] = entry.mark
                entry.node.collect(under: path, &marks, &spellings)
            }
        }
    }
}

/// Builds the tree from the events: anchors, aliases, merge keys, and the bounds.
struct YAMLComposer: ~Copyable {
    private var reader: YAMLEventReader
    private var anchors: [String: YAMLNode] = [:]
    private(set) var doubled: [(key: String, mark: YAMLMark)] = []

    init(reader: consuming YAMLEventReader) { self.reader = reader }

    /// The root of the only document; nil for an empty stream.
    mutating func document() throws(YAMLError) -> YAMLNode? {
        var root: YAMLNode?
        while true {
            let event = try reader.next()
            switch event.kind {
            case .documentStart:
                guard root == nil else {
                    throw YAMLError(message: "only one document may stand in a file", mark: event.mark)
                }
                root = try node(try reader.next(), depth: 1)
            case .streamEnd: return root
            case .other, .scalar, .alias, .sequenceStart, .sequenceEnd, .mappingStart, .mappingEnd: continue
            }
        }
    }

    private mutating func node(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> YAMLNode {
        let node: YAMLNode
        switch event.kind {
        case .alias(let name):
            guard let target = anchors[name] else {
                throw YAMLError(
                    message: "an alias has no anchor before it (a text that begins with * is quoted)", mark: event.mark)
            }
            node = YAMLNode(target.kind, mark: event.mark, spelling: target.spelling)
        case .scalar(let text, let plain):
            let value = try scalar(text, plain: plain, event)
            let isOwn = value.isNumber && value.comparableText != text
            node = YAMLNode(.scalar(value), mark: event.mark, spelling: isOwn ? text : nil)
        case .sequenceStart: node = try sequence(event, depth)
        case .mappingStart: node = try mapping(event, depth)
        case .sequenceEnd, .mappingEnd, .documentStart, .streamEnd, .other:
            throw YAMLError(message: "a value is missing", mark: event.mark)
        }
        guard node.count <= YAML.Limit.values, node.depth + depth <= YAML.Limit.depth else {
            throw YAMLError(
                message: "more than \(YAML.Limit.values) values, or nested deeper than \(YAML.Limit.depth)",
                mark: event.mark)
        }
        if let anchor = event.anchor { anchors[anchor] = node }
        return node
    }

    private func scalar(_ text: String, plain: Bool, _ event: YAMLEvent) throws(YAMLError) -> JSONValue {
        guard let tag = event.tag else { return plain ? YAMLScalar.value(plain: text) : .string(text) }
        guard let value = YAMLScalar.value(text, tag: tag) else {
            throw YAMLError(message: "a value cannot be read as its tag says", mark: event.mark)
        }
        return value
    }

    /// libyaml recurses no deeper than we let it: the depth is checked before a level is entered.
    private func enter(_ event: YAMLEvent, _ depth: Int) throws(YAMLError) {
        if depth >= YAML.Limit.depth {
            throw YAMLError(message: "nested deeper than \(YAML.Limit.depth)", mark: event.mark)
        }
        if let tag = event.tag, tag != "!", !["tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"].contains(tag) {
            throw YAMLError(message: "a tag is not known (a text that begins with ! is quoted)", mark: event.mark)
        }
    }

    private mutating func sequence(_ start: YAMLEvent, _ depth: Int) throws(YAMLError) -> YAMLNode {
        try enter(start, depth)
        var nodes: [YAMLNode] = []
        var count = 0
        while true {
            let event = try reader.next()
            if case .sequenceEnd = event.kind { return YAMLNode(.sequence(nodes), mark: start.mark) }
            let child = try node(event, depth: depth + 1)
            count += child.count
            if count > YAML.Limit.values {
                throw YAMLError(message: "more than \(YAML.Limit.values) values", mark: event.mark)
            }
            nodes.append(child)
        }
    }

    /// Merged keys come first and give way to the mapping's own; of a key that stands twice the last value counts.
    private mutating func mapping(_ start: YAMLEvent, _ depth: Int) throws(YAMLError) -> YAMLNode {
        try enter(start, depth)
        var merged: [YAMLNode.Entry] = []
        var own: [YAMLNode.Entry] = []
        while true {
            let event = try reader.next()
            if case .mappingEnd = event.kind { break }
            var isMerge = false
            if case .scalar("<<", plain: true) = event.kind, event.tag == nil { isMerge = true }
            let keyNode = try node(event, depth: depth + 1)
            let value = try node(try reader.next(), depth: depth + 1)
            if isMerge {
                merged += try mergeable(value)
            } else {
                own.append(YAMLNode.Entry(key: try key(keyNode), mark: event.mark, node: value))
            }
            if merged.count + own.count > YAML.Limit.values {
                throw YAMLError(message: "more than \(YAML.Limit.values) values", mark: event.mark)
            }
        }
        var seen: Set<String> = []
        for entry in own where !seen.insert(entry.key).inserted { doubled.append((entry.key, entry.mark)) }
        return YAMLNode(.mapping(YAMLComposer.unique(merged + own)), mark: start.mark)
    }

    private static func unique(_ entries: [YAMLNode.Entry]) -> [YAMLNode.Entry] {
        var places: [String: Int] = [:]
        var result: [YAMLNode.Entry] = []
        for entry in entries {
            if let place = places[entry.key] {
                result[place] = entry
            } else {
                places[entry.key] = result.count
                result.append(entry)
            }
        }
        return result
    }

    /// The entries behind `<<`: of one mapping, or of several with the first one winning.
    private func mergeable(_ node: YAMLNode) throws(YAMLError) -> [YAMLNode.Entry] {
        switch node.kind {
        case .mapping(let entries): return entries
        case .sequence(let nodes):
            var entries: [YAMLNode.Entry] = []
            for node in nodes.reversed() {
                guard case .mapping(let more) = node.kind else { break }
                entries += more
            }
            return YAMLComposer.unique(entries)
        case .scalar: throw YAMLError(message: "<< needs a mapping or a list of mappings", mark: node.mark)
        }
    }

    /// Keys are texts to us; other scalars become the text that JSON would give them.
    private func key(_ node: YAMLNode) throws(YAMLError) -> String {
        guard case .scalar(let value) = node.kind else {
            throw YAMLError(message: "a key must be a scalar", mark: node.mark)
        }
        switch value {
        case .bool(let value): return value ? "true" : "false"
        case .null: return "null"
        case .int, .double, .string, .array, .object: return value.comparableText
        }
    }
}

extension JSONValue {
    fileprivate var isNumber: Bool {
        switch self {
        case .int, .double: true
        case .null, .bool, .string, .array, .object: false
        }
    }
}
