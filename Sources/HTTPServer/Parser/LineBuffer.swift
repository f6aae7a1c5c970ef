import Glibc

/// The bytes received and not yet consumed, cut into lines on demand. No byte is searched twice.
struct LineBuffer {
    enum Line: Equatable {
        /// A line without its CRLF, as a range of the buffer; it is consumed.
        case complete(Range<Int>)
        /// No line end yet.
        case incomplete
        case tooLong
        /// A line that ended with LF alone.
        case bareLineFeed
    }

    private(set) var bytes: [UInt8] = []
    /// The first byte not consumed.
    private(set) var position = 0
    private var searched = 0

    /// An emptied buffer above this size is given back, so that an idle connection holds little.
    private static let keptBytesMax = 4096

    var isEmpty: Bool { position == bytes.count }
    var count: Int { bytes.count - position }
    var first: UInt8? { isEmpty ? nil : bytes[position] }

    mutating func append(_ new: UnsafeRawBufferPointer) { bytes.append(contentsOf: new) }

    /// Forgets what was consumed. Ranges handed out before are void afterwards.
    mutating func compact() {
        if position == 0 { return }
        if isEmpty {
            bytes.removeAll(keepingCapacity: bytes.capacity <= LineBuffer.keptBytesMax)
        } else {
            bytes.removeSubrange(..<position)
        }
        position = 0
        searched = 0
    }

    /// The next line, of at most `max` bytes without its CRLF.
    mutating func nextLine(max: Int) -> Line {
        let from = Swift.max(searched, position)
        guard let end = lineFeed(from: from) else {
            searched = bytes.count
            return count > max + 1 ? .tooLong : .incomplete
        }
        guard end > position, bytes[end - 1] == ByteClass.carriageReturn else {
            return end - position > max ? .tooLong : .bareLineFeed
        }
        let line = position..<(end - 1)
        if line.count > max { return .tooLong }
        position = end + 1
        searched = position
        return .complete(line)
    }

    /// Moves at most `max` bytes to the end of `body`; how many they were.
    mutating func move(to body: inout [UInt8], max: Int) -> Int {
        let count = min(max, self.count)
        body.append(contentsOf: bytes[position..<(position + count)])
        position += count
        return count
    }

    private func lineFeed(from start: Int) -> Int? {
        bytes.withUnsafeBytes { buffer in
            guard start < buffer.count, let base = buffer.baseAddress else { return nil }
            guard let found = memchr(base + start, Int32(ByteClass.lineFeed), buffer.count - start) else { return nil }
            return UnsafeRawPointer(found) - base
        }
    }
}
