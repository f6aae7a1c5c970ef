import ClusterModel

/// What pg_waldump says about the records at a position (postgresql.md §8, §21.4).
struct WALDumpOutput: Sendable, Hashable {
    struct Record: Sendable, Hashable {
        var resourceManager: String
        var position: WALPosition
        var previous: WALPosition
        var description: String
    }

    /// In the order of the WAL.
    var records: [Record] = []
    /// Where the WAL ends: the position of "invalid record length at X".
    var end: WALPosition?

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            if let record = Record(line) {
                records.append(record)
            } else if let position = WALDumpOutput.position(in: line, after: "invalid record length at ") {
                end = position
            }
        }
    }

    /// The end of the record at `position`, where it is the last one; nil where it is not, or where that is not known.
    func end(ofLastRecordAt position: WALPosition) -> WALPosition? {
        records.count == 1 && records[0].position == position ? end : nil
    }

    fileprivate static func position(in line: Substring, after mark: String) -> WALPosition? {
        guard let range = line.firstRange(of: mark) else { return nil }
        return WALPosition(line[range.upperBound...].prefix { $0.isHexDigit || $0 == "/" })
    }
}

extension WALDumpOutput.Record {
    /// `rmgr: XLOG  len (rec/tot): 114/ 114, tx: 0, lsn: 0/01500028, prev 0/014FFFF0, desc: CHECKPOINT_SHUTDOWN …;
    /// shutdown`
    init?(_ line: Substring) {
        guard line.hasPrefix("rmgr: "), let desc = line.firstRange(of: ", desc: "),
            let position = WALDumpOutput.position(in: line, after: ", lsn: "),
            let previous = WALDumpOutput.position(in: line, after: ", prev ")
        else { return nil }
        resourceManager = String(line.dropFirst(6).prefix { $0 != " " })
        self.position = position
        self.previous = previous
        description = line[desc.upperBound...].trimmed
    }

    var isShutdownCheckpoint: Bool {
        let text = description.lowercased()
        return resourceManager == "XLOG" && text.hasPrefix("checkpoint") && text.hasSuffix("shutdown")
    }

    /// The record that fills up a segment file when archiving switches to the next at shutdown.
    var isSwitch: Bool {
        let text = description.lowercased()
        return resourceManager == "XLOG" && (text == "switch" || text == "xlog switch")
    }
}
