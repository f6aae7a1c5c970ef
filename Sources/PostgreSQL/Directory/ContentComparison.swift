import ClusterModel
import Glibc
import Ports
import Posix

/// Two histories on one timeline: a leader that was set back to an older copy behind its standbys, and has gone on, or
/// a leader that was lost before anybody heard of its timeline. Their positions do not tell; the WAL itself does.
///
/// What counts is proof. A page that stands at its own address on both sides and has other bytes is one. So is WAL
/// here in which no record begins where replay has ended: a receiver begins with the first byte of a segment, and
/// writes what the source has over what was here.
struct WALPages {
    /// How much is compared, in bytes: what follows the place where the histories part differs everywhere.
    static let window: UInt64 = 64 << 10

    /// In bytes.
    var segmentSize: UInt64
    /// In bytes.
    var pageSize: UInt64

    /// Nil where the sizes are not such as PostgreSQL has.
    init?(segmentSize: UInt64, pageSize: UInt64) {
        guard (1 << 20...1 << 30).contains(segmentSize), (1 << 10...1 << 16).contains(pageSize),
            segmentSize.nonzeroBitCount == 1, pageSize.nonzeroBitCount == 1
        else { return nil }
        self.segmentSize = segmentSize
        self.pageSize = pageSize
    }

    /// A part of a file of `pg_wal`, of whole pages but for its last one.
    struct Part: Hashable {
        var file: String
        var start: WALPosition
        var offset: UInt64
        var count: UInt64
    }

    /// The parts that lie in the window before `end`, the last one first.
    func parts(before end: WALPosition, on timeline: TimelineID) -> [Part] {
        var (parts, end) = ([Part](), end.bytes)
        let first = end - min(end, Self.window)
        while end > first, parts.count < 3 {
            let segment = (end - 1) / segmentSize * segmentSize
            let start = max(segment, first / pageSize * pageSize)
            guard let name = WALNames.segment(segment, size: segmentSize) else { break }
            parts.append(
                Part(
                    file: WALNames.timeline(timeline) + name, start: WALPosition(start), offset: start - segment,
                    count: end - start))
            end = start
        }
        return parts
    }

    /// Whether a page of `part` differs that stands where it belongs on both sides. Where nothing but zeros follows
    /// here, it was not written to its end: pg_rewind copies the segment that its source writes in.
    func differ(_ part: Part, _ mine: [UInt8], _ theirs: [UInt8]) -> Bool {
        let length = min(mine.count, theirs.count, Int(part.count))
        var page = 0
        while page + 16 <= length {
            let end = min(page + Int(pageSize), length)
            let address = part.start.bytes + UInt64(page)
            let isInPlace = Self.address(mine, page) == address && Self.address(theirs, page) == address
            let difference = isInPlace ? (page..<end).first { mine[$0] != theirs[$0] } : nil
            if let difference, mine[difference..<end].contains(where: { $0 != 0 }) { return true }
            page = end
        }
        return false
    }

    private static func address(_ bytes: [UInt8], _ page: Int) -> UInt64 {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: page + 8, as: UInt64.self) }
    }

    /// Whether a record begins at `position`, or behind the header of the page that begins there.
    func begins(_ record: WALPosition, at position: WALPosition) -> Bool {
        let distance = record - position
        return distance == 0 || position.bytes % pageSize == 0 && (0...40).contains(distance)
    }
}

extension Administrator {
    /// Whether what was replayed last here is something else than the source has there. `facts` are of a standby on a
    /// timeline of the source's. What cannot be read proves nothing.
    func contentDiffers(_ facts: DivergenceFacts, _ source: PostgreSQLConnection, _ deadline: BootInstant)
        async throws(PostgreSQLError) -> Bool
    {
        let left = facts.sourceHistory.first { $0.timeline == facts.localTimeline }?.position
        let isCurrent = facts.localTimeline == facts.sourceTimeline
        guard let end = try replayed(facts, deadline), end > .zero,
            let there = isCurrent ? facts.sourcePosition : left, end <= there
        else { return false }
        let rows = try source.query(
            "SELECT (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), "
                + "(SELECT setting FROM pg_settings WHERE name = 'wal_block_size')", deadline: deadline)
        guard let row = rows.first, row.count == 2, let segment = row[0].flatMap({ UInt64($0) }),
            let page = row[1].flatMap({ UInt64($0) }), let pages = WALPages(segmentSize: segment, pageSize: page)
        else { return false }
        let directory = instance.configuration.dataDirectory + "/pg_wal/"
        for part in pages.parts(before: end, on: facts.localTimeline) {
            guard let mine = Self.bytes(directory + part.file, part.offset, part.count) else { continue }
            let found = try source.query(
                "SELECT encode(pg_read_binary_file($1, $2::bigint, $3::bigint, true), 'hex')",
                ["pg_wal/" + part.file, String(part.offset), String(part.count)], deadline: deadline)
            guard let theirs = found.first?.first.flatMap({ $0 }).flatMap(Self.unhex) else { continue }
            if pages.differ(part, mine, theirs) { return true }
        }
        // Where the source has left the timeline, nothing follows on it.
        guard isCurrent || end < there else { return false }
        let next = await instance.dumpWAL(timeline: facts.localTimeline, from: end, count: 1, deadline: deadline)
        return next?.records.first.map { !pages.begins($0.position, at: end) } ?? false
    }

    /// The record that a running standby has where its replay has ended, and does not take: it follows something else
    /// than what was replayed here (`record with incorrect prev-link`). The source has written it over what was here,
    /// and the pages before it as well, so that nothing else tells.
    func unreplayed(_ facts: DivergenceFacts, _ deadline: BootInstant) async throws(PostgreSQLError) -> WALPosition? {
        guard instance.postmaster() != nil, let end = try replayed(facts, deadline), end > .zero,
            let next = await instance.dumpWAL(timeline: facts.localTimeline, from: end, count: 1, deadline: deadline),
            let record = next.records.first, (0...40).contains(record.position - end)
        else { return nil }
        // What is applied late, paused or held up by a session waits for something else. Whoever looks for WAL less
        // often may not have come to it.
        let rows = try query(
            "SELECT pg_last_wal_replay_lsn() FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event IN "
                + "('RecoveryRetrieveRetryInterval', 'RecoveryWalStream', 'RecoveryWalAll') "
                + "AND current_setting('wal_retrieve_retry_interval')::interval <= '5 s'", [], deadline)
        return rows.first?.first.flatMap { $0 }.flatMap { WALPosition($0) } == end ? record.position : nil
    }

    /// Where replay has ended: a running standby may have received more.
    private func replayed(_ facts: DivergenceFacts, _ deadline: BootInstant) throws(PostgreSQLError) -> WALPosition? {
        guard instance.postmaster() != nil else { return facts.localPosition }
        let rows = try query("SELECT pg_last_wal_replay_lsn()", [], deadline)
        return rows.first?.first.flatMap { $0 }.flatMap { WALPosition($0) }
    }

    private static func bytes(_ path: String, _ offset: UInt64, _ count: UInt64) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        let got = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, Int(count), off_t(offset)) }
        return got == Int(count) ? bytes : nil
    }

    private static func unhex(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for digit in text.utf8 {
            let value: UInt8
            switch digit {
            case 0x30...0x39: value = digit - 0x30
            case 0x61...0x66: value = digit - 0x61 + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil ? bytes : nil
    }
}
