import CYAML
public import ClusterModel

/// YAML text, written as Patroni's tools write it (ctl.md §4): keys sorted, at most 200 columns, no type tags; a text
/// that would be read as something else stands in quotes.
extension YAML {
    public enum Layout: Sendable {
        /// One key or item a line.
        case block
        /// `{a: 1, b: x}`.
        case flow
    }

    /// `value` as one document, with a newline at its end. Fails where memory is out.
    public static func text(_ value: JSONValue, _ layout: Layout = .block) -> String {
        guard let emitter = YAMLEmitter(layout) else { return "" }
        emitter.write(value)
        return emitter.end()
    }
}

/// libyaml's emitter into memory.
private final class YAMLEmitter {
    private let emitter: UnsafeMutablePointer<yaml_emitter_t>
    private let layout: YAML.Layout
    fileprivate var output: [UInt8] = []
    /// Characters that libyaml would escape although they can be printed, and what stands for them meanwhile.
    private var standIns: [Unicode.Scalar: Unicode.Scalar] = [:]

    private static let width: Int32 = 200

    init?(_ layout: YAML.Layout) {
        self.layout = layout
        emitter = .allocate(capacity: 1)
        guard yaml_emitter_initialize(emitter) == 1 else {
            emitter.deallocate()
            return nil
        }
        yaml_emitter_set_output(emitter, emitterDidWrite, Unmanaged.passUnretained(self).toOpaque())
        yaml_emitter_set_width(emitter, Self.width)
        yaml_emitter_set_unicode(emitter, 1)
        emit { yaml_stream_start_event_initialize(&$0, YAML_UTF8_ENCODING) }
        emit { yaml_document_start_event_initialize(&$0, nil, nil, nil, 1) }
    }

    deinit {
        yaml_emitter_delete(emitter)
        emitter.deallocate()
    }

    func end() -> String {
        emit { yaml_document_end_event_initialize(&$0, 1) }
        emit { yaml_stream_end_event_initialize(&$0) }
        yaml_emitter_flush(emitter)
        let text = String(decoding: output, as: UTF8.self)
        if standIns.isEmpty { return text }
        let meant = Dictionary(standIns.map { ($0.value, $0.key) }, uniquingKeysWith: { first, _ in first })
        return String(String.UnicodeScalarView(text.unicodeScalars.map { meant[$0] ?? $0 }))
    }

    /// Pictures and other characters outside the first 65,536 as ones for private use, as long as there are any.
    private func replacing(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value > 0xFFFF }) else { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    guard scalar.value > 0xFFFF else { return scalar }
                    if let known = standIns[scalar] { return known }
                    guard let next = Unicode.Scalar(UInt32(0xF000 + standIns.count)), next.value < 0xF8FF else {
                        return scalar
                    }
                    standIns[scalar] = next
                    return next
                }))
    }

    func write(_ value: JSONValue) {
        switch value {
        case .null: scalar("null")
        case .bool(let value): scalar(value ? "true" : "false")
        case .int(let value): scalar(String(value))
        case .double(let value): scalar(YAMLText.real(value))
        case .string(let text): scalar(text, isText: true)
        case .array(let items):
            let style = layout == .block ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE
            emit { yaml_sequence_start_event_initialize(&$0, nil, nil, 1, style) }
            for item in items { write(item) }
            emit { yaml_sequence_end_event_initialize(&$0) }
        case .object(let object):
            let style = layout == .block ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE
            emit { yaml_mapping_start_event_initialize(&$0, nil, nil, 1, style) }
            for member in object.members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                scalar(member.key, isText: true)
                write(member.value)
            }
            emit { yaml_mapping_end_event_initialize(&$0) }
        }
    }

    private func scalar(_ text: String, isText: Bool = false) {
        let mayBePlain: Int32 = !isText || YAMLText.isText(text) ? 1 : 0
        var text = replacing(text)
        text.withUTF8 { bytes in
            emit {
                yaml_scalar_event_initialize(
                    &$0, nil, nil, bytes.baseAddress, Int32(clamping: bytes.count), mayBePlain, 1,
                    YAML_ANY_SCALAR_STYLE)
            }
        }
    }

    /// What cannot be written is left out: that is for memory that is out, or an event out of its order.
    private func emit(_ initialize: (inout yaml_event_t) -> Int32) {
        var event = yaml_event_t()
        if initialize(&event) == 1 { yaml_emitter_emit(emitter, &event) }
    }
}

// A file-level function, so that it belongs to no actor.
private func emitterDidWrite(
    _ context: UnsafeMutableRawPointer?, _ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int
) -> Int32 {
    guard let context else { return 0 }
    let emitter = Unmanaged<YAMLEmitter>.fromOpaque(context).takeUnretainedValue()
    emitter.output += UnsafeBufferPointer(start: bytes, count: count)
    return 1
}

/// How scalars are spelled.
enum YAMLText {
    /// Whether `text`, written plain, is read as a text again.
    static func isText(_ text: String) -> Bool {
        guard case .string = YAMLScalar.value(plain: text) else { return false }
        return text != "=" && text != "<<" && !isTimestamp(text) && !isLongInteger(text)
    }

    /// One that does not fit into 64 bits: a text to our reader, a number to others.
    private static func isLongInteger(_ text: String) -> Bool {
        var digits = text.utf8[...]
        if let first = digits.first, "+-".utf8.contains(first) { digits = digits.dropFirst() }
        guard let first = digits.first, (0x30...0x39).contains(first) else { return false }
        return digits.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_") }
    }

    /// `2001-01-23`, or `2001-1-2 3:04:05.6 +7:00` with what of it may be left out.
    private static func isTimestamp(_ text: String) -> Bool {
        var rest = text.utf8[...]
        func digits(_ count: ClosedRange<Int>) -> Int? {
            let found = rest.prefix(count.upperBound).prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(found)
            return count.contains(found) ? found : nil
        }
        func skip(_ characters: String) -> Bool {
            guard let first = rest.first, characters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard digits(4...4) != nil, skip("-"), let month = digits(1...2), skip("-"), let day = digits(1...2) else {
            return false
        }
        if rest.isEmpty { return month == 2 && day == 2 }
        guard skip("Tt") || skip(" \t") else { return false }
        while skip(" \t") {}
        guard digits(1...2) != nil, skip(":"), digits(2...2) != nil, skip(":"), digits(2...2) != nil else {
            return false
        }
        if skip(".") { rest = rest.drop { (0x30...0x39).contains($0) } }
        while skip(" \t") {}
        if skip("Z") { return rest.isEmpty }
        if skip("+-") {
            guard digits(1...2) != nil else { return false }
            if skip(":"), digits(2...2) == nil { return false }
        }
        return rest.isEmpty
    }

    /// The shortest text that reads back; one without a point gets one, for YAML 1.1 knows no other reals.
    static func real(_ value: Double) -> String {
        if value.isNaN { return ".nan" }
        if value.isInfinite { return value < 0 ? "-.inf" : ".inf" }
        let text = "\(value)"
        guard !text.utf8.contains(UInt8(ascii: ".")), let mark = text.firstIndex(of: "e") else { return text }
        return "\(text[..<mark]).0\(text[mark...])"
    }
}
