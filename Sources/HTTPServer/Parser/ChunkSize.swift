/// The line before a chunk (RFC 9112 §7.1): `SIZE[;extension]` in hexadecimal.
enum ChunkSize {
    /// The chunk's size in bytes; zero is the last chunk. More than `max` is 413.
    static func parse(_ line: Span<UInt8>, max: Int) throws(HTTPParseError) -> Int {
        var size = 0
        var index = 0
        while index < line.count, let digit = ByteClass.hexadecimal(line[index]) {
            // Held just above the bound, so that no number of digits overflows.
            size = min(size * 16 + digit, max + 1)
            index += 1
        }
        guard index > 0, index == line.count || line[index] == UInt8(ascii: ";") else {
            throw HTTPParseError(400, "a chunk begins with its size in hexadecimal")
        }
        while index < line.count {
            guard ByteClass.isFieldValue(line[index]) else {
                throw HTTPParseError(400, "a chunk extension must not hold control characters")
            }
            index += 1
        }
        if size > max { throw HTTPParseError(413, "the chunks exceed what a body may hold") }
        return size
    }
}
