import CJansson
public import ClusterModel
import Glibc

/// JSON text, read and written by jansson: it keeps the order of keys and writes the separators that Patroni writes.
public enum JSON {
    /// A text that is not JSON: what jansson says, and where.
    public struct SyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
        public let message: String
        public let line: Int
        public let column: Int
        /// Bytes from the start of the text.
        public let position: Int

        public var description: String { "invalid JSON at line \(line), column \(column): \(message)" }
    }

    /// How a text is laid out.
    public enum Style: Sendable {
        /// `{"a":1,"b":[2]}`, as values stand in the DCS (dcs.md §1).
        case compact
        /// `{"a": 1, "b": [2]}`, as the REST API answers (rest-api.md §1).
        case spaced
    }

    /// Reads one JSON value and nothing after it.
    public static func parse(_ text: some StringProtocol) throws(SyntaxError) -> JSONValue {
        try parse(bytes: Array(text.utf8))
    }

    /// Reads one JSON value and nothing after it. The text must be UTF-8.
    public static func parse(bytes: [UInt8]) throws(SyntaxError) -> JSONValue {
        let (value, consumed) = try parsePrefix(bytes: bytes)
        if let rest = bytes[consumed...].firstIndex(where: { !isSpace($0) }) {
            let before = bytes[..<rest]
            let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            let line = 1 + before.count { $0 == UInt8(ascii: "\n") }
            throw SyntaxError(
                message: "end of text expected", line: line, column: rest - lineStart + 1, position: rest)
        }
        return value
    }

    /// Reads the first JSON value of `bytes` and tells how many bytes it took; for streams of concatenated documents.
    public static func parsePrefix(bytes: [UInt8]) throws(SyntaxError) -> (value: JSONValue, consumed: Int) {
        var error = json_error_t()
        let flags = JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_ALLOW_NUL
        let root = bytes.withUnsafeBytes { buffer in
            json_loadb(buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count, Int(flags), &error)
        }
        guard let root else {
            let message = withUnsafePointer(to: &error.text) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: Int(JSON_ERROR_TEXT_LENGTH)) { String(cString: $0) }
            }
            throw SyntaxError(
                message: message, line: Int(error.line), column: Int(error.column), position: Int(error.position))
        }
        defer { json_decref(root) }
        return (value(of: root), Int(error.position))
    }

    /// Writes `value`; characters outside ASCII become `\uXXXX`.
    public static func text(_ value: JSONValue, _ style: Style = .spaced) -> String {
        guard let root = tree(of: value) else { return "null" }
        defer { json_decref(root) }
        // 15 digits print 1.4 as 1.4; Patroni prints the shortest text that reads back.
        let precision = (15 & 0x1F) << 11
        let flags = Int(JSON_ENSURE_ASCII | JSON_ENCODE_ANY) | precision | (style == .compact ? Int(JSON_COMPACT) : 0)
        guard let text = json_dumps(root, flags) else { return "null" }
        defer { free(text) }
        return String(cString: text)
    }

    /// Writes an object.
    public static func text(_ object: JSONObject, _ style: Style = .spaced) -> String { text(.object(object), style) }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private static func value(of node: UnsafeMutablePointer<json_t>) -> JSONValue {
        switch node.pointee.type {
        case JSON_OBJECT:
            var object: [(String, JSONValue)] = []
            var iterator = json_object_iter(node)
            while let at = iterator {
                if let key = json_object_iter_key(at), let child = json_object_iter_value(at) {
                    object.append((String(cString: key), value(of: child)))
                }
                iterator = json_object_iter_next(node, at)
            }
            return .object(JSONObject(object))
        case JSON_ARRAY:
            return .array((0..<json_array_size(node)).compactMap { json_array_get(node, $0).map(value(of:)) })
        case JSON_STRING:
            guard let start = json_string_value(node) else { return .string("") }
            let bytes = UnsafeRawBufferPointer(start: start, count: json_string_length(node))
            return .string(String(decoding: bytes, as: UTF8.self))
        case JSON_INTEGER: return .int(json_integer_value(node))
        case JSON_REAL: return .double(json_real_value(node))
        case JSON_TRUE: return .bool(true)
        case JSON_FALSE: return .bool(false)
        default: return .null
        }
    }

    /// A new reference, which the caller releases; nil only when memory is out or a real is not finite.
    private static func tree(of value: JSONValue) -> UnsafeMutablePointer<json_t>? {
        switch value {
        case .null: return json_null()
        case .bool(let value): return value ? json_true() : json_false()
        case .int(let value): return json_integer(value)
        case .double(let value): return value.isFinite ? json_real(value) : json_null()
        case .string(var value):
            return value.withUTF8 {
                json_stringn(
                    UnsafeRawPointer($0.baseAddress)?.assumingMemoryBound(to: CChar.self) ?? emptyText, $0.count)
            }
        case .array(let values):
            let array = json_array()
            for element in values { json_array_append_new(array, tree(of: element)) }
            return array
        case .object(let object):
            let node = json_object()
            for member in object.members { json_object_set_new(node, member.key, tree(of: member.value)) }
            return node
        }
    }
}

// A C string that lives for ever: jansson wants a pointer even for no bytes.
nonisolated(unsafe) private let emptyText: UnsafePointer<CChar> = UnsafePointer(strdup(""))
