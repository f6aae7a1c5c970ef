import ClusterModel
import Glibc
import Logging
import Posix

/// A standby goes over to a new timeline in the middle of a segment: it receives that segment anew, from its first
/// byte, as the new timeline's file. Where it is stopped before it has come to where the timeline begins, PostgreSQL
/// never starts again: recovery reads the newer file first, finds its end, and what is to follow there is the older
/// timeline's ("according to history file, WAL location … belongs to timeline 4, but previous recovered WAL file came
/// from timeline 5", FATAL). All that stands there is of the older timeline: without that file recovery goes on.
extension WALFiles {
    /// A file that ends before its own timeline begins: what stands in it is the parent timeline's.
    enum Begun: Hashable {
        /// The parent's file has all of it.
        case superfluous(String)
        /// The parent's file is a beginning of it, and has less.
        case belongs(String, to: String)
    }

    /// Such files. Nothing is lost where the first kind is removed, and the second gets the parent's name.
    func begunInVain() -> [Begun] {
        guard let names = try? Files.list(directory) else { return [] }
        let histories = names.compactMap { name -> TimelineID? in
            name.utf8.count == 16 && name.hasSuffix(".history") ? TimelineID(name.prefix(8), radix: 16) : nil
        }
        // Recovery goes for the newest that is known here.
        guard let newest = histories.max(),
            let text = try? Files.readText("\(directory)/\(TimelineHistoryFile.name(newest))")
        else { return [] }
        let lines = TimelineHistoryFile.parse(text)
        return lines.enumerated().compactMap { index, line in
            let child = index + 1 < lines.count ? lines[index + 1].timeline : newest
            let start = line.position.bytes / segmentSize * segmentSize
            guard line.position.bytes > start, let segment = WALNames.segment(start, size: segmentSize) else {
                return nil
            }
            let (own, parents) = (WALNames.timeline(child) + segment, WALNames.timeline(line.timeline) + segment)
            guard names.contains(own), names.contains(parents) else { return nil }
            return compare(own, with: parents, before: line.position.bytes - start)
        }
    }

    /// By their bytes: a file that was begun is empty, which is zeros, behind its end. Nil for a file that has come to
    /// `limit`, for one with other content, and where anything else stands behind the end.
    private func compare(_ name: String, with parent: String, before limit: UInt64) -> Begun? {
        let mine = open("\(directory)/\(name)", O_RDONLY | O_CLOEXEC)
        let theirs = open("\(directory)/\(parent)", O_RDONLY | O_CLOEXEC)
        defer { for file in [mine, theirs] where file >= 0 { close(file) } }
        guard mine >= 0, theirs >= 0 else { return nil }
        // Nearly always it has gone further, and not all of it has to be read to know.
        guard let next = Self.read(mine, at: limit, count: min(pageSize, segmentSize - limit)),
            !next.contains(where: { $0 != 0 }), let end = contentEnd(mine), end < limit,
            let common = commonBeginning(mine, theirs)
        else { return nil }
        if common >= end { return .superfluous(name) }
        guard let other = contentEnd(theirs), common >= other else { return nil }
        return .belongs(name, to: parent)
    }

    /// How much is read at a time, in bytes.
    private static let chunk: UInt64 = 256 << 10

    /// The offset behind the last byte that is not zero.
    private func contentEnd(_ file: Int32) -> UInt64? {
        var end = segmentSize
        while end > 0 {
            let start = end - min(Self.chunk, end)
            guard let bytes = Self.read(file, at: start, count: end - start) else { return nil }
            if let last = bytes.lastIndex(where: { $0 != 0 }) { return start + UInt64(last) + 1 }
            end = start
        }
        return 0
    }

    /// How many bytes are equal.
    private func commonBeginning(_ one: Int32, _ other: Int32) -> UInt64? {
        var offset: UInt64 = 0
        while offset < segmentSize {
            let count = min(Self.chunk, segmentSize - offset)
            guard let left = Self.read(one, at: offset, count: count),
                let right = Self.read(other, at: offset, count: count)
            else { return nil }
            if left != right { return offset + UInt64(zip(left, right).prefix { $0 == $1 }.count) }
            offset += count
        }
        return segmentSize
    }

    private static func read(_ file: Int32, at offset: UInt64, count: UInt64) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Int(count))
        let got = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, off_t(offset)) }
        return got == bytes.count ? bytes : nil
    }
}

extension Operator {
    /// Before a standby starts: it would end at once, each time.
    func mendBegunSegments(deadline: BootInstant) async {
        guard let files = await instance.control(deadline: deadline)?.walFiles(in: directory.path) else { return }
        for begun in files.begunInVain() {
            let why = "it ends before its timeline begins, and PostgreSQL does not start with it"
            switch begun {
            case .superfluous(let name):
                guard unlink("\(files.directory)/\(name)") == 0 else { continue }
                log.warning("pg_wal/\(name) was removed: \(why); the parent timeline's file has all of it")
            case .belongs(let name, let parent):
                guard rename("\(files.directory)/\(name)", "\(files.directory)/\(parent)") == 0 else { continue }
                log.warning("pg_wal/\(name) is \(parent) from now on: \(why); all of it is the parent timeline's")
            }
            try? Files.synchronize(directory: files.directory)
        }
    }
}
