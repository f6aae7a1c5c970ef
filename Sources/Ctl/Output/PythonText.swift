import ClusterModel
import JSON

/// Values spelled as Patroni's tool spells them: scripts compare.
enum PythonText {
    /// One cell: `None`, `True`, `4`, or the text itself.
    static func text(_ value: JSONValue) -> String { value.comparableText }

    /// `['b', 'c']`.
    static func list(_ names: [String]) -> String { JSONValue.array(names.map { .string($0) }).comparableText }

    /// One line; what is not ASCII stands as `\u00e9`, in small letters.
    static func json(_ value: JSONValue) -> String {
        var bytes = Array(JSON.text(value).utf8)
        var index = 0
        while index + 1 < bytes.count {
            guard bytes[index] == UInt8(ascii: "\\") else {
                index += 1
                continue
            }
            if bytes[index + 1] == UInt8(ascii: "u") {
                for digit in index + 2..<min(index + 6, bytes.count) where (0x41...0x46).contains(bytes[digit]) {
                    bytes[digit] |= 0x20
                }
            }
            index += 2
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
