import ClusterModel
import Glibc
import Posix

/// Where the WAL in `pg_wal` ends at the latest, as the page headers tell (postgresql.md §8): no checksum is looked at,
/// no tool is run, and of each file a few bytes are read.
///
/// It is an upper bound. A server flushes its WAL page after page, so a page that has not its own address in its header
/// lies behind everything that was flushed: files are made in advance, empty or out of older ones. Whoever has flushed
/// up to a position and finds that the WAL ends before it looks at another directory, or at an older copy.
struct WALFiles {
    /// `pg_wal`.
    var directory: String
    /// Bytes.
    var segmentSize: UInt64
    /// Bytes.
    var pageSize: UInt64

    /// Nil where the sizes are not such as PostgreSQL has.
    init?(directory: String, segmentSize: Int?, pageSize: Int?) {
        guard let segmentSize, let pageSize, (1 << 20...1 << 30).contains(segmentSize),
            (1 << 10...1 << 16).contains(pageSize), segmentSize.nonzeroBitCount == 1, pageSize.nonzeroBitCount == 1
        else { return nil }
        self.directory = directory
        self.segmentSize = UInt64(segmentSize)
        self.pageSize = UInt64(pageSize)
    }

    /// The end over all timelines from `timeline` on; nil where no file has begun, or one cannot be read.
    func end(from timeline: TimelineID) -> WALPosition? {
        guard let names = try? Files.list(directory) else { return nil }
        let segments = names.compactMap { Segment($0, size: segmentSize) }.filter { $0.timeline >= timeline }
        var end: WALPosition?
        for segment in segments.sorted(by: { $0.start > $1.start }) {
            // The same segment may stand there once for each timeline that went through it.
            if let end, segment.start + segmentSize <= end.bytes { break }
            switch self.end(of: segment) {
            case .unread: return nil
            case .notBegun: continue
            case .at(let found): end = max(end ?? .zero, found)
            }
        }
        return end
    }

    private enum End {
        case unread
        /// Made in advance.
        case notBegun
        case at(WALPosition)
    }

    private func end(of segment: Segment) -> End {
        let file = open("\(directory)/\(segment.name)", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return .unread }
        defer { close(file) }
        func isWritten(_ page: UInt64) -> Bool? {
            guard let header = read(file, at: page * pageSize, count: 16) else { return nil }
            return header.number(8, UInt64.self) == segment.start + page * pageSize
        }
        guard let begun = isWritten(0) else { return .unread }
        guard begun else { return .notBegun }
        var (last, beyond) = (UInt64(0), segmentSize / pageSize)
        while beyond - last > 1 {
            let middle = (last + beyond) / 2
            guard let written = isWritten(middle) else { return .unread }
            if written { last = middle } else { beyond = middle }
        }
        guard let page = read(file, at: last * pageSize, count: Int(pageSize)) else { return .unread }
        let offset = Self.end(ofPage: page)
        return .at(WALPosition(segment.start + (offset.map { last * pageSize + UInt64($0) } ?? segmentSize)))
    }

    /// The offset behind the last record that begins or ends on a page, the page's size where the record goes on behind
    /// it. Nil where nothing further belongs to the segment: its rest was left out by a switch to the next one.
    static func end(ofPage page: [UInt8]) -> Int? {
        let (info, rest) = (page.number(2, UInt16.self), Int(page.number(16, UInt32.self)))
        var offset = info & 0x2 != 0 ? 40 : 24
        var hasSwitched = false
        if info & 0x1 != 0 {
            // A switch has nothing but its header, of which eight or sixteen bytes are left.
            hasSwitched = (rest == 8 || rest == 16) && isSwitch(page, headerAt: offset + rest - headerSize)
            offset += aligned(rest)
        }
        while offset + 8 <= page.count {
            let length = Int(page.number(offset, UInt32.self))
            if length == 0 { return hasSwitched ? nil : offset }
            // Torn, or nothing that is known here.
            guard length >= headerSize else { return page.count }
            hasSwitched =
                length == headerSize && offset + headerSize <= page.count && isSwitch(page, headerAt: offset)
            offset += aligned(length)
        }
        return hasSwitched && offset == page.count ? nil : page.count
    }

    /// Of a record, in bytes. Records begin at multiples of eight.
    private static let headerSize = 24

    /// XLOG_SWITCH of the resource manager XLOG.
    private static func isSwitch(_ page: [UInt8], headerAt offset: Int) -> Bool {
        page[offset + 17] == 0 && page[offset + 16] & 0xF0 == 0x40
    }

    private static func aligned(_ length: Int) -> Int { (length + 7) & ~7 }

    private func read(_ file: Int32, at offset: UInt64, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, count, off_t(offset)) }
        return got == count ? bytes : nil
    }

    /// `000000010000000000000003`: the timeline, and the number of the segment in two parts.
    struct Segment: Hashable {
        var name: String
        var timeline: TimelineID
        /// The position of its first byte.
        var start: UInt64

        init?(_ name: String, size: UInt64) {
            let digits = Array(name.utf8)
            guard digits.count == 24, digits.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }),
                let timeline = TimelineID(name.prefix(8), radix: 16),
                let high = UInt64(name.dropFirst(8).prefix(8), radix: 16),
                let low = UInt64(name.suffix(8), radix: 16), low < (1 << 32) / size
            else { return nil }
            self.name = name
            self.timeline = timeline
            start = high << 32 | low * size
        }
    }
}

extension [UInt8] {
    /// In the byte order of this machine, which has written it.
    fileprivate func number<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) -> Number {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }
}
