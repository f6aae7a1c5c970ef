import CYAML

/// A place in a text; both counted from 1.
public struct YAMLMark: Sendable, Hashable {
    public let line: Int
    public let column: Int
}

/// A text that is not YAML, or is more than we are willing to read.
public struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
    public let message: String
    public let mark: YAMLMark

    public var description: String { "line \(mark.line), column \(mark.column): \(message)" }
}

/// What libyaml reports, copied out of its memory.
struct YAMLEvent {
    enum Kind {
        case scalar(String, plain: Bool)
        case alias(String)
        case sequenceStart, sequenceEnd, mappingStart, mappingEnd
        case documentStart, streamEnd
        /// What nobody needs to know: the start of the stream, the end of a document.
        case other
    }

    var kind: Kind
    var mark: YAMLMark
    var anchor: String?
    var tag: String?
}

/// libyaml's parser over a text in memory.
struct YAMLEventReader: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeMutablePointer<UInt8>
    private let count: Int

    /// libyaml keeps a pointer to the text, so the reader keeps a copy of it. Fails when memory is out.
    init(_ bytes: [UInt8]) throws(YAMLError) {
        parser = .allocate(capacity: 1)
        text = .allocate(capacity: max(1, bytes.count))
        count = bytes.count
        text.initialize(from: bytes, count: bytes.count)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            text.deallocate()
            throw YAMLError(message: "out of memory", mark: YAMLMark(line: 1, column: 1))
        }
        yaml_parser_set_input_string(parser, text, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        text.deallocate()
    }

    /// The next event.
    mutating func next() throws(YAMLError) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        defer { yaml_event_delete(&event) }
        return YAMLEventReader.copy(event)
    }

    /// Of bytes that are no text libyaml tells the offset and no place.
    private func failure() -> YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "malformed text"
        if parser.pointee.error == YAML_READER_ERROR {
            return YAMLError(
                message: "\(problem): a configuration is text in UTF-8",
                mark: place(ofByte: parser.pointee.problem_offset))
        }
        let mark = YAMLEventReader.mark(parser.pointee.problem_mark)
        let hint = isIndentedByTab(mark.line) ? " (the line begins with a tab: YAML is indented with blanks)" : ""
        return YAMLError(message: problem + hint, mark: mark)
    }

    private func place(ofByte offset: Int) -> YAMLMark {
        let before = UnsafeBufferPointer(start: text, count: min(offset, count))
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return YAMLMark(
            line: 1 + before.count { $0 == UInt8(ascii: "\n") }, column: 1 + before.count - start)
    }

    /// Whether a tab stands among the blanks that the line begins with.
    private func isIndentedByTab(_ line: Int) -> Bool {
        let lines = UnsafeBufferPointer(start: text, count: count).split(
            separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
        guard lines.indices.contains(line - 1) else { return false }
        return lines[line - 1].prefix { [UInt8(ascii: " "), UInt8(ascii: "\t")].contains($0) }
            .contains(UInt8(ascii: "\t"))
    }

    private static func copy(_ event: yaml_event_t) -> YAMLEvent {
        var copy = YAMLEvent(kind: .other, mark: mark(event.start_mark))
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            copy.kind = .scalar(
                String(decoding: bytes, as: UTF8.self), plain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
            copy.anchor = string(scalar.anchor)
            copy.tag = string(scalar.tag)
        case YAML_ALIAS_EVENT: copy.kind = .alias(string(event.data.alias.anchor) ?? "")
        case YAML_SEQUENCE_START_EVENT:
            copy.kind = .sequenceStart
            copy.anchor = string(event.data.sequence_start.anchor)
            copy.tag = string(event.data.sequence_start.tag)
        case YAML_MAPPING_START_EVENT:
            copy.kind = .mappingStart
            copy.anchor = string(event.data.mapping_start.anchor)
            copy.tag = string(event.data.mapping_start.tag)
        case YAML_SEQUENCE_END_EVENT: copy.kind = .sequenceEnd
        case YAML_MAPPING_END_EVENT: copy.kind = .mappingEnd
        case YAML_DOCUMENT_START_EVENT: copy.kind = .documentStart
        case YAML_STREAM_END_EVENT: copy.kind = .streamEnd
        default: break
        }
        return copy
    }

    private static func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        text.map { String(decodingCString: $0, as: UTF8.self) }
    }

    private static func mark(_ mark: yaml_mark_t) -> YAMLMark {
        YAMLMark(line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
    }
}
